"""Accuracy does not depend on the unit of grey values: dim images, cameras of 12 bits, floats of 0–255."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from striate.cli.main import app
from striate.errors import UnreadableImage
from striate.hierarchy import describe
from striate.images import Preprocessing, as_images, load_mnist_digits
from striate.images.collection import as_fractions
from striate.images.preprocessing import contrast_range, white_of
from striate.recognition import ImageClassifier
from tests.recognition.digits import digits, quick

IMAGES, LABELS = load_mnist_digits()
TRAIN, TRAIN_LABELS = IMAGES[::50], LABELS[::50]
TEST, TEST_LABELS = IMAGES[7::40], LABELS[7::40]


def scored(scale: float, offset: float = 0.0, *, contrast: str = "auto") -> float:
    preprocessing = "auto" if contrast == "auto" else Preprocessing((28, 28), contrast=contrast)  # type: ignore[arg-type]
    classifier = quick(preprocessing=preprocessing, architecture="16F5x5 - Rabs - N5x5 - PA6x6/6")
    classifier.fit(TRAIN * np.float32(scale) + np.float32(offset), TRAIN_LABELS)
    return classifier.score(TEST * np.float32(scale) + np.float32(offset), TEST_LABELS)


@pytest.mark.parametrize("scale", [1 / 2, 1 / 4, 1 / 16, 1 / 64])
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_accuracy_does_not_depend_on_the_light(scale: float, offset: float) -> None:
    assert abs(scored(scale, offset) - scored(1)) <= 0.01


@pytest.mark.parametrize("contrast", ["ground", "local", "none"])
def test_a_given_preprocessing_learns_from_dim_images_too(contrast: str) -> None:
    assert abs(scored(1 / 16, contrast=contrast) - scored(1, contrast=contrast)) <= 0.03


def test_descriptors_do_not_depend_on_the_light() -> None:
    def scaled(scale: float) -> float:
        classifier = ImageClassifier(architecture="SIFT16x16/6 - PM1+2+4", random_state=0)
        classifier.set_params(preprocessing="auto").fit(np.kron(TRAIN, np.ones((4, 4))) * scale, TRAIN_LABELS)
        return classifier.score(np.kron(TEST, np.ones((4, 4))) * scale, TEST_LABELS)

    assert abs(scaled(1 / 64) - scaled(1)) <= 0.01


def test_what_is_seen_does_not_depend_on_the_light(rng: np.random.Generator) -> None:
    textured = rng.random((20, 3, 50, 50), dtype=np.float32)
    grey = np.repeat(textured[:, :1], 3, axis=1)
    for images in (textured, grey, np.repeat(TRAIN, 3, axis=1)):
        full = describe(as_images(images))
        for scale in (1 / 4, 1 / 64):
            dim = describe(as_images(images * np.float32(scale)))
            assert (dim.colored, dim.plain_ground) == (full.colored, full.plain_ground)
            assert dim.white == pytest.approx(scale, rel=0.05)
        assert full.white == 1


def test_usual_collections_are_left_as_they_are() -> None:
    assert [white_of(found) for found in (1.0, 0.5, 2.0, 0.0)] == [1.0] * 4
    assert white_of(0.0625) == 0.0625
    assert white_of(4095.0) == 4095.0
    assert contrast_range(np.full((3, 1, 5, 5), 0.3)) == 0
    # One hot pixel of a thousand does not stretch a collection.
    hot = np.random.default_rng(0).uniform(0, 0.05, (5, 1, 100, 100))
    hot[:, :, 0, 0] = 1
    assert contrast_range(hot) == pytest.approx(0.05, rel=0.05)
    assert Preprocessing((28, 28)).white == 1
    prepared = Preprocessing((28, 28), contrast="ground")(TRAIN[0])
    np.testing.assert_array_equal(prepared, Preprocessing((28, 28), contrast="ground", white=1)(TRAIN[0]))
    quarter = Preprocessing((28, 28), contrast="ground", white=0.25)
    np.testing.assert_allclose(quarter(TRAIN[0] / 4), prepared, atol=1e-6)


def test_a_dim_collection_keeps_its_range_in_the_model_file(tmp_path: Path) -> None:
    dim = TRAIN / 16
    classifier = quick().fit(dim, TRAIN_LABELS)
    assert classifier.preprocessing_.white == pytest.approx(1 / 16, rel=0.01)
    assert any("use a range of 0.06" in reason for reason in classifier.record_.reasons)
    classifier.save(tmp_path / "dim.safetensors")
    again = ImageClassifier.load(tmp_path / "dim.safetensors")
    assert again.preprocessing_ == classifier.preprocessing_
    np.testing.assert_array_equal(again.predict_proba(TEST / 16), classifier.predict_proba(TEST / 16))


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_commands_take_files_of_few_bits(bits: int, tmp_path: Path) -> None:
    """A camera of 12 bits writes numbers up to 4095 into files of 16 bits."""
    images, labels = digits([0, 1, 4], 12)
    folder = tmp_path / "images"
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        values = image if bits == 8 else (image / 255 * (2**bits - 1)).astype(np.uint16)
        Image.fromarray(values).save(folder / str(label) / f"{number}.tif")
    small = "8F5x5 - Rabs - PA6x6/6"
    model = str(tmp_path / "model.safetensors")
    for command in (
        ["train", str(folder), "--architecture", small, "--out", model],
        ["filters", str(folder), "--n", "8", "--size", "5", "--patches", "500", "--out", str(tmp_path / "f.png")],
        ["index", str(folder), "--out", str(tmp_path / "i.index")],
    ):
        result = CliRunner().invoke(app, [*command, "--quiet"])
        assert result.exit_code == 0, result.output
    assert ImageClassifier.load(model).score(folder) > 0.9


def test_floats_of_0_to_255_are_integers_of_0_to_255() -> None:
    integers, labels = digits([0, 1, 2, 3], 12)
    other, truth = digits([0, 1, 2, 3], 12, first=200)
    floats = integers.astype(np.float32)
    of_integers, of_floats = quick().fit(integers, labels), quick().fit(floats, labels)
    np.testing.assert_array_equal(of_integers.predict_proba(other), of_floats.predict_proba(other))
    for dtype in (np.float16, np.float32, np.float64, ">f4"):
        np.testing.assert_array_equal(of_integers.predict_proba(other.astype(dtype)), of_integers.predict_proba(other))
        one = other[:1].astype(dtype)
        np.testing.assert_array_equal(of_integers.predict_proba(one), of_integers.predict_proba(other[:1]))
    np.testing.assert_allclose(
        of_integers.predict_proba(other / np.float32(255)), of_integers.predict_proba(other), atol=1e-5
    )
    assert of_integers.score(list(other.astype(float)), truth) == of_integers.score(other, truth) > 0.8


def test_a_dim_image_of_0_to_1_is_not_taken_for_0_to_255() -> None:
    def white(images: object) -> float:
        return as_images(images).white

    assert white(np.full((1, 4, 4), 0.004, np.float32)) == 1
    assert white(np.full((1, 4, 4), 1.5, np.float32)) == 1  # as interpolation overshoots
    assert white(np.linspace(-4, 4, 16, dtype=np.float32).reshape(1, 4, 4)) == 1  # whitened, for example
    assert white(np.full((1, 4, 4), 200, np.uint8)) == 1
    assert white(np.full((1, 4, 4), 256.0)) == 1
    assert white(np.full((1, 4, 4), 255.0)) == 255
    mixed = as_images([np.full((4, 4), 1.0), np.full((5, 5), 200.0)], ["a", "b"]).subset([0])
    assert mixed.white == 255  # of the whole that a dim image comes from
    assert as_fractions(mixed)[0].max() == np.float32(1 / 255)
    assert as_fractions(mixed).labels == ["a"]
    assert as_fractions(as_fractions(mixed))[0].max() == np.float32(1 / 255)


def test_another_unit_is_refused_rather_than_misjudged(rng: np.random.Generator) -> None:
    classifier = quick().fit(TRAIN, TRAIN_LABELS)
    with pytest.raises(UnreadableImage, match=r"images\[0\]: its values reach 40\d\d, where white is 1: divide it"):
        classifier.predict(TEST * 4095)
    found = classifier.extract([*TEST[:9], TEST[9] * 4095])
    assert [one.name for one in found.skipped] == ["images[9]"]
    of_counts = quick().fit(TRAIN * 4095, TRAIN_LABELS)  # one unit for all is as good as another
    assert of_counts.preprocessing_.white == pytest.approx(4095, rel=0.01)
    assert abs(of_counts.score(TEST * 4095, TEST_LABELS) - classifier.score(TEST, TEST_LABELS)) < 0.01
    hot = TEST[:1].copy()
    hot[0, 0, 0, 0] = 1e6
    assert len(classifier.predict(hot)) == 1  # a hot pixel is no unit
