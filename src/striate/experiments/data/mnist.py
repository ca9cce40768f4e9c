"""MNIST as images, and as rows of pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.experiments.engine.unit import Context
from striate.images import ImageCollection, as_images, load_mnist_digits

__all__ = ["mnist_images", "mnist_rows"]


def mnist_images(context: Context) -> tuple[ImageCollection, ImageCollection]:
    """Return training digits and test digits; at the quick scale, a fifth of those that ship, and the next ones."""
    if context.scale == "full":
        folder = context.data("mnist")
        return as_images(folder / "train-images-idx3-ubyte.gz"), as_images(folder / "t10k-images-idx3-ubyte.gz")
    images, labels = load_mnist_digits()
    chosen = np.arange(0, len(labels), 5)
    test = chosen + 1
    return as_images(images[chosen], labels[chosen]), as_images(images[test], labels[test])


def mnist_rows(
    context: Context,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Return training digits as rows of 784 pixels from 0 to 1, their labels, and the same of test digits."""
    if context.scale == "quick":
        images, labels = load_mnist_digits()
        rows = images.reshape(len(images), -1)
        rows = (rows / max(float(rows.max()), 1.0)).astype(np.float32)
        chosen = np.random.default_rng(0).permutation(len(rows))
        train, test = chosen[:1500], chosen[1500:2000]
        return rows[train], labels[train].astype(np.int64), rows[test], labels[test].astype(np.int64)
    folder = context.data("mnist")
    parts: list[Any] = []
    for name in ("train", "t10k"):
        digits = as_images(folder / f"{name}-images-idx3-ubyte.gz")
        rows = np.stack([digits.read(index).ravel() for index in range(len(digits))]).astype(np.float32)
        parts += [rows, np.asarray(digits.labels).astype(np.int64)]
    return parts[0], parts[1], parts[2], parts[3]
