"""What the filters of a sheet prefer: maps of orientation, frequency, phase and position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from striate.analysis.coverage import near_one, peak_frequency
from striate.analysis.gabor import fit_gabor
from striate.analysis.orientation_map import Complexes, Floats, OrientationMap
from striate.errors import UsageError
from striate.parameters import Boolean, Choice, IntegerTuple, checked
from striate.randomness import RandomState
from striate.samples import as_array

__all__ = ["SheetMaps", "sheet_maps"]

_PADDED = 64  # side of the transform, as in `peak_frequency`


@dataclass(frozen=True, eq=False)
class SheetMaps:
    """What each unit of a sheet prefers, float64 (height, width) in units; NaN for a unit without energy.

    Attributes
    ----------
    orientation : ndarray
        Of the preferred bars and edges in radians, in [0, π), clockwise as an image is seen: at right angles to
        `GaborFits.orientation`, which is that of the wave vector.
    selectivity : ndarray
        From 0 to 1. By Gabor fits, R²; by spectra, 1 for a grating and 0 for a filter without orientation.
    frequency : ndarray
        Cycles per pixel.
    phase : ndarray
        In [−π, π] at the filter's center.
    x, y : ndarray
        The filter's center in its patch, in pixels.
    periodic : bool
    """

    orientation: Floats
    selectivity: Floats
    frequency: Floats
    phase: Floats
    x: Floats
    y: Floats
    periodic: bool

    @property
    def orientation_map(self) -> OrientationMap:
        """The responses selectivity·exp(2i·orientation); units without energy are outside of its mask."""
        return OrientationMap.of(self.orientation, self.selectivity, periodic=self.periodic)


def sheet_maps(
    filters: ArrayLike,
    sheet: tuple[int, int],
    *,
    periodic: bool = False,
    method: Literal["gabor", "spectrum"] = "gabor",
    random_state: RandomState = None,
) -> SheetMaps:
    """Maps of what the filters of a sheet prefer.

    Parameters
    ----------
    filters : float (n_units, height, width)
        Of one channel, row by row of the sheet.
    sheet : (int, int)
        Rows and columns of units.
    periodic : bool, default False
        Whether the sheet is a torus.
    method : {"gabor", "spectrum"}
        ``"gabor"`` fits a Gabor function to each filter, with `fit_gabor`: minutes for 10,000 filters. ``"spectrum"``
        adds up the power at all frequencies, each times exp(2i·orientation), as optical imaging adds up responses to
        gratings; frequency and phase are those of the spectrum's peak, and the center is that of the squared weights.
        It takes a second, and phases and centers are coarser.
    random_state : int, Generator, RandomState or None
        Seed of the fits.

    Returns
    -------
    SheetMaps

    Raises
    ------
    UsageError
        If the number of filters is not that of the sheet, or as `fit_gabor` does.
    """
    given = as_array(filters, name="filters", axes=("n_units", "height", "width")).astype(np.float64)
    sheet = checked("sheet", sheet, IntegerTuple(2, low=1))
    periodic = checked("periodic", periodic, Boolean())
    if len(given) != sheet[0] * sheet[1] or not given.size:
        raise UsageError(f"there are {len(given)} filters, but the sheet has {sheet[0]}×{sheet[1]} units")
    if checked("method", method, Choice("gabor", "spectrum")) == "gabor":
        fits = fit_gabor(given, random_state=random_state)
        bars = (fits.orientation + np.pi / 2) % np.pi
        found: tuple[Floats, ...] = (bars, fits.r_squared, fits.frequency, fits.phase, fits.x, fits.y)
    else:
        found = _by_spectrum(near_one(given))
    orientation, selectivity, frequency, phase, x, y = (values.reshape(sheet) for values in found)
    return SheetMaps(orientation, selectivity, frequency, phase, x, y, periodic)


def _by_spectrum(filters: Floats) -> tuple[Floats, ...]:
    side = max(_PADDED, *filters.shape[1:])
    centered = filters - filters.mean(axis=(1, 2), keepdims=True)
    energy = np.square(centered)
    total = energy.sum(axis=(1, 2))
    alive = total > 1e-24 * np.square(filters).sum(axis=(1, 2))  # as in `fit_gabor`
    total = np.where(alive, total, 1)
    rows, columns = np.indices(filters.shape[1:])
    x, y = ((energy * place).sum(axis=(1, 2)) / total for place in (columns, rows))

    frequency = np.fft.fftfreq(side)
    u, v = frequency[None, : side // 2], frequency[:, None]  # half of the plane; the other half is the same
    spectrum: Complexes = np.fft.fft2(centered, (side, side))[:, :, : side // 2]
    power = np.square(np.abs(spectrum)) * (np.hypot(u, v) < 0.5)  # a disk: corners would pull to diagonals
    power[:, :, 0] /= 2  # this line is its own other half
    angle = 2 * np.arctan2(v, u)
    # Moments at the peak's orientation would see one of several orientations; the sum over all is what imaging sees.
    summed = (power * np.exp(1j * angle)).sum(axis=(1, 2)) / np.where(alive, power.sum(axis=(1, 2)), 1)
    bars = (np.angle(summed) / 2 + np.pi / 2) % np.pi
    peak = power.reshape(len(power), -1).argmax(axis=1)
    at_peak = spectrum.reshape(len(power), -1)[np.arange(len(power)), peak]
    wave = np.stack(np.broadcast_arrays(u, v)).reshape(2, -1)[:, peak]
    wave_phase = np.angle(at_peak * np.exp(2j * np.pi * (wave[0] * x + wave[1] * y)))
    # A wave vector in [0, π), as in `GaborFits`: half a turn reverses the phase.
    backwards = (wave[1] < 0) | ((wave[1] == 0) & (wave[0] < 0))
    phase = np.where(backwards, -wave_phase, wave_phase)
    found = (bars, np.abs(summed), peak_frequency(filters), phase, x, y)
    return tuple(np.where(alive, values, np.nan) for values in found)
