"""Paths side by side: their features, notation, storage, learning and twin."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.hierarchy import Grey, Hierarchy, InputContrast, Paths, learn_filters
from striate.images import Preprocessing
from striate.learning import PSD, RandomFilters
from striate.model_file import ModelFileError
from striate.progress import Progress
from striate.recognition import ImageClassifier

TEXT = "{8WP4x4:random - GA2 | GREY - LCN - 6F5x5 - Rabs - PA4x4/4 - 4F2x2:3 - Rabs}"


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((12, 3, 20, 22), dtype=np.float32)


@pytest.fixture(scope="module")
def learned(images: np.ndarray) -> Hierarchy:
    return learn_filters(Hierarchy(TEXT), images, learners=RandomFilters(), n_patches=500, random_state=3)[0]


def test_features_are_those_of_each_path_divided_by_their_norm(images: np.ndarray, learned: Hierarchy) -> None:
    (paths,) = learned
    assert isinstance(paths, Paths)
    expected = []
    for path in paths.hierarchies:
        rows = path.transform(images).reshape(len(images), -1)
        expected.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    before = images.copy()
    made = learned.transform(images)
    assert made.shape == (len(images), *learned.output_shape(images.shape[1:]))
    np.testing.assert_allclose(made[:, :, 0, 0], np.concatenate(expected, axis=1), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(images, before)
    one = paths.apply(np.ascontiguousarray(images[0].transpose(1, 2, 0)))
    np.testing.assert_allclose(one.ravel(), made[0].ravel(), rtol=1e-6, atol=1e-7)


def test_a_blank_image_stays_0() -> None:
    path = Hierarchy([Paths(["GREY - LCN - PA4x4/4", "LCN", "Rabs"])])
    made = path.transform(np.stack([np.full((3, 9, 9), value, np.float32) for value in (0.3, 0.0)]))
    np.testing.assert_array_equal(made[:, : 4 + 3 * 81], 0)
    np.testing.assert_allclose(np.linalg.norm(made[:, :, 0, 0], axis=1), [1, 0], rtol=1e-6)


def test_paths_see_the_same_maps_and_do_not_change_them(images: np.ndarray) -> None:
    texts = ["Rabs", "N", "HP", "PM1+2+4", "PA4x4/2", "GA3", "GREY - LCN"]
    once, twice = (Hierarchy("HP - {" + " | ".join(texts * n) + "}").transform(images) for n in (1, 2))
    n = once.shape[1]
    np.testing.assert_array_equal(twice[:, :n], once)
    np.testing.assert_array_equal(twice[:, n:], once)


LAYERS = st.sampled_from(
    ["6F5x5", "Rabs", "N", "N5x5", "HP", "PA4x4/4", "GM2", "LCN", "PM1+2+4", "GREY", "GREY:yuv", "8WP3x3T"]
)
NOTATION = st.recursive(
    st.lists(LAYERS, min_size=1, max_size=3).map(" - ".join),
    lambda inner: st.tuples(
        st.lists(LAYERS, max_size=2), st.lists(inner, min_size=1, max_size=3), st.lists(LAYERS, max_size=1)
    ).map(lambda parts: " - ".join([*parts[0], "{" + " | ".join(parts[1]) + "}", *parts[2]])),
    max_leaves=6,
)


@given(NOTATION)
@settings(max_examples=60, deadline=None)
def test_printing_is_the_inverse_of_parsing(text: str) -> None:
    assert str(Hierarchy(text)) == text
    loose = text.replace(" | ", "|").replace("{", "{ ").replace("}", " }").replace(" - ", " – ")
    assert str(Hierarchy(loose)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{Rabs | N", "opens a brace at character 1 that is not closed"),
        ("Rabs - N}", "closes a brace at character 9"),
        ("HP - {Rabs | N - Foo}", "layer 2 of 2, is not possible: path 2 of 2: 'Foo', layer 2 of 2, is not a layer"),
        ("{}", "path 1 of 1: an architecture is ''"),
        ("{Rabs | }", "path 2 of 2"),
        ("Rabs | N", "is not a layer"),
        ("{" * 9 + "N" + "}" * 9, "more than 8 braces"),
        ("{" * 400 + "N" + "}" * 400, "more than 8 braces"),
    ],
)
def test_a_mistake_in_the_notation_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        Hierarchy(text)


def test_a_path_that_does_not_fit_is_named() -> None:
    with pytest.raises(UsageError, match="path 2 of 2: PA30x30/4 needs maps of at least 30 pixels"):
        Hierarchy("{Rabs | PA30x30/4}").output_shape((1, 20, 20))
    with pytest.raises(UsageError, match="GREY needs 1 map"):
        Hierarchy("{GREY | Rabs}").output_shape((2, 20, 20))
    for wrong in ([], "Rabs", None, [3], [Hierarchy([])]):
        with pytest.raises(UsageError, match=r"[Pp]ath"):
            Paths(wrong)  # type: ignore[arg-type]


def test_storage(images: np.ndarray, learned: Hierarchy) -> None:
    arrays, header = learned.to_state()
    again = Hierarchy.from_state(arrays, json.loads(json.dumps(header)))
    assert str(again) == TEXT
    assert again.is_learned
    np.testing.assert_array_equal(again.transform(images), learned.transform(images))
    header["layers"][0]["paths"][1]["layers"][2] = {"kind": "?"}
    with pytest.raises(ModelFileError, match=r"layers\.0\.paths\.1\.layers\.2"):
        Hierarchy.from_state(arrays, header)


def test_each_path_is_learned_with_seeds_of_its_own(images: np.ndarray) -> None:
    learner = PSD(max_batches=3, batch_size=32)
    progress = Progress()
    twins = Hierarchy("{GREY - 6F5x5 - Rabs | GREY - 6F5x5 - Rabs}")
    assert not twins.is_learned
    assert len(twins.filter_banks) == 2
    hierarchy, stages = learn_filters(
        twins, images, learners=learner, n_patches=200, min_std=0.0, random_state=1, progress=progress
    )
    assert [stage.name for stage in stages] == ["path 1, stage 1", "path 2, stage 1"]
    first, second = hierarchy.filter_banks
    assert hierarchy.is_learned
    assert not np.array_equal(first.filters, second.filters)  # type: ignore[arg-type]
    names = [record.name for record in progress.records]
    assert any(name.startswith("path 2, stage 1: ") for name in names)
    # A path before does not change what the layers below it learn.
    below, _ = learn_filters(
        Hierarchy("4F3x3 - Rabs - {6F5x5 | HP}"), images, learners=learner, n_patches=200, random_state=1
    )
    alone, _ = learn_filters(Hierarchy("4F3x3 - Rabs"), images, learners=learner, n_patches=200, random_state=1)
    np.testing.assert_array_equal(below.layers[0].filters, alone.layers[0].filters)  # type: ignore[attr-defined]


def test_learning_continues_from_a_checkpoint(images: np.ndarray, tmp_path: Path, learned: Hierarchy) -> None:
    for _ in range(2):
        checkpoint = Checkpoint(tmp_path, {"of": "paths"})
        again, _ = learn_filters(
            Hierarchy(TEXT), images, learners=RandomFilters(), n_patches=500, random_state=3, checkpoint=checkpoint
        )
        np.testing.assert_array_equal(again.transform(images), learned.transform(images))


def test_one_learner_for_each_bank_of_the_paths(images: np.ndarray) -> None:
    with pytest.raises(UsageError, match="1 learners for 2 filter banks"):
        learn_filters(Hierarchy(TEXT), images, learners=[RandomFilters()])


def test_twin(images: np.ndarray, learned: Hierarchy) -> None:
    torch = pytest.importorskip("torch")
    twin = learned.to_torch()
    with torch.no_grad():
        made = twin(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(made, learned.transform(images), atol=1e-4)
    blank = torch.zeros((1, 3, 20, 22), requires_grad=True)
    twin(blank).sum().backward()
    assert torch.isfinite(blank.grad).all()


@pytest.mark.parametrize("color", ["rgb", "yuv"])
def test_grey_and_lcn_are_the_preprocessing_of_grey_photographs(images: np.ndarray, color: str) -> None:
    grey = np.stack([Preprocessing((20, 22), contrast="local")(image) for image in images])
    of_color = np.stack([Preprocessing((20, 22), color=color, contrast="none")(image) for image in images])  # type: ignore[arg-type]
    made = Hierarchy([Grey(color), InputContrast()]).transform(of_color)  # type: ignore[arg-type]
    np.testing.assert_allclose(made, grey, atol=2e-5)
    np.testing.assert_array_equal(Grey().apply(of_color[0][:1].transpose(1, 2, 0)), of_color[0][:1].transpose(1, 2, 0))


def test_a_classifier_of_paths_has_a_model_file_and_a_report(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    images = np.concatenate([rng.random((12, 16, 16, 3)) * 0.2, 0.5 + rng.random((12, 16, 16, 3)) * 0.5])
    labels = ["dark"] * 12 + ["bright"] * 12
    text = "{8WP4x4 - GA2 | GREY - 6F5x5 - Rabs - PA4x4/4 - 4F2x2:3 - Rabs}"
    preprocessing = Preprocessing((16, 16), color="rgb", contrast="none")
    classifier = ImageClassifier(architecture=text, preprocessing=preprocessing, learner="random", random_state=0).fit(
        images, labels
    )
    file = tmp_path / "model.striate"
    classifier.save(file)
    again = ImageClassifier.load(file)
    assert str(again.hierarchy_) == text
    np.testing.assert_array_equal(again.predict_proba(images), classifier.predict_proba(images))
    assert [stage.name for stage in classifier.record_.stages] == [
        "path 1, stage 1", "path 2, stage 1", "path 2, stage 2",
    ]  # fmt: skip
    assert classifier.plot_filters() is not None
