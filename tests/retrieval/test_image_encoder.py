from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striate.errors import UsageError
from striate.hierarchy import Hierarchy
from striate.images import as_images, load_mnist_digits
from striate.learning import PSD
from striate.model_file import ModelFileError
from striate.retrieval import ImageEncoder, fit_projection, learn_encoder, unpack_bits
from tests.recognition.digits import TINY, digits
from tests.retrieval.small import PREPROCESSING, encoder


@pytest.fixture
def pictures() -> np.ndarray:
    return np.stack([PREPROCESSING(image[np.newaxis] / np.float32(255)) for image in digits((0, 7), 5)[0]])


def test_codes_are_signs_of_projected_features_of_unit_length(pictures: np.ndarray) -> None:
    vectors = encoder().vectors(pictures)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    real = encoder(binary=False).encode(pictures)
    np.testing.assert_array_equal(unpack_bits(encoder().encode(pictures), 32), real > 0)


def test_a_image_has_the_same_code_alone(pictures: np.ndarray) -> None:
    whole = encoder(binary=False).encode(pictures)
    alone = np.concatenate([encoder(binary=False).encode(pictures[k : k + 1]) for k in range(len(pictures))])
    np.testing.assert_array_equal(whole, alone)


@pytest.mark.parametrize("binary", [True, False])
def test_an_encoder_comes_back(binary: bool, pictures: np.ndarray) -> None:
    one = encoder(binary=binary)
    again = ImageEncoder.from_state(*one.to_state())
    np.testing.assert_array_equal(again.encode(pictures), one.encode(pictures))
    assert again.preprocessing == one.preprocessing
    assert one.no_codes().dtype == one.encode(pictures).dtype


def test_psd_codes_of_whole_images(pictures: np.ndarray) -> None:
    rows = pictures.reshape(len(pictures), -1)
    psd = PSD(8, max_batches=3, random_state=0).fit(rows)
    one = ImageEncoder(PREPROCESSING, psd, fit_projection(psd.transform(rows), 16, random_state=0))
    again = ImageEncoder.from_state(*one.to_state())
    np.testing.assert_array_equal(again.encode(pictures), one.encode(pictures))


def test_any_function_may_describe_but_is_not_saved(pictures: np.ndarray) -> None:
    def darkness(some: np.ndarray) -> np.ndarray:
        return np.stack([some.mean(axis=(1, 2, 3)), some.std(axis=(1, 2, 3))], axis=1)

    one = ImageEncoder(PREPROCESSING, darkness, fit_projection(darkness(pictures), 16, random_state=0))
    assert one.encode(pictures).shape == (10, 1)
    with pytest.raises(UsageError, match="cannot be saved"):
        one.to_state()


def test_a_part_that_is_not_known() -> None:
    arrays, header = encoder().to_state()
    with pytest.raises(ModelFileError, match="'oracle'"):
        ImageEncoder.from_state(arrays, {**header, "describe": {"kind": "oracle"}})


def test_learned_codes_bring_digits_of_a_kind_together() -> None:
    images, labels = load_mnist_digits()
    images, labels = images[::20], labels[::20]
    found = learn_encoder(as_images(images), n_bits=64, architecture="8F5x5 - Rabs - PA6x6/6", random_state=0)
    codes = found.encode(np.stack([found.preprocessing(image) for image in images]))
    bits = unpack_bits(codes, 64)
    distances = (bits[:, np.newaxis] != bits).sum(axis=2)
    np.fill_diagonal(distances, 65)
    assert np.mean(labels[distances.argmin(axis=1)] == labels) > 0.6


def test_one_image_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two images"):
        learn_encoder(as_images(digits((0,), 1)[0]), architecture=TINY)


def test_photographs_are_described_by_learned_filters(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def learn(hierarchy: Hierarchy, *_: object, **__: object) -> None:
        asked.append(hierarchy)
        raise KeyboardInterrupt  # the architecture is known: that is all that is looked at

    monkeypatch.setattr("striate.retrieval.image_encoder.learn_filters", learn)
    with pytest.raises(KeyboardInterrupt):
        learn_encoder(as_images(rng.random((2, 130, 180), dtype=np.float32)), random_state=0)
    assert len(asked[0].filter_banks) == 2
