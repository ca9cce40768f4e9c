"""Files with a right checksum and a wrong content: refused by name, or as good as before."""

from __future__ import annotations

import os
import resource
import warnings
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from striate import model_file
from striate.errors import StriateError
from striate.hierarchy import FilterBank, Hierarchy, SparseCodes
from striate.images import Preprocessing, as_images
from striate.recognition import ImageClassifier
from striate.retrieval import ImageIndex, learn_encoder
from tests.mutations import mutations
from tests.recognition.digits import digits, quick

MOST_MEMORY = 500_000_000  # bytes more than before


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return digits((0, 1), 3, first=100)[0]


def _model(path: Path, **options: Any) -> None:
    quick(**options).fit(*digits((0, 1, 7), 8)).save(path)


def _two_stages(path: Path) -> None:
    _model(path, architecture="4F5x5 - Rabs - N5x5 - PA4x4/2 - 6F3x3:2 - Rabs - PM2x2/2", unknown=0.2)


def _shrinkage(path: Path, nonlinearity: Any = "shrink") -> None:
    classifier = quick(architecture="4F5x5 - HP5x5 - PA4x4/4").fit(*digits((0, 1, 7), 8))
    bank, *rest = classifier.hierarchy_
    assert isinstance(bank, FilterBank)
    assert bank.filters is not None
    ones = np.ones(4, np.float32)
    own: Any = {"threshold": ones, "beta": ones} if nonlinearity == "smooth shrink" else {"threshold": ones}
    shrink = FilterBank(4, (5, 5), None, nonlinearity).with_filters(bank.filters, **own)
    classifier.hierarchy_ = Hierarchy([shrink, *rest])
    classifier.save(path)


def _sparse_codes(path: Path) -> None:
    rng = np.random.default_rng(0)
    classifier = quick(
        architecture="SIFT8x8/4 - MF2x2/1 - 6SC - PM1+2+4", preprocessing=Preprocessing((32, 32), contrast="none")
    )
    dictionary = rng.standard_normal((6, 512)).astype(np.float32)
    *before, codes, pooling = Hierarchy("SIFT8x8/4 - MF2x2/1 - 6SC - PM1+2+4")
    assert isinstance(codes, SparseCodes)
    classifier.hierarchy_ = Hierarchy([*before, codes.with_dictionary(dictionary), pooling])
    classifier.preprocessing_ = Preprocessing((32, 32), contrast="none")
    classifier.record_ = quick().fit(*digits((0, 1), 8)).record_
    collection = as_images(*digits((0, 1, 7), 8))
    classifier.fit_classifier(classifier.extract(collection).rows, collection.labels or []).save(path)


def _index(path: Path, **options: Any) -> None:
    collection = as_images(digits((0, 1, 7), 8)[0])
    settings: dict[str, Any] = {"n_bits": 40, "architecture": "4F5x5 - Rabs - PA6x6/6", "random_state": 0}
    index = ImageIndex(learn_encoder(collection, **settings | options))
    index.update(collection)
    index.save(path)


def _use_model(path: Path, images: np.ndarray) -> None:
    classifier = ImageClassifier.load(path)
    for prediction in classifier.classify(images):
        assert np.isfinite([probability for _, probability in prediction.top]).all()
        assert 0 <= prediction.probability <= 1
    classifier.save(path)


def _use_index(path: Path, images: np.ndarray) -> None:
    index = ImageIndex.load(path)
    found = index.search(images, 3)
    assert np.isfinite(found.distances).all()
    list(index.items.names())
    index.save(path.with_suffix(".again"))


FILES: dict[str, tuple[Callable[[Path], None], Callable[[Path, np.ndarray], None]]] = {
    "one stage": (_model, _use_model),
    "two stages and unknown": (_two_stages, _use_model),
    "shrinkage": (_shrinkage, _use_model),
    "smooth shrinkage": (partial(_shrinkage, nonlinearity="smooth shrink"), _use_model),
    "sparse codes": (_sparse_codes, _use_model),
    "index by itq": (_index, _use_index),
    "index by pca, real": (lambda path: _index(path, method="pca", binary=False), _use_index),
    "index by a deep autoencoder": (lambda path: _index(path, method="deep-autoencoder"), _use_index),
}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.timeout(900)
@pytest.mark.parametrize("step", [13, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FILES)
def test_edited_files_are_refused_by_name_or_work(
    tmp_path: Path, images: np.ndarray, name: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # thousands of files, which need not survive a loss of power
    make, use = FILES[name]
    path = tmp_path / "whole"
    make(path)
    use(path, images)
    kind = "index" if name.startswith("index") else "image_classifier"
    edited = tmp_path / "edited"
    before = _peak()
    refused = worked = 0
    problems = []
    for what, arrays, header in islice(mutations(path), 0, None, step):
        model_file.write(edited, arrays, header, kind=kind)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", ConvergenceWarning)  # a sparsity of 1e-300 is as told
                use(edited, images)
            worked += 1
        except StriateError as error:
            refused += 1
            if not (str(edited) in str(error) and "\n" not in str(error) and len(str(error)) < 600):
                problems.append(f"{what}: {error}")
        except BaseException as error:
            problems.append(f"{what}: {type(error).__name__}: {error}")
        if _peak() - before > MOST_MEMORY:
            problems.append(f"{what}: takes {_peak() - before:,} bytes")
            before = _peak()
    assert not problems, f"{len(problems)} of {refused + worked}:\n" + "\n".join(problems[:60])
    assert refused * step > 300
