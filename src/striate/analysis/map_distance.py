"""How what units prefer changes with their distance on a sheet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.analysis.orientation_map import Floats
from striate.errors import UsageError
from striate.parameters import Boolean, Integer, Real, checked
from striate.samples import as_array

__all__ = ["DistanceCurve", "difference_with_distance"]


@dataclass(frozen=True, eq=False)
class DistanceCurve:
    """Differences between units at each distance, float64 (n_distances,); NaN where there is no pair.

    Attributes
    ----------
    distance : ndarray
        1, 2, …: pairs of units are in the bin of their rounded distance. The first has the eight neighbors.
    difference : ndarray
        Mean absolute difference, around the circle if the values have a period.
    correlation : ndarray
        With a period, the mean of cos(2π·difference/period); without, 1 − ⟨difference²⟩/2·variance. It is 1 for equal
        values, and about 0 for unrelated ones.
    n_pairs : ndarray of int
    unrelated : float
        Mean absolute difference over all pairs of the sheet: what a sheet of shuffled units has at every distance.
    """

    distance: Floats
    difference: Floats
    correlation: Floats
    n_pairs: NDArray[np.intp]
    unrelated: float


def difference_with_distance(
    values: ArrayLike, *, period: float | None = None, periodic: bool = False, at_most: int = 8
) -> DistanceCurve:
    """Compare what units prefer, pair by pair, by their distance on the sheet.

    Parameters
    ----------
    values : float (height, width)
        One number per unit, such as a map of `SheetMaps`; NaN leaves a unit out.
    period : float, optional
        Values that differ by this are the same: π for orientations, 2π for phases.
    periodic : bool, default False
        Whether the sheet is a torus.
    at_most : int, default 8
        The largest distance in units; at most half of the torus's shorter side.

    Returns
    -------
    DistanceCurve

    Examples
    --------
    On a sheet whose orientation turns from column to column:

    >>> import numpy as np
    >>> from striate.analysis import difference_with_distance
    >>> turning = np.tile(np.radians(np.arange(0, 180, 15)), (12, 1))
    >>> curve = difference_with_distance(turning, period=np.pi, periodic=True, at_most=3)
    >>> np.degrees(curve.difference).round(1), round(np.degrees(curve.unrelated))
    (array([11.2, 20. , 28.1]), 45)
    """
    given = as_array(values, name="values", axes=("height", "width"), finite=False).astype(np.float64)
    period = checked("period", period, Real(above=0) | None)
    periodic = checked("periodic", periodic, Boolean())
    at_most = checked("at_most", at_most, Integer(low=1))
    known = given[np.isfinite(given)]
    if len(known) < 2:
        raise UsageError(f"differences are between units: {len(known)} of the values is a number, give at least two")
    height, width = given.shape
    if periodic:
        at_most = max(1, min(at_most, min(side for side in given.shape if side > 1) // 2))
    sums = np.zeros((3, at_most + 1))
    scale = 2 * np.pi / period if period else 0.0
    for down in range(at_most + 1):
        for right in range(-at_most if down else 1, at_most + 1):
            bin_ = int(np.floor(np.hypot(down, right) + 0.5))
            if bin_ > at_most or down >= height or abs(right) >= width:
                continue
            steps = _pairs(given, down, right, periodic)
            steps = steps[np.isfinite(steps)]
            away = _around(steps, period)
            alike = np.cos(scale * away).sum() if period else np.square(away).sum()
            sums[:, bin_] += away.sum(), alike, len(away)
    total, alike, count = sums[:, 1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = alike / count if period else 1 - alike / count / (2 * known.var())
        difference = total / count
    distance = np.arange(1, at_most + 1, dtype=np.float64)
    return DistanceCurve(distance, difference, correlation, count.astype(np.intp), _of_all_pairs(known, period))


def _pairs(values: Floats, down: int, right: int, periodic: bool) -> Floats:
    if periodic:
        return np.asarray(np.roll(values, (-down, -right), (0, 1)) - values)
    height, width = values.shape
    left, ahead = max(0, -right), max(0, right)
    return values[down:, ahead : width - left] - values[: height - down, left : width - ahead]


def _around(steps: Floats, period: float | None) -> Floats:
    away = np.abs(steps)
    if period is None:
        return away
    away = away % period
    return np.minimum(away, period - away)


def _of_all_pairs(values: Floats, period: float | None) -> float:
    total = sum(float(_around(values[i + 1 :] - value, period).sum()) for i, value in enumerate(values))
    return total / (len(values) * (len(values) - 1) / 2)
