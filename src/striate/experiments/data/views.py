"""Views of objects from a turntable, with few labels: COIL-100, or small NORB where its files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.experiments.engine.unit import Context
from striate.images import ImageCollection, as_images, load_mnist_digits
from striate.images.norb import read_small_norb
from striate.recognition.splits import draw_per_class

__all__ = ["Views", "load_views"]


@dataclass(frozen=True)
class Views:
    """Images of objects in several poses.

    Attributes
    ----------
    images : ImageCollection
    labels : int64 (n_images,)
    pool : int64 (n,)
        Positions of the images from which labeled ones are drawn, in random order.
    test : int64 (n_test,) or None
        Positions of the test images; None if these are all that were not drawn.
    """

    images: ImageCollection
    labels: NDArray[np.int64]
    pool: NDArray[np.int64]
    test: NDArray[np.int64] | None

    def draw(self, n_per_class: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of labeled images, the same number of each class, and of test images."""
        train = self.pool[draw_per_class(self.labels[self.pool], n_per_class, random_state=rng)]
        test = np.setdiff1d(np.arange(len(self.labels)), train) if self.test is None else self.test
        return np.sort(train), test


def load_views(context: Context, name: str) -> Views:
    """Load ``"coil100"`` or ``"small-norb"``; digits at quick scale.

    A class of COIL-100 is an object, and its other views are the test images. A class of small NORB is a category: five
    toys of it are for training and five others for testing, and the left image of each stereo pair is used.
    """
    if context.scale == "quick":
        digits, names = load_mnist_digits()
        return _one_pool(digits[::17], names[::17].astype(np.int64))
    folder = context.data(name)
    if name == "small-norb":
        return _small_norb(folder)
    with np.load(folder / "coil100-64x64.npz") as found:
        return _one_pool(found["images"], found["object"].astype(np.int64))


def _one_pool(images: NDArray[Any], labels: NDArray[np.int64]) -> Views:
    order = np.random.default_rng(0).permutation(len(images))
    return Views(as_images(images[order]), labels[order], np.arange(len(images)), None)


def _small_norb(folder: Path) -> Views:
    parts = []
    for part in ("training", "testing"):
        paths = sorted(folder.glob(f"*-{part}-dat.mat"))
        if len(paths) != 1:
            raise UsageError(
                f"{folder} holds {len(paths)} files that end in -{part}-dat.mat, and small NORB has one: unpack its "
                "six files there, and no others"
            )
        parts.append(read_small_norb(paths[0]))
    training, testing = parts
    images = np.concatenate([training.images[:, 0], testing.images[:, 0]])
    labels = np.concatenate([training.category, testing.category]).astype(np.int64)
    pool = np.random.default_rng(0).permutation(len(training.images))
    return Views(as_images(images), labels, pool, np.arange(len(training.images), len(images)))
