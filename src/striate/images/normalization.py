"""Local contrast normalization: subtract the local mean, divide by the local standard deviation.

An edge then looks the same in bright and dark light; flat regions stay flat, because the divisor has a lower bound.
All windows are Gaussian and separable; at a border, the weights inside the image are scaled to sum to 1, so that no
pixels are made up outside.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.ndimage import correlate1d

from striate.errors import UsageError

__all__ = ["gaussian_window", "high_pass", "local_contrast_normalization"]


def gaussian_window(size: int, sigma: float) -> np.ndarray:
    """The weights of one axis of a separable Gaussian window.

    Parameters
    ----------
    size : int
        Number of weights, odd, so that the window has a center.
    sigma : float
        Standard deviation of the Gaussian, in pixels.

    Returns
    -------
    ndarray (size,), float64
        Weights that sum to 1; the window in two dimensions is their outer product.

    Raises
    ------
    UsageError
        If `size` is not odd and positive, or `sigma` not positive.
    """
    if size < 1 or size % 2 == 0:
        raise UsageError(f"a Gaussian window needs an odd size, such as 9, to have a center; got {size}")
    if not sigma > 0:
        raise UsageError(f"a Gaussian window needs sigma > 0 (in pixels); got {sigma}")
    offsets = np.arange(size) - size // 2
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    return weights / weights.sum()


def high_pass(image: np.ndarray, *, size: int = 9, sigma: float = 1.591) -> np.ndarray:
    """Subtract from every pixel the Gaussian mean of its neighborhood.

    Parameters
    ----------
    image : ndarray (..., height, width)
        Images of any number of channels; each channel is filtered by itself.
    size, sigma : int, float
        The window, in pixels; see `gaussian_window`.

    Returns
    -------
    ndarray (..., height, width), float32 (float64 if `image` is)
        The image without its local mean.
    """
    image = _as_float(image)
    return image - _local_mean(image, size, sigma)


def local_contrast_normalization(
    image: np.ndarray,
    *,
    size: int = 9,
    sigma: float = 1.591,
    floor: Literal["mean"] | float = "mean",
    jointly: bool = False,
) -> np.ndarray:
    """Subtractive, then divisive normalization over a Gaussian window.

    With `w` the window, normalized to sum to 1 over the pixels (and channels, if `jointly`) that it covers::

        v = x − Σ w x,    σ² = Σ w v²,    y = v / max(floor, σ)

    Parameters
    ----------
    image : ndarray (..., height, width) or, if `jointly`, (..., channels, height, width)
        An image, feature maps, or a batch of either. Integers are taken as float32.
    size : int, default 9
        Side of the window in pixels, odd; the paper uses 9. It may exceed the image.
    sigma : float, default 1.591
        Standard deviation of the window, in pixels; the value of the paper, with a weight of 0.0001 at the corners.
    floor : "mean" or float, default "mean"
        Lower bound of `σ`, so that the noise of flat regions is not amplified. "mean" is the mean of `σ` over the
        image (over each channel, unless `jointly`), which follows the contrast of the image.
    jointly : bool, default False
        Whether the channels share one mean and one deviation, as the maps of a stage do: then strong maps
        suppress weak ones. Otherwise each channel is normalized by itself.

    Returns
    -------
    ndarray, shape of `image`, float32 (float64 if `image` is)
        The normalized image. An image without any contrast becomes 0.

    Raises
    ------
    UsageError
        If the window or `floor` is impossible, or `image` has too few dimensions.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun, "What is the best multi-stage architecture for object recognition?",
    ICCV 2009, section 2.1 (layer N).
    """
    image = _as_float(image)
    if jointly and image.ndim < 3:
        raise UsageError(f"jointly=True needs the shape (channels, height, width); got {image.shape}")
    if floor != "mean" and not (isinstance(floor, int | float) and floor >= 0):
        raise UsageError(f'floor must be "mean" or a number >= 0; got {floor!r}')
    if image.size == 0:
        return image.copy()

    # The weights are the same in every channel, so that the mean over channels may come first.
    pooled = image.mean(axis=-3, keepdims=True, dtype=image.dtype) if jointly else image
    centered = image - _local_mean(pooled, size, sigma)
    energy = np.square(centered)
    if jointly:
        energy = energy.mean(axis=-3, keepdims=True, dtype=image.dtype)
    divisor = np.sqrt(_local_mean(energy, size, sigma))
    lowest = divisor.mean(axis=(-2, -1), keepdims=True) if floor == "mean" else image.dtype.type(floor)
    np.maximum(divisor, lowest, out=divisor)
    # A deviation within the rounding of the pixels is no structure: the result is 0 instead of noise.
    one_image = (-3, -2, -1) if jointly else (-2, -1)
    rounding = 8 * np.finfo(image.dtype).eps * np.abs(image).max(axis=one_image, keepdims=True)
    divisor[divisor <= rounding] = np.inf
    centered /= divisor
    return centered


def _as_float(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim < 2:
        raise UsageError(f"an image needs a height and a width; got the shape {image.shape}")
    return image if image.dtype == np.float64 else np.asarray(image, dtype=np.float32)


def _local_mean(image: np.ndarray, size: int, sigma: float) -> np.ndarray:
    """Gaussian mean of the last two axes, over those pixels of the window that exist."""
    for axis in (-2, -1):
        weights = gaussian_window(size, sigma)
        image = correlate1d(image, weights, axis=axis, mode="constant")
        inside = _weight_inside(image.shape[axis], size, sigma).astype(image.dtype)
        image /= inside[:, np.newaxis] if axis == -2 else inside
    return image


@lru_cache(maxsize=64)
def _weight_inside(length: int, size: int, sigma: float) -> np.ndarray:
    """For every position of an axis, the sum of the weights that fall on the image."""
    return correlate1d(np.ones(length), gaussian_window(size, sigma), mode="constant")
