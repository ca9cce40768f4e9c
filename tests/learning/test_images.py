"""Images as learners read them: arrays, lists, folders and other sequences, masks, crops, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate.errors import UsageError
from striate.images import ImageFolder
from striate.learning._images import Images

KERNEL = (3, 4)


def taken(X: Any, masks: Any = None, **options: Any) -> Images:
    return Images(X, masks, **({"who": "Learner", "kernel": KERNEL} | options))


class Lazy:
    """A sequence that counts what is read of it."""

    def __init__(self, images: Any) -> None:
        self.images, self.reads = images, 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        self.reads += 1
        return self.images[index]


@pytest.mark.parametrize(("dtype", "expected"), [("f4", "f4"), ("f8", "f8"), ("f2", "f4"), ("u1", "f8"), (">f4", "f4")])
def test_types_and_channels(rng: np.random.Generator, dtype: str, expected: str) -> None:
    array = (100 * rng.random((5, 2, 8, 9))).astype(dtype)
    for given in (array, list(array), tuple(array), Lazy(array)):
        images = taken(given)
        assert (len(images), images.n_channels, images.dtype) == (5, 2, np.dtype(expected))
        assert images.is_array == isinstance(given, np.ndarray)
        image, mask = images[3]
        assert image.dtype == np.dtype(expected)
        assert mask is None
        np.testing.assert_array_equal(image, array[3])
    np.testing.assert_array_equal(taken(list(array[:, 0]))[1][0], array[1, :1])


def test_a_sequence_is_read_one_batch_at_a_time(rng: np.random.Generator) -> None:
    lazy = Lazy([rng.random((1, 8 + i, 9)) for i in range(30)])
    images = taken(lazy)
    assert lazy.reads == 1
    batch = images.batch([4, 7])
    assert lazy.reads == 3
    assert [image.shape for image in batch.images] == [(1, 12, 9), (1, 15, 9)]
    assert [image.shape for image in batch.corner(9).images] == [(1, 9, 9)] * 2


def test_a_folder(tmp_path: Path, rng: np.random.Generator) -> None:
    for i in range(3):
        Image.fromarray((255 * rng.random((8 + i, 9))).astype(np.uint8)).save(tmp_path / f"{i}.png")
    for given in (tmp_path, str(tmp_path), ImageFolder(tmp_path)):
        images = taken(given)
        assert len(images) == 3
        np.testing.assert_array_equal(images[2][0], ImageFolder(tmp_path)[2])


def test_crops_are_a_function_of_the_generator(rng: np.random.Generator) -> None:
    array = rng.random((4, 1, 10, 20))
    images = taken(array, np.arange(800.0).reshape(4, 10, 20))

    def batch(seed: int) -> Any:
        return images.batch([0, 3], crop=12, rng=np.random.default_rng(seed))

    first, again, other = batch(1), batch(1), batch(2)
    assert [image.shape for image in first.images] == [(1, 10, 12)] * 2
    for one, same, mask, row in zip(first.images, again.images, first.masks, (0, 3), strict=True):
        np.testing.assert_array_equal(one, same)
        column = int(mask[0, 0, 0]) - 200 * row
        np.testing.assert_array_equal(one, array[row, :, :, column : column + 12])
    assert not np.array_equal(first.images[1], other.images[1])


def test_hidden_pixels_are_zero_and_may_be_nan(rng: np.random.Generator) -> None:
    array = rng.random((2, 3, 8, 9))
    masks = np.ones((2, 8, 9))
    masks[1, 2:4, 5] = 0
    hidden = array.copy()
    hidden[1, :, 2:4, 5] = np.nan
    image, mask = taken(hidden, masks)[1]
    assert mask is not None
    assert mask.shape == image.shape
    assert not image[:, 2:4, 5].any()
    np.testing.assert_array_equal(image[mask > 0], array[1][mask > 0])
    np.testing.assert_array_equal(taken(list(hidden), list(masks))[1][0], image)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda array: array[0], r"an array \(n_images, channels, height, width\), a list of images, or a folder"),
        (lambda array: array[:0], "no images"),
        (lambda _: [], "no images"),
        (lambda array: 1j * array, "real numbers"),
        (lambda array: array.astype(str), "real numbers"),
        (lambda array: list(array.reshape(-1)), "image 0 has shape"),
        (lambda array: [array[0], array[1, :1]], "image 1 has 1 channels, and 2 are needed"),
        (lambda array: [array[0], array[1, :, :2]], "image 1 is 2×9, smaller than filters of 3×4; .*pad it"),
        (lambda array: [array[0], [[1.0], [1.0, 2.0]]], "image 1: no array of numbers"),
        (
            lambda array: np.where(np.arange(5)[:, None, None, None] == 3, np.nan, array),
            "image 3 holds NaN or infinity",
        ),
        (lambda array: np.ma.masked_greater(array, 0.5), "masked values"),
        (lambda _: 5, "an array"),
        (lambda _: {"a": 1}, "real numbers"),
        (lambda _: None, "real numbers"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(
    rng: np.random.Generator, wrong: Callable[[np.ndarray], Any], message: str
) -> None:
    with pytest.raises(UsageError, match=rf"^Learner: .*{message}"):
        taken(wrong(rng.random((5, 2, 8, 9))))


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.ones((4, 8, 9)), "a sequence of 5 masks"),
        (5, "a sequence of 5 masks"),
        (np.ones((5, 8, 8)), r"mask of image 0 has shape \(8, 8\), and \(8, 9\) or \(2, 8, 9\)"),
        (-np.ones((5, 8, 9)), "negative"),
        (np.full((5, 8, 9), np.nan), "NaN"),
        ([None] * 5, "real numbers"),
    ],
)
def test_wrong_masks(rng: np.random.Generator, masks: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        taken(rng.random((5, 2, 8, 9)), masks)
