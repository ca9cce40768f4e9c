"""How the units of a dictionary cover orientation and frequency, and how similar they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.parameters import Integer, checked
from striate.samples import as_array, as_samples

__all__ = ["coherence", "near_one", "orientation_histogram", "peak_frequency"]

_PADDED = 64  # side of the transform: its grid is finer than any difference that matters between small filters


def peak_frequency(filters: ArrayLike) -> NDArray[np.float64]:
    """Spatial frequency at which each filter responds most to gratings, by its zero-padded spectrum.

    Unlike the frequency of a fitted Gabor function, it is defined for odd filters of less than a cycle as well.

    Parameters
    ----------
    filters : float (n_filters, height, width)

    Returns
    -------
    frequency : float64 (n_filters,)
        Cycles per pixel; 0 for a constant filter. The mean is removed first.
    """
    given = as_array(filters, name="filters", axes=("n_filters", "height", "width"))
    if not given.size:
        raise UsageError(f"filters of shape {given.shape}: give (n_filters, height, width), none of them 0")
    weights = near_one(given.astype(np.float64))
    side = max(_PADDED, *weights.shape[1:])
    centered = weights - weights.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.rfft2(centered, (side, side))) ** 2
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    peaks = power.reshape(len(power), -1).argmax(axis=1)
    return np.where(power.max(axis=(1, 2)) > 0, radius.ravel()[peaks], 0.0)


def orientation_histogram(orientations: ArrayLike, n_bins: int = 8) -> NDArray[np.float64]:
    """Share of the units in each bin of orientation, (n_bins,); bins are centered on 0, 180°/n_bins, …

    Parameters
    ----------
    orientations : float (n_units,)
        Radians; those that differ by π are the same.
    n_bins : int, default 8
        8 bins are 22.5° wide.
    """
    n_bins = checked("n_bins", n_bins, Integer(low=1))
    angles = as_array(orientations, name="orientations", axes=("n_units",))
    if len(angles) == 0:
        return np.zeros(n_bins)
    bins = np.round(angles / (np.pi / n_bins)).astype(int) % n_bins
    return np.bincount(bins, minlength=n_bins) / len(bins)


def coherence(dictionary: ArrayLike) -> tuple[float, float]:
    """The largest and the median of each unit's largest absolute cosine with another unit.

    Parameters
    ----------
    dictionary : float (n_components, n_features)
        At least two units; zero units count as orthogonal to all.
    """
    given = near_one(as_samples(dictionary, name="units"))
    if len(given) < 2:
        raise UsageError("coherence is between units: give at least two")
    norms = np.linalg.norm(given, axis=1, keepdims=True)
    units = given / np.where(norms > 0, norms, 1)
    cosines = np.abs(units @ units.T)
    np.fill_diagonal(cosines, 0)
    nearest = cosines.max(axis=1)
    return float(nearest.max()), float(np.median(nearest))


def near_one(rows: NDArray[Any]) -> NDArray[Any]:
    """Each row times a power of two, so that its largest number is near 1: no rounding, and squares stay in range."""
    largest = np.abs(rows).reshape(len(rows), -1).max(axis=1, initial=0)
    exponents = np.frexp(largest)[1].reshape(-1, *[1] * (rows.ndim - 1))
    scaled: NDArray[Any] = np.ldexp(rows, -exponents)
    return scaled
