"""Prepared images and their classes in batches, for training by gradients; moved, mirrored and bent on request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from striate.images import ImageCollection, Preprocessing
from striate.images.stream import stream
from striate.recognition.distortion import distorted

__all__ = ["TrainingImages", "moved"]

Batch = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class TrainingImages:
    """Images that are read again in every epoch, in the memory of a few batches.

    Parameters
    ----------
    images : ImageCollection
        All of them readable.
    codes : int64 (n_images,)
        Their classes, as numbers.
    preprocessing : Preprocessing
    """

    images: ImageCollection
    codes: NDArray[np.int64]
    preprocessing: Preprocessing

    def batches(self, rows: NDArray[np.int64], batch_size: int, *, start: int = 0) -> Iterator[Batch]:
        """Prepared images (n, channels, height, width) and their classes (n,), in the order of `rows`.

        Parameters
        ----------
        rows : int64 (n,)
        batch_size : int
        start : int
            Batches that are left out, to go on after them.
        """
        batches = stream(
            self.images,
            self.preprocessing,
            batch_size=batch_size,
            indices=rows,
            start=min(start * batch_size, len(rows)),
        )
        for found, prepared in batches:
            yield prepared, self.codes[found]


def moved(
    images: NDArray[np.float32], *, shift: int, mirror: bool, elastic: float = 0.0, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A batch with each image moved by a random number of pixels, mirrored or not, and distorted elastically.

    Parameters
    ----------
    images : float32 (n, channels, height, width)
    shift : int
        The most pixels along each axis; the edge of an image is repeated.
    mirror : bool
        Whether half of the images, at random, are mirrored.
    elastic : float
        See `distorted`.
    rng : Generator

    Returns
    -------
    float32, of the same shape
    """
    made = images
    if shift:
        n, _, height, width = images.shape
        padded = np.pad(images, [(0, 0), (0, 0), (shift, shift), (shift, shift)], mode="edge")
        made = np.empty_like(images)
        for number, (top, left) in enumerate(rng.integers(0, 2 * shift + 1, (n, 2)).tolist()):
            made[number] = padded[number, :, top : top + height, left : left + width]
    if mirror:
        turned = rng.random(len(images)) < 0.5
        made = np.where(turned[:, None, None, None], made[..., ::-1], made)
    return distorted(made, elastic, rng) if elastic else made
