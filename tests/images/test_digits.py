"""The digits that ship with the package."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from striate.images import load_mnist_digits


def test_five_hundred_of_each_class_in_white_on_black() -> None:
    images, labels = load_mnist_digits()
    assert images.shape == (5000, 1, 28, 28)
    assert images.dtype == np.float32
    assert np.bincount(labels).tolist() == [500] * 10
    assert (np.diff(labels) >= 0).all()
    assert images.min() == 0
    assert images.max() == 1
    assert 0.1 < images.mean() < 0.16  # MNIST's mean is 0.1307


@pytest.mark.data
def test_each_is_a_training_digit_of_mnist_with_the_same_label(data_folder: Callable[[str], Path]) -> None:
    folder = data_folder("mnist")
    pixels = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    classes = gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes())[8:]
    known = {pixels[784 * i : 784 * (i + 1)]: label for i, label in enumerate(classes)}
    images, labels = load_mnist_digits()
    found = [known[image.tobytes()] for image in np.rint(255 * images).astype(np.uint8)]
    assert found == labels.tolist()
