"""Whitening: it removes the excess power of photographs at low frequencies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError

__all__ = ["whiten"]

_MARGIN = 16  # pixels of mirrored margin, so that opposite borders do not touch


def whiten(image: NDArray[np.floating], *, cutoff: float = 0.4) -> NDArray[np.float32]:
    """Flatten the spectrum of a photograph, up to a cutoff: the filter f·exp(−(f/cutoff)⁴).

    Amplitudes of photographs fall as 1/f; without whitening, sparse codes would spend their units on slow gradients.
    The cutoff removes the corners of the spectrum, which are mostly noise.

    Parameters
    ----------
    image : float (channels, height, width)
    cutoff : float, default 0.4
        Cycles per pixel; Olshausen and Field use 200 cycles per image of 512 pixels.

    Returns
    -------
    float32 (channels, height, width)
        Each channel with mean 0 and variance 1; 0 where it was constant.

    References
    ----------
    Olshausen, Field, "Sparse coding with an overcomplete basis set: a strategy employed by V1?", Vision Research 1997.
    """
    if image.ndim != 3:
        raise UsageError(f"an image has the shape (channels, height, width), not {image.shape}")
    if not cutoff > 0:
        raise UsageError(f"cutoff must be above 0, in cycles per pixel; got {cutoff}")
    margin = min(_MARGIN, image.shape[1], image.shape[2])
    centered = image.astype(np.float64) - image.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    padded = np.pad(centered, ((0, 0), (margin, margin), (margin, margin)), mode="symmetric")
    height, width = padded.shape[1:]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    spectrum = np.fft.rfft2(padded) * frequency * np.exp(-((frequency / cutoff) ** 4))
    result = np.fft.irfft2(spectrum, (height, width))[:, margin:-margin, margin:-margin]
    result -= result.mean(axis=(1, 2), keepdims=True)
    deviation = result.std(axis=(1, 2), keepdims=True)
    is_flat = np.abs(centered).max(axis=(1, 2), keepdims=True) <= 1e-7 * np.abs(image).max()
    return np.where(is_flat, 0, result / np.where(deviation > 0, deviation, 1)).astype(np.float32)
