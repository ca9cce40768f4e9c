"""How the units of a dictionary cover orientation and frequency, and how alike they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError

__all__ = ["coherence", "orientation_histogram", "peak_frequency"]

_PADDED = 64  # side of the transform: its grid is finer than any difference that matters between small filters


def peak_frequency(filters: NDArray[Any]) -> NDArray[np.float64]:
    """Spatial frequency at which each filter responds most to gratings, by its zero-padded spectrum.

    Unlike a fitted Gabor's, it is defined for odd filters of less than a cycle as well.

    Parameters
    ----------
    filters : float (n_filters, height, width)

    Returns
    -------
    frequency : float64 (n_filters,)
        Cycles a pixel; 0 for a constant filter. The mean is removed first.
    """
    filters = np.asarray(filters, np.float64)
    if filters.ndim != 3:
        raise UsageError(f"filters have the shape (n_filters, height, width), not {filters.shape}")
    side = max(_PADDED, *filters.shape[1:])
    centered = filters - filters.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.rfft2(centered, (side, side))) ** 2
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    peaks = power.reshape(len(filters), -1).argmax(axis=1)
    return np.where(power.max(axis=(1, 2)) > 0, radius.ravel()[peaks], 0.0)


def orientation_histogram(orientations: NDArray[Any], n_bins: int = 8) -> NDArray[np.float64]:
    """Share of the units in each bin of orientation, (n_bins,); bins are centered on 0, 180°/n_bins, …

    Parameters
    ----------
    orientations : float (n_units,)
        Radians; those that differ by π are the same.
    n_bins : int, default 8
        Of 22.5°.
    """
    if len(orientations) == 0:
        return np.zeros(n_bins)
    bins = np.round(np.asarray(orientations) / (np.pi / n_bins)).astype(int) % n_bins
    return np.bincount(bins, minlength=n_bins) / len(bins)


def coherence(dictionary: NDArray[Any]) -> tuple[float, float]:
    """The largest and the median of each unit's largest absolute cosine with another unit.

    Parameters
    ----------
    dictionary : float (n_components, n_features)
        At least two units; zero units count as orthogonal to all.
    """
    if len(dictionary) < 2:
        raise UsageError("coherence is between units: give at least two")
    norms = np.linalg.norm(dictionary, axis=1, keepdims=True)
    units = dictionary / np.where(norms > 0, norms, 1)
    cosines = np.abs(units @ units.T)
    np.fill_diagonal(cosines, 0)
    nearest = cosines.max(axis=1)
    return float(nearest.max()), float(np.median(nearest))
