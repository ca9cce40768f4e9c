"""Elastic distortions of training images: each is bent a little, at random and smoothly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["distorted"]

# Displacements are alike within this part of an image's side: 4 pixels of 28, as in the paper.
_SMOOTH = 1 / 7


def distorted(images: NDArray[np.float32], elastic: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A batch with each image resampled at displaced points.

    The displacements along each axis are white noise under a Gaussian window, whose standard deviation is a seventh of
    the image's side. The noise wraps around the image, so that displacements are as large everywhere.

    Parameters
    ----------
    images : float32 (n, channels, height, width)
    elastic : float
        Root mean square of the displacements along an axis, in pixels. The paper's, for digits of 28 pixels (uniform
        noise of −1 to 1, window of 4 pixels, factor 34), are 1.4.
    rng : Generator

    Returns
    -------
    float32, of the same shape
        Values between pixels are interpolated linearly, and the edge of an image is repeated beyond it.

    References
    ----------
    Simard, Steinkraus, Platt, "Best practices for convolutional neural networks applied to visual document analysis",
    ICDAR 2003.
    """
    n, _, height, width = images.shape
    noise = rng.standard_normal((n, 2, height, width), dtype=np.float32)
    displaced = np.float32(elastic) * (_window(height) @ noise @ _window(width).T)
    top, below = _between(np.arange(height, dtype=np.float32)[:, None] + displaced[:, 0], height)
    left, beside = _between(np.arange(width, dtype=np.float32) + displaced[:, 1], width)
    flat = images.reshape(*images.shape[:2], height * width)

    def at(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
        places = (rows * width + columns).reshape(n, 1, height * width)
        return np.take_along_axis(flat, places, axis=2).reshape(images.shape)

    below, beside = below[:, None], beside[:, None]
    # At the last row and column the weight of the next one is 0.
    lower, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    above_them = at(top, left) * (1 - beside) + at(top, right) * beside
    below_them = at(lower, left) * (1 - beside) + at(lower, right) * beside
    return np.asarray(above_them * (1 - below) + below_them * below, np.float32)


def _window(length: int) -> NDArray[np.float32]:
    """A matrix (length, length) that weighs points by their distance on a circle; white noise keeps its variance."""
    distance = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    distance = np.minimum(distance, length - distance)
    weights = np.exp(-0.5 * (distance / (_SMOOTH * length)) ** 2)
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)


def _between(places: NDArray[Any], length: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The pixel before each place, and how far the place is from it to the next."""
    places = places.clip(0, length - 1)
    before = np.floor(places)
    return before.astype(np.int64), np.asarray(places - before, np.float32)
