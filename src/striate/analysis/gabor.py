"""Gabor functions fitted to filters: how much of each resembles the receptive field of a simple cell.

The model of Jones & Palmer, with one axis for the wave and its envelope::

    G(x, y) = amplitude · exp(−u²/2·width_along² − v²/2·width_across²) · cos(2π·frequency·u + phase)

    u =   (x − x₀)·cos(orientation) + (y − y₀)·sin(orientation)    along the wave vector, across the bars
    v = − (x − x₀)·sin(orientation) + (y − y₀)·cos(orientation)    along the bars

`_gabor_search.py` describes the search for the parameters, `_gabor_starts.py` its starting points.

References
----------
Jones, Palmer, "An evaluation of the two-dimensional Gabor filter model of simple receptive fields in cat striate
cortex", J. Neurophysiology 1987. Ringach, "Spatial structure and symmetry of simple-cell receptive fields in macaque
primary visual cortex", J. Neurophysiology 2002.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from striate.analysis._gabor_search import (
    ACROSS,
    ALONG,
    FREQUENCY,
    ORIENTATION,
    Fit,
    Floats,
    SearchSpace,
    X,
    Y,
    best_points,
    coordinates,
)
from striate.analysis._gabor_starts import N_PEAKS, spectral_starts
from striate.errors import UsageError
from striate.parameters import Integer, IntegerTuple, checked
from striate.randomness import RandomState, generator_from
from striate.samples import as_array

__all__ = ["GaborFits", "fit_gabor"]

_SMALLEST_SIDE = 4  # with fewer pixels, eight parameters fit any filter
_ENERGY_OF_CONSTANT = 1e-24  # of the filter's energy: with less than this without its mean, it is constant
_BLOCK = 50_000  # pixels of all starts in a batch: half of this is as fast, a quarter or four times this is slower


@dataclass(frozen=True, eq=False)
class GaborFits:
    """The Gabor function nearest to each filter.

    ``amplitude · exp(−u²/2·width_along² − v²/2·width_across²) · cos(2π·frequency·u + phase)``, where (u, v) are the
    coordinates of a pixel from the center (x, y), u along the wave vector.

    Pixels count from 0 at the center of the first one; x goes to the right along a row, y down along a column. All
    arrays are float64 (n_filters,). A filter without energy (all its weights are equal) has amplitude 0, and nan for
    everything else, `r_squared` included, so that histograms leave it out.

    Attributes
    ----------
    r_squared : ndarray (n_filters,)
        Share of the filter's energy that the fit explains, from 0 to 1: 1 − ‖filter − fit‖²/‖filter‖², both without
        their means.
    amplitude : ndarray (n_filters,)
        Height of the envelope in the filter's unit, ≥ 0. With a phase near ±π/2 and less than half a cycle under
        the envelope it may be much larger than any weight.
    x, y : ndarray (n_filters,)
        The envelope's center in pixels, at most a fifth of the side outside of the patch.
    orientation : ndarray (n_filters,)
        Direction of the wave vector in radians, in [0, π), from the x axis towards the y axis: clockwise as an image
        is seen. 0 is a wave that changes from left to right. The edges and bars that the filter detects run at right
        angles to it: an edge's orientation is ``(orientation + π/2) mod π``.
    frequency : ndarray (n_filters,)
        Cycles per pixel, from 0.02 to 0.5. An edge that shows less than a cycle under its envelope is a Gaussian's
        derivative, which a lower frequency with a larger amplitude always fits a little better: the fit ends at 0.02,
        and its amplitude has no meaning. This happened to a quarter of 256 filters of natural patches; with a lowest
        frequency of 0.06, half of these would have lost less than 0.0002 of their R², but one 0.09.
    phase : ndarray (n_filters,)
        Radians, in [−π, π], at the center: near 0 or ±π the filter is even (a bar, light or dark), near ±π/2 odd (an
        edge).
    width_along, width_across : ndarray (n_filters,)
        Standard deviations of the envelope in pixels, along the wave vector and across it (along the bars), from 0.5
        to the patch's longer side. Times `frequency`, they are Ringach's n_x and n_y.
    """

    r_squared: Floats
    amplitude: Floats
    x: Floats
    y: Floats
    orientation: Floats
    frequency: Floats
    phase: Floats
    width_along: Floats
    width_across: Floats

    def __len__(self) -> int:
        return len(self.r_squared)

    def draw(self, shape: tuple[int, int]) -> Floats:
        """The fitted functions, each without its mean, as the filters are in the comparison.

        Parameters
        ----------
        shape : (int, int)
            Height and width in pixels: those of the filters, or larger ones to see how the functions continue.

        Returns
        -------
        ndarray (n_filters, height, width), float64
            Zeros for a filter without energy.
        """
        shape = checked("shape", shape, IntegerTuple(2, low=1))
        x, y = coordinates(shape)
        dx = x - self.x[:, np.newaxis]
        dy = y - self.y[:, np.newaxis]
        cos, sin = np.cos(self.orientation)[:, np.newaxis], np.sin(self.orientation)[:, np.newaxis]
        u = cos * dx + sin * dy
        v = cos * dy - sin * dx
        along, across = self.width_along[:, np.newaxis], self.width_across[:, np.newaxis]
        wave = np.cos(2 * np.pi * self.frequency[:, np.newaxis] * u + self.phase[:, np.newaxis])
        drawn = self.amplitude[:, np.newaxis] * np.exp(-((u / along) ** 2 + (v / across) ** 2) / 2) * wave
        drawn[self.amplitude == 0] = 0
        drawn -= drawn.mean(axis=1, keepdims=True)
        return drawn.reshape(-1, *shape)


def fit_gabor(
    filters: ArrayLike,
    shape: tuple[int, int] | None = None,
    *,
    n_starts: int = 24,
    random_state: RandomState = None,
) -> GaborFits:
    """The two-dimensional Gabor function nearest to each filter, in squared error without the means.

    The first half of the starts comes from the filter: orientation and frequency from the peaks of its spectrum,
    center and widths from where its energy is. The other half is random, the same for every filter, so that a fit
    does not depend on the other filters.

    Parameters
    ----------
    filters : float (n_filters, n_pixels) or (n_filters, height, width)
        Of one channel; any scale. A mean does not matter.
    shape : (int, int), optional
        Height and width for filters that are rows; by default, rows of a square number of pixels are square.
    n_starts : int, default 24
        Number of descents per filter; the time is nearly proportional to it. For 256 filters of 12×12 learned from
        natural patches and 64 of 9×9 learned from digits, 24 reach the R² of ten times as many to 0.001, where 12 miss
        one. For white noise, which has many minima, they find the best one for about half of the filters.
    random_state : int, Generator, RandomState or None
        Seed of the random starts.

    Returns
    -------
    GaborFits

    Raises
    ------
    UsageError
        If a weight is not a finite number, or shapes do not fit, a side has fewer than 4 pixels, or `n_starts` is
        below 1.
    """
    patches = _checked(filters, shape)
    n_starts = checked("n_starts", n_starts, Integer(low=1))
    n_filters, height, width = patches.shape
    targets = patches.reshape(n_filters, height * width)
    # Large weights would overflow when squared, and small ones vanish.
    scales = np.abs(targets).max(axis=1, initial=0)
    targets = targets / np.where(scales > 0, scales, 1)[:, np.newaxis]
    energies = np.square(targets).sum(axis=1)
    targets -= targets.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.square(targets).sum(axis=1))
    with_energy = np.flatnonzero(np.square(norms) > _ENERGY_OF_CONSTANT * energies)
    targets = targets[with_energy] / norms[with_energy, np.newaxis]

    space = SearchSpace.of((height, width))
    n_spectral = min((n_starts + 1) // 2, 4 * N_PEAKS)
    random_starts = space.random_points(n_starts - n_spectral, generator_from(random_state))
    results = np.full((9, n_filters), np.nan)
    results[1] = 0
    size = max(1, _BLOCK // (height * width * n_starts))
    for first in range(0, len(targets), size):
        block = targets[first : first + size]
        shared = np.broadcast_to(random_starts, (len(block), *random_starts.shape))
        starts = np.concatenate([spectral_starts(block, space, n_spectral), shared], axis=1)
        points, fit = best_points(block, starts, space)
        rows = with_energy[first : first + size]
        results[:, rows] = _in_words(points, fit)
    results[1, with_energy] *= norms[with_energy] * scales[with_energy]
    return GaborFits(*results)


def _in_words(points: Floats, fit: Fit) -> Floats:
    """The nine arrays of `GaborFits`, for a target of norm 1."""
    a, b = fit.linear.T
    orientation = points[:, ORIENTATION]
    turns = np.floor(orientation / np.pi)
    within = orientation - turns * np.pi
    phase = np.arctan2(-b, a)
    phase = np.where(turns % 2 == 1, -phase, phase)  # half a turn reverses the direction of the wave
    inside = (within >= 0) & (within < np.pi)  # or rounding made it π: the same wave, backwards
    phase = np.where(inside, phase, -phase)
    return np.stack([
        1 - fit.cost,
        np.hypot(a, b),
        points[:, X],
        points[:, Y],
        np.where(inside, within, 0),
        np.exp(points[:, FREQUENCY]),
        phase,
        np.exp(points[:, ALONG]),
        np.exp(points[:, ACROSS]),
    ])  # fmt: skip


def _checked(filters: ArrayLike, shape: tuple[int, int] | None) -> Floats:
    """The filters as float64 (n_filters, height, width)."""
    shape = checked("shape", shape, IntegerTuple(2, low=1) | None)
    try:
        axes = ("n_filters", "height", "width") if np.ndim(filters) == 3 else ("n_filters", "n_pixels")
    except ValueError:  # rows of different lengths, which `as_array` names
        axes = ("n_filters", "n_pixels")
    given = as_array(filters, name="filters", axes=axes, finite=False)
    if given.ndim == 3:
        if shape is not None and shape != given.shape[1:]:
            raise UsageError(f"filters are {given.shape[1]}×{given.shape[2]} pixels, but shape is {shape}")
        shape = given.shape[1], given.shape[2]
    elif shape is None:
        side = math.isqrt(given.shape[1])
        if side * side != given.shape[1]:
            raise UsageError(f"{given.shape[1]} pixels are not a square: say shape=(height, width)")
        shape = side, side
    elif shape[0] * shape[1] != given.shape[1]:
        raise UsageError(f"filters have {given.shape[1]} pixels, but shape={tuple(shape)} has {shape[0] * shape[1]}")
    if min(shape) < _SMALLEST_SIDE:
        raise UsageError(
            f"a Gabor function needs at least {_SMALLEST_SIDE}×{_SMALLEST_SIDE} pixels; got {tuple(shape)}"
        )
    patches = given.astype(np.float64).reshape(-1, *shape)
    if not np.isfinite(patches).all():
        row = int(np.flatnonzero(~np.isfinite(patches).all(axis=(1, 2)))[0])
        raise UsageError(f"filter {row} has a weight that is not finite (NaN or infinity)")
    return patches
