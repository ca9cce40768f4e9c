"""The distance between columns of the same orientation, from the power spectrum of a map, as Kaschube et al. fit it.

The power of a map of cortex forms a ring in the plane of frequencies. Its average over rings of one frequency k is
fitted by a Gaussian peak on a smooth background::

    power(k) = a₀ · exp(−(k − a₁)² / 2a₂²) + a₃ + a₄·k + a₅·k²

The column spacing is 1/a₁.

References
----------
Kaschube, Schnabel, Löwel, Coppola, White, Wolf, "Universality in the evolution of orientation columns in the visual
cortex", Science 2010, supplement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from striate.analysis.orientation_map import Complexes, Floats, OrientationMap, checked_map
from striate.parameters import Real, checked

__all__ = ["ColumnSpacing", "column_spacing", "gaussian_density", "spacing_of"]

_FEWEST_PERIODS = 1.5  # across the map: with fewer, a peak is a trend
_FEWEST_RINGS = 10  # for six parameters
_REACH = 4.0  # the fit goes up to this multiple of the highest ring's frequency
_WIDEST = 0.6  # standard deviation of the peak relative to its frequency
_WIDTHS = (0.1, 0.25, 0.5)  # from which the fit starts; the best is kept
_LEAST_SHARE = 0.05  # of the power, in the peak: a few coefficients of white noise are as high by chance
_FINE = 2  # open maps are padded with zeros to this multiple of their size, because their rings are few


@dataclass(frozen=True, eq=False)
class ColumnSpacing:
    """Column spacing of a map, and the fit that it comes from.

    Attributes
    ----------
    spacing : float
        Pixels from one column to the next of the same orientation; NaN if the spectrum has no ring.
    frequency, power : ndarray (n_rings,), float64
        The rings that were fitted: cycles per pixel, and the average power relative to the highest ring.
    fitted : ndarray (n_rings,), float64
        The fitted function; NaN if there was no fit.
    caveat : str
        Why there is no spacing; empty if there is one.
    """

    spacing: float
    frequency: Floats
    power: Floats
    fitted: Floats
    caveat: str


def column_spacing(orientation_map: OrientationMap) -> ColumnSpacing:
    """Fit the ring-averaged power spectrum of a map.

    Rings are as wide as one cycle across the map (half a cycle for open maps). A peak counts if it is at least as high
    as the background below it and the mean power, has 5 % of the map's power, and lies above 1.5 cycles across the map.
    White noise, such as a shuffled map, has none. Of a measured map with much noise, remove the waves that are shorter
    than any column first, with `OrientationMap.filtered`.

    Parameters
    ----------
    orientation_map : OrientationMap
        For an open map, or one with a mask, the mean is removed first.

    Returns
    -------
    ColumnSpacing

    Examples
    --------
    >>> from striate.analysis import column_spacing, gaussian_map, shuffled
    >>> cortex = gaussian_map((128, 128), 12, random_state=0)
    >>> round(column_spacing(cortex).spacing, 1)
    11.9
    >>> column_spacing(shuffled(cortex, random_state=0)).caveat
    'no peak in the power spectrum: the map has no typical distance between columns'
    """
    given = checked_map(orientation_map)
    return _fitted(*_rings(given, given.responses))


def spacing_of(given: OrientationMap, responses: Complexes) -> float:
    """The spacing of a map's responses, of which a part may be 0, as in a jackknife; NaN if there is none."""
    return _fitted(*_rings(given, responses), widths=_WIDTHS[1:2]).spacing


def gaussian_density(orientation_map: OrientationMap, spacing: float) -> float:
    """Pinwheels per squared column spacing that a Gaussian random field with the map's spectrum has on average.

    It is ⟨k²⟩·spacing²/4π, with ⟨k²⟩ the mean squared angular frequency of the map's power. If the spacing is 2π/⟨k⟩,
    this is π·⟨k²⟩/⟨k⟩² ≥ π. A smoothed random map therefore has a density near π too: compare a map with this number
    and with `phase_randomized` maps before you call its density a sign of order.

    Parameters
    ----------
    orientation_map : OrientationMap
        Smoothed as it was for the count, such as `PinwheelDensity.smoothed`: power at high frequencies counts most.
        Waves shorter than about 4 pixels are underestimated.
    spacing : float
        Column spacing in pixels, above 0.

    Returns
    -------
    float
        NaN for a map that is 0.

    References
    ----------
    Berry & Dennis, "Phase singularities in isotropic random waves", Proc. R. Soc. A 2000.
    """
    given = checked_map(orientation_map)
    spacing = checked("spacing", spacing, Real(above=0))
    z, inside = given.responses, given.inside
    power = np.square(np.abs(z[inside])).mean()
    if not power:
        return float("nan")
    # ⟨k²⟩ from differences between neighbors, which needs no window: a spectrum would leak at borders and masks. The
    # mean of |z(x + n) − z(x)|² is 2⟨1 − cos nk⟩; these weights leave an error of the order of k⁸.
    squared = 0.0
    for axis in (0, 1):
        for n, weight in enumerate((3 / 2, -3 / 20, 1 / 90), start=1):
            if given.periodic:
                pairs = inside & np.roll(inside, -n, axis)
                steps = np.roll(z, -n, axis)[pairs] - z[pairs]
            else:
                ahead, behind = ((slice(None),) * axis + (part,) for part in (slice(n, None), slice(None, -n)))
                steps = (z[ahead] - z[behind])[inside[ahead] & inside[behind]]
            if not len(steps):
                return float("nan")
            squared += weight * float(np.square(np.abs(steps)).mean())
    return float(squared / power * spacing**2 / (4 * np.pi))


