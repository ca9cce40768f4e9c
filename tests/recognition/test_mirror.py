"""The decision whether mirror images are other views of the same class."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.images import Preprocessing, as_images, load_mnist_digits
from striate.recognition.mirror import decide_mirror
from tests.conftest import DataFolder


def mirror(images: NDArray) -> NDArray:
    return images[..., ::-1]


def photographs(n: int, side: int = 24) -> NDArray[np.float32]:
    """Crops of photographs that do not overlap."""
    from skimage import data

    crops = []
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        grey = getattr(data, name)().mean(axis=2)[::2, ::2] / 255
        height, width = (length // side * side for length in grey.shape)
        tiles = grey[:height, :width].reshape(height // side, side, width // side, side).swapaxes(1, 2)
        crops.append(tiles.reshape(-1, side, side))
    found = np.concatenate(crops).astype(np.float32)
    found = found[found.std(axis=(1, 2)) > 0.05]
    return found[np.random.default_rng(0).permutation(len(found))[:n]]


def letters(text: str, n: int) -> tuple[NDArray[np.float32], list[str]]:
    from PIL import Image, ImageDraw, ImageFont

    rng = np.random.default_rng(0)
    font = ImageFont.load_default(size=20)
    images, labels = [], []
    for letter in text:
        for _ in range(n):
            page = Image.new("L", (28, 28))
            place = (7 + int(rng.integers(-2, 3)), 2 + int(rng.integers(-2, 3)))
            ImageDraw.Draw(page).text(place, letter, fill=255, font=font)
            images.append(np.asarray(page, np.float32) / 255 + rng.normal(0, 0.02, (28, 28)))
            labels.append(letter)
    return np.stack(images).astype(np.float32), labels


@pytest.mark.parametrize("every", [5, 50, 125])
def test_digits_are_not_mirrored(every: int) -> None:
    images, labels = load_mnist_digits()
    decision = decide_mirror(images[::every], mirror(images[::every]), labels[::every].tolist(), random_state=0)
    assert not decision.mirror
    assert "resemble other images less" in decision.reason
    assert not decide_mirror(images[::every], mirror(images[::every])).mirror


@pytest.mark.parametrize("text", ["bdpqEFGR", "abcdefghijklmnopqrstuvwxyz", "bdpq"])
def test_letters_are_not_mirrored(text: str) -> None:
    images, labels = letters(text, 10)
    for given in (labels, None):
        assert not decide_mirror(images, mirror(images), given, random_state=0).mirror


def test_photographs_are_mirrored() -> None:
    images = photographs(200)
    decision = decide_mirror(images, mirror(images))
    assert decision.mirror, decision
    assert decision.accuracy is None


def test_a_class_of_mirror_images_of_another_is_found_by_labels() -> None:
    # Slopes of light to the right, and the same photographs mirrored.
    slope = np.linspace(-0.3, 0.3, 24, dtype=np.float32)
    images = photographs(120) + slope
    images = np.concatenate([images[:60], mirror(images[60:])])
    labels = ["right"] * 60 + ["left"] * 60
    decision = decide_mirror(images, mirror(images), labels, random_state=0)
    assert not decision.mirror
    assert decision.accuracy is not None
    assert decision.accuracy_mirrored is not None
    assert decision.accuracy_mirrored < decision.accuracy - 0.2
    assert "falls from" in decision.reason
    # Images without a label do not count: of one class alone, nothing can be compared.
    assert decide_mirror(images, mirror(images), [*labels[:60], *[None] * 60]).mirror


def test_a_mirror_image_of_the_image_itself_does_not_count() -> None:
    # Symmetric in themselves, and far from each other.
    half = np.random.default_rng(1).random((40, 8, 4))
    images = np.concatenate([half, half[..., ::-1]], axis=2)
    decision = decide_mirror(images, mirror(images))
    assert decision.mirror
    assert decision.farther == pytest.approx(0, abs=1e-9)


def test_few_and_equal_images() -> None:
    images = np.random.default_rng(0).random((19, 5, 5))
    assert "too few" in decide_mirror(images, mirror(images)).reason
    assert decide_mirror(np.ones((30, 5, 5)), np.ones((30, 5, 5))).farther == 0


def test_mistakes() -> None:
    images = np.random.default_rng(0).random((30, 5, 5))
    with pytest.raises(UsageError, match="do not fit"):
        decide_mirror(images, images[1:])
    with pytest.raises(UsageError, match="29 labels for 30 images"):
        decide_mirror(images, images, ["a"] * 29)
    with pytest.raises(UsageError, match="NaN"):
        decide_mirror(np.where(images > 0.99, np.nan, images), images)


@pytest.mark.data
@pytest.mark.parametrize(
    "classes", [("Faces_easy",), ("airplanes", "Faces_easy", "butterfly", "pizza", "chair"), ("accordion", "dolphin")]
)
def test_photographs_of_faces_and_objects_are_mirrored(data_folder: DataFolder, classes: tuple[str, ...]) -> None:
    preprocessing = Preprocessing((32, 32), contrast="none")
    images, labels = [], []
    for name in classes:
        folder = as_images(data_folder("caltech101") / name)
        for index in range(40):
            images.append(preprocessing(folder.read(index, **preprocessing.reading)))
            labels.append(name)
    decision = decide_mirror(np.stack(images), mirror(np.stack(images)), labels, random_state=0)
    assert decision.mirror, decision
