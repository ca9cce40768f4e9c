"""The image sets of `few-labels`, each with one split into a training and a test part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from striate.experiments.engine.unit import Context
from striate.experiments.recognition.baselines import square
from striate.images import ImageCollection, as_images, load_mnist_digits
from striate.recognition.splits import draw_per_class, hold_out_fraction

__all__ = ["SETS", "ImageSet", "LabeledSet", "load_set"]

TEST_FRACTION = 0.4
"""Fraction of each class for testing: at most 2,000 images of the largest set."""
N_CLASSES = 20  # of Caltech-101: those with the most images
BATCH = 64  # images whose features are computed together


@dataclass(frozen=True)
class ImageSet:
    """What is known of a set before it is read.

    Attributes
    ----------
    data : str
        The name of the data set; empty for the digits that ship with the package.
    counts : tuple of int
        Numbers of labels per class: those of 1, 5, 10, 50 and 100 that every class has in the training part.
    side : int
        Pixels per side: of the images if they are squares, otherwise of the squares that descriptors are computed of.
    color : bool
    """

    data: str
    counts: tuple[int, ...]
    side: int
    color: bool = False


SETS = {
    "digits": ImageSet("", (1, 5, 10, 50, 100), 28),
    "tiles": ImageSet("tiles", (1, 5, 10), 128),
    "thumbnails 32": ImageSet("caltech101", (1, 5, 10, 50), 32, color=True),
    "thumbnails 64": ImageSet("caltech101", (1, 5, 10, 50), 64, color=True),
    "COIL-100": ImageSet("coil100", (1, 5, 10), 64),
    "15 scenes": ImageSet("scenes15", (1, 5, 10, 50, 100), 128),
}


@dataclass(frozen=True)
class LabeledSet:
    """A set, read and split.

    Attributes
    ----------
    images : ImageCollection
        Without labels, so that no method sees more of them than it is given.
    labels : int64 (n_images,)
        Classes, from 0 without a gap.
    train, test : int64
        Positions of the images of both parts. All training images may be used without their labels.
    """

    images: ImageCollection
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    test: NDArray[np.int64]

    def draw(self, per_class: int, seed: int) -> NDArray[np.int64]:
        """Draw labeled images from the training part, as places within `train`.

        Of one seed, the draw of a smaller number is part of the draw of a larger one.

        Raises
        ------
        UsageError
            For a class with fewer images.
        """
        return draw_per_class(self.labels[self.train], per_class, random_state=seed)

    def squares(self, positions: NDArray[np.int64], side: int, *, color: bool) -> Iterator[NDArray[np.float32]]:
        """Yield batches (n, 1 or 3, side, side) of the images at these positions, resized to squares."""
        for start in range(0, len(positions), BATCH):
            read = (
                self.images.read(int(position), color=color, at_least=side)
                for position in positions[start : start + BATCH]
            )
            yield np.stack([square(image, side) for image in read])


def load_set(name: str, split: int, context: Context) -> LabeledSet:
    """Read a set, and hold out two fifths of each class for testing.

    Parameters
    ----------
    name : str
        A key of `SETS`.
    split : int
        Seed of the split.
    context : Context
        At the quick scale, 200 of the digits are enough.
    """
    images, names = _READERS[name](SETS[name], context)
    labels = np.unique(names, return_inverse=True)[1].astype(np.int64)
    train, test = hold_out_fraction(labels, TEST_FRACTION, random_state=split)
    return LabeledSet(images.with_labels(None), labels, train, test)


Read = tuple[ImageCollection, NDArray[np.str_]]


def _digits(known: ImageSet, context: Context) -> Read:
    images, labels = load_mnist_digits()
    step = 1 if context.scale == "full" else 25
    return as_images(images[::step]), labels[::step].astype(str)


def _turntable(known: ImageSet, context: Context) -> Read:
    with np.load(context.data(known.data) / "coil100-64x64.npz") as found:
        return as_images(found["images"]), found["object"].astype(str)


def _folder(known: ImageSet, context: Context) -> Read:
    images = as_images(context.data(known.data))
    return images, np.asarray(images.labels)


def _thumbnails(known: ImageSet, context: Context) -> Read:
    """Color thumbnails of the classes with the most images, without the background class."""
    photographs = as_images(context.data(known.data))
    names = np.asarray(photographs.labels)
    classes, sizes = np.unique(names, return_counts=True)
    largest = [name for name in classes[np.argsort(-sizes, kind="stable")] if "BACKGROUND" not in name][:N_CLASSES]
    kept = np.flatnonzero(np.isin(names, largest))
    squares = [square(photographs.read(int(place), color=True, at_least=known.side), known.side) for place in kept]
    return as_images((255 * np.stack(squares)).round().astype(np.uint8)), names[kept]


_READERS = {
    "digits": _digits,
    "tiles": _folder,
    "thumbnails 32": _thumbnails,
    "thumbnails 64": _thumbnails,
    "COIL-100": _turntable,
    "15 scenes": _folder,
}
