"""The density of pinwheels per squared column spacing, with its plateau over cut-offs and its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from striate.analysis.column_spacing import column_spacing, spacing_of
from striate.analysis.orientation_map import Floats, OrientationMap, checked_map
from striate.analysis.pinwheels import Pinwheels, find_pinwheels
from striate.parameters import Integer, Real, checked

__all__ = ["PinwheelDensity", "pinwheel_density"]

_CUTOFFS = (0.2, 0.9)  # wavelengths relative to the column spacing: above, the filter cuts the columns away
_N_CUTOFFS = 25
_FINEST = 2.5  # pixels: a shorter wavelength is not on the grid, and nothing would be filtered
_PLATEAU = 1.5  # the plateau spans at least this ratio of wavelengths
_FLAT = 0.2  # relative spread of the density over the plateau; that of filtered white noise is 0.8
_ENOUGH = 10.0  # hypercolumns


@dataclass(frozen=True, eq=False)
class PinwheelDensity:
    """Pinwheels per squared column spacing.

    Attributes
    ----------
    density : float
        The mean over the plateau; NaN if the map has no column spacing, or no plateau.
    standard_error : float
        By jackknife over blocks of the map; with the spacing's own error unless the spacing was given.
    spacing : float
        Column spacing in pixels.
    n_hypercolumns : float
        The map's area in squared column spacings.
    cutoffs, densities : ndarray (n_cutoffs,), float64
        Shortest wavelengths in pixels that were left in the map, and the density at each.
    plateau : (float, float)
        The first and the last cut-off of the plateau; NaN if there is none.
    pinwheels : Pinwheels
        Those at the middle of the plateau, or of all cut-offs if there is none; without a spacing, of the map as it is.
    smoothed : OrientationMap
        The map in which they were found.
    caveats : tuple of str
        What stands against the number; empty if nothing does.
    """

    density: float
    standard_error: float
    spacing: float
    n_hypercolumns: float
    cutoffs: Floats
    densities: Floats
    plateau: tuple[float, float]
    pinwheels: Pinwheels
    smoothed: OrientationMap
    caveats: tuple[str, ...]


def pinwheel_density(
    orientation_map: OrientationMap, *, spacing: float | None = None, n_blocks: int = 5
) -> PinwheelDensity:
    """Count pinwheels per squared column spacing where the count does not depend on the smoothing.

    Noise makes pairs of pinwheels, and too much smoothing removes true ones. The map is therefore smoothed with 25
    cut-offs from 0.2 to 0.9 of the column spacing, but at least 2.5 pixels; the plateau is the range of cut-offs,
    spanning a factor of 1.5, over which the density changes least. If it changes by more than 20 %, there is none.

    Parameters
    ----------
    orientation_map : OrientationMap
        With at least 10 squared column spacings, or the error is too large for any conclusion.
    spacing : float, optional
        Column spacing in pixels, at least 2. By default, that of `column_spacing`; a control without a spacing of its
        own, such as a shuffled map, is measured with the map's.
    n_blocks : int, default 5
        The jackknife leaves out each of n_blocks × n_blocks blocks in turn: from both the count and the spectrum.

    Returns
    -------
    PinwheelDensity

    Examples
    --------
    >>> from striate.analysis import gaussian_map, pinwheel_density
    >>> found = pinwheel_density(gaussian_map((128, 128), 12, random_state=0))
    >>> print(f"{found.density:.2f} ± {found.standard_error:.2f}")
    3.64 ± 0.15
    >>> pinwheel_density(gaussian_map((24, 24), 12, random_state=0)).caveats
    ('only 4 hypercolumns: at least 10 are needed for a density',)

    References
    ----------
    Kaschube et al., Science 2010; Efron, "The jackknife, the bootstrap and other resampling plans", 1982.
    """
    given = checked_map(orientation_map)
    n_blocks = checked("n_blocks", n_blocks, Integer(low=2, high=min(given.shape)))
    own = checked("spacing", spacing, Real(low=2) | None)
    measured = column_spacing(given) if own is None else None
    length = own if measured is None else measured.spacing
    if not np.isfinite(length):
        assert measured is not None
        return _nothing(given, measured.caveat)
    cutoffs = np.geomspace(max(_CUTOFFS[0] * length, _FINEST), max(_CUTOFFS[1] * length, _FINEST), _N_CUTOFFS)
    found = [find_pinwheels(given.filtered(shortest=float(cutoff))) for cutoff in cutoffs]
    area = found[0].area
    densities = np.array([len(some) for some in found]) * length**2 / max(area, 1)
    caveats = []
    if area / length**2 < _ENOUGH:
        caveats.append(f"only {area / length**2:.0f} hypercolumns: at least {_ENOUGH:.0f} are needed for a density")
    window, caveat = _flattest(cutoffs, densities)
    density, error = np.nan, np.nan
    if caveat:
        caveats.append(caveat)
    else:
        density = densities[window].mean()
        error = _jackknife(given, found[window], length, n_blocks, fixed=own is not None)
    middle = (window.start + window.stop - 1) // 2
    return PinwheelDensity(
        density=float(density),
        standard_error=float(error),
        spacing=float(length),
        n_hypercolumns=float(area / length**2),
        cutoffs=cutoffs,
        densities=densities,
        plateau=(np.nan, np.nan) if caveat else (float(cutoffs[window][0]), float(cutoffs[window][-1])),
        pinwheels=found[middle],
        smoothed=given.filtered(shortest=float(cutoffs[middle])),
        caveats=tuple(caveats),
    )


def _flattest(cutoffs: Floats, densities: Floats) -> tuple[slice, str]:
    """The range of cut-offs over which the density changes least, and what is wrong with it."""
    n = int(np.searchsorted(cutoffs, _PLATEAU * cutoffs[0] * (1 - 1e-9))) + 1
    whole = slice(0, len(cutoffs))
    if n > len(cutoffs):
        return whole, f"columns of {cutoffs[-1] / _CUTOFFS[1]:.1f} pixels are too fine to try several cut-offs"
    windows = [slice(first, first + n) for first in range(len(cutoffs) - n + 1)]
    means = np.array([densities[window].mean() for window in windows])
    if not means.max() > 0:
        return whole, "no pinwheels at any cut-off"
    spreads = np.array([np.ptp(densities[window]) for window in windows]) / np.where(means > 0, means, np.nan)
    best = int(np.nanargmin(spreads))
    if not spreads[best] <= _FLAT:
        return whole, "no plateau: the count of pinwheels depends on the cut-off, as that of noise does"
    return windows[best], ""


def _jackknife(given: OrientationMap, found: list[Pinwheels], length: float, n_blocks: int, *, fixed: bool) -> float:
    """The standard error of the mean density, blocks of the map left out one by one."""
    height, width = given.shape
    rows, columns = np.arange(height) * n_blocks // height, np.arange(width) * n_blocks // width
    block = rows[:, None] * n_blocks + columns
    n_in_all = n_blocks**2
    counts = np.zeros(n_in_all)
    for some in found:
        at = block[np.minimum(some.y.astype(int), height - 1), np.minimum(some.x.astype(int), width - 1)]
        counts += np.bincount(at, minlength=n_in_all) / len(found)
    areas = np.bincount(block[given.inside], minlength=n_in_all).astype(float)
    scale = found[0].area / areas.sum()  # squares to places
    estimates = []
    for left_out in np.flatnonzero(areas):
        rest = (areas.sum() - areas[left_out]) * scale
        spacing = length
        if not fixed:
            spacing = spacing_of(given, np.where(block == left_out, 0, given.responses))
        if rest > 0 and np.isfinite(spacing):
            estimates.append((counts.sum() - counts[left_out]) * spacing**2 / rest)
    n = len(estimates)
    return float(np.sqrt((n - 1) / n * np.square(estimates - np.mean(estimates)).sum())) if n > 1 else float("nan")


def _nothing(given: OrientationMap, caveat: str) -> PinwheelDensity:
    none: NDArray[np.float64] = np.zeros(0)
    nan = float("nan")
    return PinwheelDensity(nan, nan, nan, nan, none, none, (nan, nan), find_pinwheels(given), given, (caveat,))
