"""The search for the Gabor function nearest to a filter: six parameters within bounds, by Levenberg and Marquardt.

Amplitude and phase enter the model of `gabor.py` linearly, as a·C + b·S with C = envelope·cos(2πfu) and
S = envelope·sin(2πfu): for given other parameters, the best a and b are those of a least squares problem with two
unknowns. There remains a function of six parameters (variable projection, Golub & Pereyra), which Levenberg and
Marquardt's method minimizes with Kaufman's Jacobian: the derivatives of the model at fixed a and b, minus their
projection on C, S and a constant. Their product with the residual is the exact gradient.

The energy has many local minima. Every filter is descended from many starts for a few iterations, then from the best
few to the end; all filters and starts of a block are one batch of arrays. An iteration makes about 40 passes over
(filters × starts × pixels) floats, a few of them exponentials and cosines, the rest bound by the cache: about 130 ns
per pixel of a start, on one core; 1,024 filters of 12×12 take 6 to 10 seconds.

References
----------
Golub, Pereyra, SIAM J. Numerical Analysis 1973; Kaufman, BIT 1975.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ACROSS", "ALONG", "FREQUENCY", "HIGHEST_FREQUENCY", "LOWEST_FREQUENCY", "NARROWEST", "ORIENTATION", "X", "Y",
    "Fit", "Floats", "SearchSpace", "best_points", "coordinates", "evaluate",
]  # fmt: skip

Floats = NDArray[np.float64]

# The six parameters that are searched for, in the order of the columns of `points` below; the last three as logarithms.
X, Y, ORIENTATION, FREQUENCY, ALONG, ACROSS = range(6)
LOWEST_FREQUENCY, HIGHEST_FREQUENCY = 0.02, 0.5  # cycles per pixel: from nearly a blob to the highest on a pixel grid
NARROWEST = 0.5  # pixels; narrower, an envelope is a single pixel
_MARGIN = 0.2  # share of the side that a center may be outside the patch

_FIRST_ITERATIONS = 12  # from all starts: enough to find those that lead to the same minimum as the best one
_FINALISTS = 4
_LAST_ITERATIONS = 150
_TOLERANCE = 1e-8  # a step that lowers the residual energy by less than this fraction is the last
_FIRST_DAMPING, _LAST_DAMPING = 1e-2, 1e8


class SearchSpace(NamedTuple):
    """A patch, and the bounds of the six parameters."""

    shape: tuple[int, int]
    x: Floats  # of every pixel
    y: Floats
    lower: Floats  # (6,)
    upper: Floats
    longest_step: Floats  # in which the quadratic model of Levenberg and Marquardt is accurate

    @classmethod
    def of(cls, shape: tuple[int, int]) -> SearchSpace:
        height, width = shape
        x, y = coordinates(shape)
        frequencies = math.log(LOWEST_FREQUENCY), math.log(HIGHEST_FREQUENCY)
        widths = math.log(NARROWEST), math.log(max(shape))
        beyond = 0.5 + _MARGIN * width, 0.5 + _MARGIN * height
        lower = [-beyond[0], -beyond[1], -np.inf, frequencies[0], widths[0], widths[0]]
        upper = [width - 1 + beyond[0], height - 1 + beyond[1], np.inf, frequencies[1], widths[1], widths[1]]
        longest_step = [width / 4, height / 4, 0.5, 0.5, 0.7, 0.7]
        return cls(shape, x, y, np.array(lower), np.array(upper), np.array(longest_step))

    def random_points(self, count: int, rng: np.random.Generator) -> Floats:
        """Points (count, 6): centers in the patch, frequencies and widths of fields that it can hold."""
        height, width = self.shape
        unit = rng.random((count, 6))
        low = np.array([0, 0, 0, math.log(0.05), 0, 0])
        widest = math.log(max(self.shape) / 2.5)
        high = np.array([width - 1, height - 1, np.pi, math.log(0.4), widest, widest])
        points: Floats = low + unit * (high - low)
        return points


class Fit(NamedTuple):
    """The model's cost and derivatives at n points."""

    cost: Floats  # (n,): energy of the residual; the target's is 1
    linear: Floats  # (n, 2): the best a and b
    gradient: Floats  # (n, 6): the negative gradient of ½·cost
    curvature: Floats  # (n, 6, 6): JᵀJ with Kaufman's Jacobian