def _spectrum(given: OrientationMap, responses: Complexes) -> tuple[Floats, Floats]:
    """Frequency in cycles per pixel, and power, of all coefficients but the mean."""
    size, values = given.shape, responses
    if not given.periodic:
        height, width = given.shape
        size = _FINE * height, _FINE * width
        values = np.where(given.inside, responses - responses[given.inside].mean(), 0)
    radius = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, size), indexing="ij"))
    power = np.abs(np.fft.fft2(values, size)) ** 2
    return radius.ravel()[1:], power.ravel()[1:]


def _rings(given: OrientationMap, responses: Complexes) -> tuple[Floats, Floats, float]:
    """Mean frequency and mean power of each ring, and the lowest frequency that a peak may have."""
    radius, power = _spectrum(given, responses)
    width = 1 / np.sqrt(given.shape[0] * given.shape[1])
    if not given.periodic:
        width /= _FINE
    used = radius < 0.5
    ring = np.rint(radius[used] / width).astype(int)
    counts = np.bincount(ring)
    with np.errstate(invalid="ignore"):
        frequency, mean = (np.bincount(ring, part[used]) / counts for part in (radius, power))
    filled = counts > 0
    lowest = _FEWEST_PERIODS / min(given.shape)
    return frequency[filled], mean[filled], lowest


def _fitted(frequency: Floats, power: Floats, lowest: float, *, widths: tuple[float, ...] = _WIDTHS) -> ColumnSpacing:
    from scipy.optimize import least_squares

    possible = frequency >= lowest
    if possible.sum() < _FEWEST_RINGS:
        return _without(frequency, power, f"the map is too small: its spectrum has fewer than {_FEWEST_RINGS} rings")
    if not power[possible].max() > 0:
        return _without(frequency, power, "the map is constant: it has no power at any frequency")
    power = power / power[possible].max()
    highest = frequency[possible][power[possible].argmax()]
    # The peak and its surroundings; the background of a whole spectrum is no parabola.
    near = frequency <= max(_REACH * highest, frequency[possible][_FEWEST_RINGS - 1])
    k, p = frequency[near] / highest, power[near]
    powers_of_k = np.stack([np.ones_like(k), k, k**2])

    def peak(a: Floats) -> Floats:
        return np.asarray(np.exp(-np.square((k - a[1]) / a[2]) / 2))

    def residual(a: Floats) -> Floats:
        return np.asarray(a[0] * peak(a) + a[3:] @ powers_of_k - p)

    def derivatives(a: Floats) -> Floats:
        shape, away = peak(a), (k - a[1]) / a[2]
        return np.stack([shape, a[0] * shape * away / a[2], a[0] * shape * away**2 / a[2], *powers_of_k], axis=1)

    step = (k[-1] - k[0]) / (len(k) - 1)
    low = np.array([0, lowest / highest, step / 2, -np.inf, -np.inf, -np.inf])
    high = np.array([np.inf, k[-1], max(_WIDEST, step), np.inf, np.inf, np.inf])
    starts = [np.clip([0.8, 1, width, p.min(), 0, 0], low + 1e-9, high - 1e-9) for width in widths]
    fits = [least_squares(residual, start, derivatives, bounds=(low, high)) for start in starts]
    best = min(fits, key=lambda fit: fit.cost).x
    background = best[3] + best[4] * best[1] + best[5] * best[1] ** 2
    # A ring of frequency k has a number of coefficients proportional to k.
    total = (power * frequency / highest).sum()
    share = best[0] * (peak(best) * k).sum() / total
    mean = total / (frequency / highest).sum()
    at_border = best[1] <= low[1] + step / 100 or best[1] >= high[1] - step / 100
    if at_border or best[0] < max(background, mean) or best[0] + background < 2 * mean or share < _LEAST_SHARE:
        caveat = "no peak in the power spectrum: the map has no typical distance between columns"
        return _without(frequency, power, caveat)
    return ColumnSpacing(float(1 / (best[1] * highest)), frequency[near], p, residual(best) + p, "")


def _without(frequency: Floats, power: Floats, caveat: str) -> ColumnSpacing:
    return ColumnSpacing(float("nan"), frequency, power, np.full(len(frequency), np.nan), caveat)
