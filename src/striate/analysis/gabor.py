"""Gabor functions fitted to filters: how much of each looks like the receptive field of a simple cell.

The model of Jones & Palmer, with one axis for the wave and its envelope::

    G(x, y) = amplitude · exp(−u²/2·width_along² − v²/2·width_across²) · cos(2π·frequency·u + phase)

    u =   (x − x₀)·cos(orientation) + (y − y₀)·sin(orientation)    along the wave vector, across the bars
    v = − (x − x₀)·sin(orientation) + (y − y₀)·cos(orientation)    along the bars

Amplitude and phase enter linearly, as a·C + b·S with C = envelope·cos(2πfu) and S = envelope·sin(2πfu): for given
other parameters, the best a and b are those of a least squares problem with two unknowns. What is left is a function
of six parameters (variable projection, Golub & Pereyra), which Levenberg and Marquardt's method minimizes with
Kaufman's Jacobian: the derivatives of the model at fixed a and b, less what C, S and a constant can make of them.
Their product with the residual is the exact gradient.

The energy has many local minima. Every filter is descended from many starts for a few iterations, then from the best
few to the end; all filters and starts of a block are one batch of arrays. An iteration makes about 40 passes over
(filters × starts × pixels) floats, a few of them exponentials and cosines, the rest bound by the cache: about 130 ns
a pixel of a start, on one core; 1,024 filters of 12×12 take 6 to 10 seconds.

References
----------
Jones, Palmer, "An evaluation of the two-dimensional Gabor filter model of simple receptive fields in cat striate
cortex", J. Neurophysiology 1987. Ringach, "Spatial structure and symmetry of simple-cell receptive fields in macaque
primary visual cortex", J. Neurophysiology 2002. Golub, Pereyra, SIAM J. Numerical Analysis 1973; Kaufman, BIT 1975.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.parameters import Integer, IntegerTuple, checked
from striate.randomness import RandomState, generator_from
from striate.samples import as_array

__all__ = ["GaborFits", "fit_gabor"]

Floats = NDArray[np.float64]

# The six that are searched for, in the order of the columns of `points` below.
_X, _Y, _ORIENTATION, _FREQUENCY, _ALONG, _ACROSS = range(6)  # the last three as logarithms
_LOWEST_FREQUENCY, _HIGHEST_FREQUENCY = 0.02, 0.5  # cycles a pixel: from nearly a blob to what a grid can carry
_NARROWEST = 0.5  # pixels; narrower, an envelope is a single pixel
_MARGIN = 0.2  # of the side: how far outside of the patch a centre may be
_SMALLEST_SIDE = 4  # with fewer pixels, eight parameters describe anything
_ENERGY_OF_CONSTANT = 1e-24  # of the filter's own, in what is left without the mean: rounding of a constant

_BLOCK = 50_000  # pixels of all starts in a batch: half as many are as fast, a quarter or four times as many slower
_PADDING = 4  # the spectrum is sampled this many times finer than the patch's own
_PEAKS = 3  # of the spectrum, that starts are made of
_FIRST_ITERATIONS = 12  # from all starts: enough to tell which lead to the same place as the best
_FINALISTS = 4
_LAST_ITERATIONS = 150
_TOLERANCE = 1e-8  # a step that takes off less than this fraction of the residual energy is the last
_FIRST_DAMPING, _LAST_DAMPING = 1e-2, 1e8


@dataclass(frozen=True, eq=False)
class GaborFits:
    """The Gabor function nearest to each filter.

    ``amplitude · exp(−u²/2·width_along² − v²/2·width_across²) · cos(2π·frequency·u + phase)``, where (u, v) are the
    coordinates of a pixel from the centre (x, y), u along the wave vector.

    Pixels count from 0 at the centre of the first one; x goes to the right along a row, y down along a column. All
    arrays are float64 (n_filters,). A filter without energy (all its weights are equal) has amplitude 0, and nan for
    everything else, `r_squared` included: there is nothing to explain, and no histogram should count it.

    Attributes
    ----------
    r_squared : ndarray (n_filters,)
        Share of the filter's energy that the fit explains, from 0 to 1: 1 − ‖filter − fit‖²/‖filter‖², both without
        their means.
    amplitude : ndarray (n_filters,)
        Height of the envelope in the filter's own unit, ≥ 0. With a phase near ±π/2 and less than half a cycle under
        the envelope it may be much larger than any weight.
    x, y : ndarray (n_filters,)
        The envelope's centre in pixels, at most a fifth of the side outside of the patch.
    orientation : ndarray (n_filters,)
        Direction of the wave vector in radians, in [0, π), from the x axis towards the y axis: clockwise as an image
        is seen. 0 is a wave that changes from left to right. The edges and bars that the filter looks for run at right
        angles to it: an edge's orientation is ``(orientation + π/2) mod π``.
    frequency : ndarray (n_filters,)
        Cycles a pixel, from 0.02 to 0.5. An edge that shows less than a cycle under its envelope is a Gaussian's
        derivative, which a lower frequency with a larger amplitude always fits a little better: it ends at 0.02, and
        its amplitude means nothing. A quarter of 256 filters of natural patches did; with 0.06 for the lowest, half of
        these would have lost less than 0.0002 of their R², but one 0.09.
    phase : ndarray (n_filters,)
        Radians, in [−π, π], at the centre: near 0 or ±π the filter is even (a bar, light or dark), near ±π/2 odd (an
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
        """The fitted functions, each without its mean, as filters without theirs are what they are compared with.

        Parameters
        ----------
        shape : (int, int)
            Height and width in pixels; the filters' own, or a larger one, to see what continues beyond them.

        Returns
        -------
        ndarray (n_filters, height, width), float64
            Zeros for a filter without energy.
        """
        shape = checked("shape", shape, IntegerTuple(2, low=1))
        x, y = _coordinates(shape)
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
    centre and widths from where its energy is. The other half is random, the same for every filter, so that a fit
    does not depend on the other filters.

    Parameters
    ----------
    filters : float (n_filters, n_pixels) or (n_filters, height, width)
        Of one channel; any scale. A mean does not matter.
    shape : (int, int), optional
        Height and width for filters that are rows; by default, rows of a square number of pixels are square.
    n_starts : int, default 24
        Descents for each filter; time is nearly proportional. For 256 filters of 12×12 learned from natural patches
        and 64 of 9×9 learned from digits, 24 reach the R² of ten times as many to 0.001, where 12 miss one. White noise
        has so many minima that they find the best for about half.
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

    space = _SearchSpace.of((height, width))
    n_spectral = min((n_starts + 1) // 2, 4 * _PEAKS)
    random_starts = space.random_points(n_starts - n_spectral, generator_from(random_state))
    results = np.full((9, n_filters), np.nan)
    results[1] = 0
    size = max(1, _BLOCK // (height * width * n_starts))
    for first in range(0, len(targets), size):
        block = targets[first : first + size]
        shared = np.broadcast_to(random_starts, (len(block), *random_starts.shape))
        starts = np.concatenate([_spectral_starts(block, space, n_spectral), shared], axis=1)
        points, fit = _fit_block(block, starts, space)
        rows = with_energy[first : first + size]
        results[:, rows] = _in_words(points, fit)
    results[1, with_energy] *= norms[with_energy] * scales[with_energy]
    return GaborFits(*results)


class _SearchSpace(NamedTuple):
    """A patch, and the bounds of the six parameters."""

    shape: tuple[int, int]
    x: Floats  # of every pixel
    y: Floats
    lower: Floats  # (6,)
    upper: Floats
    longest_step: Floats  # in which Levenberg and Marquardt's parabola is worth something

    @classmethod
    def of(cls, shape: tuple[int, int]) -> _SearchSpace:
        height, width = shape
        x, y = _coordinates(shape)
        frequencies = math.log(_LOWEST_FREQUENCY), math.log(_HIGHEST_FREQUENCY)
        widths = math.log(_NARROWEST), math.log(max(shape))
        beyond = 0.5 + _MARGIN * width, 0.5 + _MARGIN * height
        lower = [-beyond[0], -beyond[1], -np.inf, frequencies[0], widths[0], widths[0]]
        upper = [width - 1 + beyond[0], height - 1 + beyond[1], np.inf, frequencies[1], widths[1], widths[1]]
        longest_step = [width / 4, height / 4, 0.5, 0.5, 0.7, 0.7]
        return cls(shape, x, y, np.array(lower), np.array(upper), np.array(longest_step))

    def random_points(self, count: int, rng: np.random.Generator) -> Floats:
        """Points (count, 6): centres in the patch, frequencies and widths of fields that it can hold."""
        height, width = self.shape
        unit = rng.random((count, 6))
        low = np.array([0, 0, 0, math.log(0.05), 0, 0])
        widest = math.log(max(self.shape) / 2.5)
        high = np.array([width - 1, height - 1, np.pi, math.log(0.4), widest, widest])
        points: Floats = low + unit * (high - low)
        return points


class _Fit(NamedTuple):
    """What is known at a point; for n points each."""

    cost: Floats  # (n,): energy of the residual; the target's is 1
    linear: Floats  # (n, 2): the best a and b
    gradient: Floats  # (n, 6): of ½·cost, with a minus: the direction downhill
    curvature: Floats  # (n, 6, 6): JᵀJ with Kaufman's Jacobian


def _evaluate(points: Floats, targets: Floats, space: _SearchSpace) -> _Fit:
    """`points` (n, 6) against `targets` (n, n_pixels) of mean 0 and norm 1."""
    n, n_pixels = targets.shape
    x, y, orientation, log_frequency, log_along, log_across = np.ascontiguousarray(points.T)[:, :, np.newaxis]
    inverse_along, inverse_across = np.exp(-log_along), np.exp(-log_across)
    wave_number = 2 * np.pi * np.exp(log_frequency)
    cos, sin = np.cos(orientation), np.sin(orientation)

    # Rows: derivatives of the model for the six parameters; C, S and the residual without their means; ones.
    rows = np.empty((n, 10, n_pixels))
    derivatives, even, odd, residual = rows[:, :6], rows[:, 6], rows[:, 7], rows[:, 8]
    rows[:, 9] = 1
    dx, dy = space.x - x, space.y - y
    u = cos * dx + sin * dy
    v = cos * dy - sin * dx
    u_scaled, v_scaled = u * inverse_along, v * inverse_across
    u_square = np.square(u_scaled)
    envelope = np.exp(-0.5 * (u_square + np.square(v_scaled)))
    angle = wave_number * u
    np.multiply(envelope, np.cos(angle), out=even)
    np.multiply(envelope, np.sin(angle), out=odd)
    means = rows[:, 6:8].mean(axis=2)
    rows[:, 6:8] -= means[:, :, np.newaxis]

    # The linear problem. Where C and S are nearly the same on the pixels, the ridge keeps a and b from running away.
    gram = np.matmul(rows[:, 6:8], rows[:, 6:8].transpose(0, 2, 1))
    gram += (1e-12 * np.trace(gram, axis1=1, axis2=2) + 1e-30)[:, np.newaxis, np.newaxis] * np.eye(2)
    inverse = np.linalg.inv(gram)
    linear = np.matmul(inverse, np.matmul(rows[:, 6:8], targets[:, :, np.newaxis]))[:, :, 0]
    a, b = linear.T[:, :, np.newaxis]
    centred = a * even + b * odd
    np.subtract(targets, centred, out=residual)
    cost = np.einsum("ij,ij->i", residual, residual)

    even_mean, odd_mean = means.T[:, :, np.newaxis]
    model = centred + (a * even_mean + b * odd_mean)
    turned = b * even - a * odd + (b * even_mean - a * odd_mean)  # derivative for the angle
    along_wave = angle * turned
    turned *= wave_number
    by_u = turned - model * u_scaled * inverse_along
    by_v = model * v_scaled
    np.multiply(by_v, v_scaled, out=derivatives[:, _ACROSS])
    by_v *= -inverse_across
    np.subtract(sin * by_v, cos * by_u, out=derivatives[:, _X])
    np.subtract(-cos * by_v, sin * by_u, out=derivatives[:, _Y])
    np.subtract(v * by_u, u * by_v, out=derivatives[:, _ORIENTATION])
    derivatives[:, _FREQUENCY] = along_wave
    np.multiply(model, u_square, out=derivatives[:, _ALONG])

    products = np.matmul(derivatives, rows.transpose(0, 2, 1))
    on_waves, sums = products[:, :, 6:8], products[:, :, 9]
    curvature = products[:, :, :6] - sums[:, :, np.newaxis] * sums[:, np.newaxis, :] / n_pixels
    curvature -= on_waves @ inverse @ on_waves.transpose(0, 2, 1)
    return _Fit(cost, linear, products[:, :, 8], curvature)


def _descend(
    points: Floats, targets: Floats, space: _SearchSpace, *, iterations: int, tolerance: float
) -> tuple[Floats, _Fit]:
    """Levenberg and Marquardt's method within the bounds, for every row by itself."""
    points = points.copy()
    fit = _evaluate(points, targets, space)
    damping = np.full(len(points), _FIRST_DAMPING)
    going = np.arange(len(points))
    for _ in range(iterations):
        if not going.size:
            break
        here = points[going]
        step = _step(here, fit.gradient[going], fit.curvature[going], damping[going], space)
        there = np.clip(here + step, space.lower, space.upper)
        trial = _evaluate(there, targets[going], space)
        cost = fit.cost[going]
        better = trial.cost < cost
        rows = going[better]
        points[rows] = there[better]
        for old, new in zip(fit, trial, strict=True):
            old[rows] = new[better]
        # A short step says that a minimum is near only when it is Newton's own choice.
        arrived = better & (cost - trial.cost <= tolerance * cost + 1e-15) & (damping[going] <= 1)
        damping[going] *= np.where(better, 0.2, 5)
        going = going[~arrived & (damping[going] < _LAST_DAMPING)]
    return points, fit


def _step(here: Floats, gradient: Floats, curvature: Floats, damping: Floats, space: _SearchSpace) -> Floats:
    """Steps (n, 6). A parameter at its bound that wants to go further is held (Bertsekas' projected Newton method)."""
    held = ((here <= space.lower) & (gradient < 0)) | ((here >= space.upper) & (gradient > 0))
    free = ~held
    matrix = curvature * (free[:, :, np.newaxis] & free[:, np.newaxis, :])
    diagonal = np.einsum("nii->ni", matrix)  # a view
    diagonal *= 1 + damping[:, np.newaxis]
    diagonal += np.where(held, 1.0, 1e-9)
    step = np.linalg.solve(matrix, np.where(held, 0.0, gradient)[:, :, np.newaxis])[:, :, 0]
    # Shortened as a whole, so that it still leads downhill.
    excess = (np.abs(step) / space.longest_step).max(axis=1, keepdims=True)
    shortened: Floats = step / np.maximum(excess, 1)
    return shortened


def _fit_block(targets: Floats, starts: Floats, space: _SearchSpace) -> tuple[Floats, _Fit]:
    """The best points (n, 6) for targets (n, n_pixels) from starts (n, n_starts, 6)."""
    n, n_starts, _ = starts.shape
    starts = np.clip(starts, space.lower, space.upper).reshape(-1, 6)
    points, fit = _descend(
        starts, np.repeat(targets, n_starts, axis=0), space, iterations=_FIRST_ITERATIONS, tolerance=_TOLERANCE
    )
    n_finalists = min(_FINALISTS, n_starts)
    order = np.argsort(fit.cost.reshape(n, n_starts), axis=1, kind="stable")[:, :n_finalists]
    finalists = (order + n_starts * np.arange(n)[:, np.newaxis]).ravel()
    points, fit = _descend(
        points[finalists],
        np.repeat(targets, n_finalists, axis=0),
        space,
        iterations=_LAST_ITERATIONS,
        tolerance=_TOLERANCE,
    )
    best = n_finalists * np.arange(n) + fit.cost.reshape(n, n_finalists).argmin(axis=1)
    return points[best], _Fit(*(values[best] for values in fit))


def _spectral_starts(targets: Floats, space: _SearchSpace, count: int) -> Floats:
    """Starts (n, count, 6) at the peaks of each target's spectrum, where its energy is; the most likely first."""
    n = len(targets)
    orientation, frequency = _spectral_peaks(targets.reshape(n, *space.shape))

    energy = np.square(targets)  # sums to 1
    centre = np.stack([energy @ space.x, energy @ space.y], axis=1)
    dx, dy = space.x - centre[:, :1], space.y - centre[:, 1:]
    xx, xy, yy = (np.einsum("ij,ij->i", energy, product)[:, np.newaxis] for product in (dx * dx, dx * dy, dy * dy))
    cos, sin = np.cos(orientation), np.sin(orientation)
    # The energy is the envelope's square: half its variance.
    along = np.sqrt(2 * (cos * cos * xx + 2 * cos * sin * xy + sin * sin * yy))
    across = np.sqrt(2 * (sin * sin * xx - 2 * cos * sin * xy + cos * cos * yy))
    strongest = _blurred(energy.reshape(n, *space.shape)).reshape(n, -1).argmax(axis=1)
    peak = np.stack([space.x[strongest], space.y[strongest]], axis=1)

    # Noise spreads the energy over the patch: the true field may be smaller, and elsewhere than the mean.
    starts = np.empty((n, 4, _PEAKS, 6))
    for i, (position, shrinkage) in enumerate([(centre, 0.9), (peak, 0.5), (centre, 0.5), (peak, 0.9)]):
        starts[:, i, :, :2] = position[:, np.newaxis]
        starts[:, i, :, _ORIENTATION] = orientation
        starts[:, i, :, _FREQUENCY] = np.log(frequency)
        starts[:, i, :, _ALONG] = np.log(np.maximum(shrinkage * along, _NARROWEST))
        starts[:, i, :, _ACROSS] = np.log(np.maximum(shrinkage * across, _NARROWEST))
    return starts.reshape(n, -1, 6)[:, :count]


def _spectral_peaks(images: Floats) -> tuple[Floats, Floats]:
    """Orientation and frequency (n, `_PEAKS`) of the highest peaks, falling; the highest again where there are few."""
    n, height, width = images.shape
    size = _PADDING * height, _PADDING * width
    power = np.square(np.abs(np.fft.fft2(images, s=size)))
    by_y, by_x = np.fft.fftfreq(size[0])[:, np.newaxis], np.fft.fftfreq(size[1])
    frequency = np.hypot(by_x, by_y)
    wanted = (frequency >= _LOWEST_FREQUENCY) & (frequency <= _HIGHEST_FREQUENCY)
    wanted &= (by_x > 0) | ((by_x == 0) & (by_y > 0))  # the other half says the same
    is_peak = np.broadcast_to(wanted, power.shape).copy()
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        neighbour = np.roll(power, shift, axis=(1, 2))
        is_peak &= power >= neighbour
        is_peak &= power >= np.roll(power, (-shift[0], -shift[1]), axis=(1, 2))
    height_of_peak = np.where(is_peak, power, 0).reshape(n, -1)
    places = np.argsort(-height_of_peak, axis=1, kind="stable")[:, :_PEAKS]
    missing = np.take_along_axis(height_of_peak, places, axis=1) == 0
    everywhere = np.where(wanted, power, 0).reshape(n, -1).argmax(axis=1)[:, np.newaxis]
    places = np.where(missing, everywhere, places)
    orientation = np.broadcast_to(np.arctan2(by_y, by_x), size).ravel()[places]
    return orientation, frequency.ravel()[places]


def _blurred(images: Floats) -> Floats:
    """Sums over 3×3 pixels."""
    n, height, width = images.shape
    framed = np.zeros((n, height + 2, width + 2))
    framed[:, 1:-1, 1:-1] = images
    rows = framed[:, :-2] + framed[:, 1:-1] + framed[:, 2:]
    sums: Floats = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    return sums


def _in_words(points: Floats, fit: _Fit) -> Floats:
    """The nine arrays of `GaborFits`, for a target of norm 1."""
    a, b = fit.linear.T
    orientation = points[:, _ORIENTATION]
    turns = np.floor(orientation / np.pi)
    within = orientation - turns * np.pi
    phase = np.arctan2(-b, a)
    phase = np.where(turns % 2 == 1, -phase, phase)  # half a turn lets the wave run backwards
    inside = (within >= 0) & (within < np.pi)  # or rounding made it π: the same wave, backwards
    phase = np.where(inside, phase, -phase)
    return np.stack([
        1 - fit.cost,
        np.hypot(a, b),
        points[:, _X],
        points[:, _Y],
        np.where(inside, within, 0),
        np.exp(points[:, _FREQUENCY]),
        phase,
        np.exp(points[:, _ALONG]),
        np.exp(points[:, _ACROSS]),
    ])  # fmt: skip


def _coordinates(shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """The x and y of every pixel, row by row."""
    y, x = np.indices(shape, dtype=np.float64).reshape(2, -1)
    return x, y


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