def evaluate(points: Floats, targets: Floats, space: SearchSpace) -> Fit:
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
    centered = a * even + b * odd
    np.subtract(targets, centered, out=residual)
    cost = np.einsum("ij,ij->i", residual, residual)

    even_mean, odd_mean = means.T[:, :, np.newaxis]
    model = centered + (a * even_mean + b * odd_mean)
    turned = b * even - a * odd + (b * even_mean - a * odd_mean)  # derivative for the angle
    along_wave = angle * turned
    turned *= wave_number
    by_u = turned - model * u_scaled * inverse_along
    by_v = model * v_scaled
    np.multiply(by_v, v_scaled, out=derivatives[:, ACROSS])
    by_v *= -inverse_across
    np.subtract(sin * by_v, cos * by_u, out=derivatives[:, X])
    np.subtract(-cos * by_v, sin * by_u, out=derivatives[:, Y])
    np.subtract(v * by_u, u * by_v, out=derivatives[:, ORIENTATION])
    derivatives[:, FREQUENCY] = along_wave
    np.multiply(model, u_square, out=derivatives[:, ALONG])

    products = np.matmul(derivatives, rows.transpose(0, 2, 1))
    on_waves, sums = products[:, :, 6:8], products[:, :, 9]
    curvature = products[:, :, :6] - sums[:, :, np.newaxis] * sums[:, np.newaxis, :] / n_pixels
    curvature -= on_waves @ inverse @ on_waves.transpose(0, 2, 1)
    return Fit(cost, linear, products[:, :, 8], curvature)


def _descend(
    points: Floats, targets: Floats, space: SearchSpace, *, iterations: int, tolerance: float
) -> tuple[Floats, Fit]:
    """Levenberg and Marquardt's method within the bounds, for each row independently."""
    points = points.copy()
    fit = evaluate(points, targets, space)
    damping = np.full(len(points), _FIRST_DAMPING)
    going = np.arange(len(points))
    for _ in range(iterations):
        if not going.size:
            break
        here = points[going]
        step = _step(here, fit.gradient[going], fit.curvature[going], damping[going], space)
        there = np.clip(here + step, space.lower, space.upper)
        trial = evaluate(there, targets[going], space)
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


def _step(here: Floats, gradient: Floats, curvature: Floats, damping: Floats, space: SearchSpace) -> Floats:
    """Steps (n, 6).

    A parameter at its bound whose step leads beyond it is fixed (Bertsekas' projected Newton method).
    """
    held = ((here <= space.lower) & (gradient < 0)) | ((here >= space.upper) & (gradient > 0))
    free = ~held
    matrix = curvature * (free[:, :, np.newaxis] & free[:, np.newaxis, :])
    diagonal = np.einsum("nii->ni", matrix)  # a view
    diagonal *= 1 + damping[:, np.newaxis]
    diagonal += np.where(held, 1.0, 1e-9)
    step = np.linalg.solve(matrix, np.where(held, 0.0, gradient)[:, :, np.newaxis])[:, :, 0]
    # The whole step is shortened, so that it is still a descent direction.
    excess = (np.abs(step) / space.longest_step).max(axis=1, keepdims=True)
    shortened: Floats = step / np.maximum(excess, 1)
    return shortened


def best_points(targets: Floats, starts: Floats, space: SearchSpace) -> tuple[Floats, Fit]:
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
    return points[best], Fit(*(values[best] for values in fit))


def coordinates(shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """The x and y of every pixel, row by row."""
    y, x = np.indices(shape, dtype=np.float64).reshape(2, -1)
    return x, y
