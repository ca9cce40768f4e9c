"""Grey and YUV by ITU-R BT.601, the weights of television and of every JPEG file.

Y = 0.299 R + 0.587 G + 0.114 B (luma),   U = 0.492 (B − Y),   V = 0.877 (R − Y).

Computed on gamma-coded values, as in the standard, and in floating point, without rounding to 8 bits.
"""

from __future__ import annotations

import numpy as np

from striate.errors import UsageError

LUMA_WEIGHTS = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luma (BT.601-7, section 2.5.1); they sum to 1."""

# BT.601 scales the color differences so that U lies in ±0.436 and V in ±0.615.
_U_SCALE = 0.436 / (1 - LUMA_WEIGHTS[2])
_V_SCALE = 0.615 / (1 - LUMA_WEIGHTS[0])


def to_grey(image: np.ndarray) -> np.ndarray:
    """Luma of a color image; a grey image as it is.

    Parameters
    ----------
    image : (..., 3 or 1, height, width) float array
        Red, green and blue, or grey.

    Returns
    -------
    (..., 1, height, width) array, dtype of `image`
        In the range of `image`. A grey image is returned itself, not a copy.

    Raises
    ------
    UsageError
        When there are neither 1 nor 3 channels: a stereo pair has no luma.
    """
    if _n_channels(image, "grey") == 1:
        return image
    return _luma(image)


def to_yuv(image: np.ndarray) -> np.ndarray:
    """Luma and two color differences of a color image (red, green, blue).

    Parameters
    ----------
    image : (..., 3 or 1, height, width) float array
        Red, green and blue, 0–1, or grey, whose color differences are zero.

    Returns
    -------
    (..., 3, height, width) array, dtype of `image`
        Y in 0–1, U in −0.436–0.436, V in −0.615–0.615.

    Raises
    ------
    UsageError
        When there are neither 1 nor 3 channels.

    References
    ----------
    Recommendation ITU-R BT.601-7, section 2.5.
    """
    yuv = np.empty((*image.shape[:-3], 3, *image.shape[-2:]), dtype=image.dtype)
    if _n_channels(image, "YUV") == 1:
        yuv[..., :1, :, :] = image
        yuv[..., 1:, :, :] = 0
        return yuv
    luma = _luma(image)
    yuv[..., :1, :, :] = luma
    np.multiply(image[..., 2:3, :, :] - luma, image.dtype.type(_U_SCALE), out=yuv[..., 1:2, :, :])
    np.multiply(image[..., 0:1, :, :] - luma, image.dtype.type(_V_SCALE), out=yuv[..., 2:3, :, :])
    return yuv


def to_rgb(image: np.ndarray) -> np.ndarray:
    """Three equal channels from a grey image; a color image as it is.

    Parameters
    ----------
    image : (..., 3 or 1, height, width) array
        Red, green and blue, or grey.

    Returns
    -------
    (..., 3, height, width) array, dtype of `image`
        A color image is returned itself, not a copy.

    Raises
    ------
    UsageError
        When there are neither 1 nor 3 channels.
    """
    if _n_channels(image, "RGB") == 3:
        return image
    return np.repeat(image, 3, axis=-3)


def _luma(image: np.ndarray) -> np.ndarray:
    red, green, blue = (image.dtype.type(weight) for weight in LUMA_WEIGHTS)
    luma = red * image[..., 0:1, :, :]
    luma += green * image[..., 1:2, :, :]
    luma += blue * image[..., 2:3, :, :]
    return luma


def _n_channels(image: np.ndarray, target: str) -> int:
    if image.ndim < 3 or image.shape[-3] not in (1, 3):
        raise UsageError(
            f"an image of shape {image.shape} cannot become {target}: "
            "give (channels, height, width) with 1 channel (grey) or 3 (red, green, blue)"
        )
    return int(image.shape[-3])
