"""Known densities in the plane: the talk's toy data, to draw points from and to compare energies with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from striate.energy.grid import Grid, Window
from striate.errors import UsageError
from striate.parameters import Integer, Real, checked
from striate.randomness import RandomState, generator_from
from striate.samples import as_array, as_samples

__all__ = ["Density", "Parabola", "Spiral", "ThreeCauchy"]

_QUADRATURE = 250  # cells per side, to normalize over a window: at least three per standard deviation of the noise
_SCALE = Real(low=1e-100, high=1e100)  # beyond these limits, squares overflow or vanish
_NOISE = Real(low=1e-5, high=1e3)  # the nodes of a curve must be closer than the noise, and need memory
_ROUNDS = 100_000  # attempts to draw, before an error reports that the density is outside its window
_BLOCK = 4096  # points at a time, since each is compared with every node of a curve


class Density(ABC):
    """A density that is cut off at a window and renormalized there.

    Attributes
    ----------
    window : Window
    """

    window: Window

    def sample(self, n_points: int, *, random_state: RandomState = None) -> np.ndarray:
        """Independent points of the density, drawn until enough of them are in the window.

        Parameters
        ----------
        n_points : int
        random_state : int, Generator, RandomState or None

        Returns
        -------
        float64 (n_points, 2)
        """
        n_points = checked("n_points", n_points, Integer(low=0))
        rng = generator_from(random_state)
        found = np.empty((0, 2))
        for _ in range(_ROUNDS):
            if len(found) >= n_points:
                return found[:n_points]
            drawn = self._draw(rng, n_points)
            found = np.vstack([found, drawn[self.window.holds(drawn)]])
        raise UsageError(f"hardly any point of this {type(self).__name__} lies in its window: give smaller scales")

    def log_density(self, points: ArrayLike) -> np.ndarray:
        """The logarithm of the density at points, (n_points, 2) → (n_points,); −∞ outside the window."""
        points = as_samples(points, name="points", n_features=2).astype(np.float64)
        return np.where(self.window.holds(points), self._log_weight(points) - self._log_inside, -np.inf)

    @cached_property
    def _log_inside(self) -> float:
        """Log of the integral of `_log_weight` over the window."""
        grid = Grid(self.window, _QUADRATURE)
        return grid.log_partition(-self._log_weight(grid.points))

    @abstractmethod
    def _draw(self, rng: np.random.Generator, n_points: int) -> np.ndarray:
        """Points of the density before it is cut off."""

    @abstractmethod
    def _log_weight(self, points: np.ndarray) -> np.ndarray:
        """The logarithm of the density before it is cut off, up to a constant."""


class ThreeCauchy(Density):
    """The first toy data set of the talk: a mixture of three Cauchy distributions, a star of three lines.

    Each is a bivariate Cauchy distribution about the origin, wide along its arm and narrow across it::

        p(y) = 1 / (2π·length·width) · (1 + (along / length)² + (across / width)²)^(−3/2)

    (The talk's centers and scales were not published; these are ours.)

    Parameters
    ----------
    length, width : float, default 1 and 0.1
        Scales along an arm and across.
    half_side : float, default 4
        Distance from the origin to each side of the window.

    Attributes
    ----------
    angles : ndarray (3,)
        Directions of the arms in radians: 90°, 30° and 150°.
    """

    def __init__(self, *, length: float = 1.0, width: float = 0.1, half_side: float = 4.0) -> None:
        self.length: float = checked("length", length, _SCALE)
        self.width: float = checked("width", width, _SCALE)
        half_side = checked("half_side", half_side, _SCALE)
        self.window = Window(-half_side, half_side, -half_side, half_side)
        self.angles = np.deg2rad([90.0, 30.0, 150.0])

    def _draw(self, rng: np.random.Generator, n_points: int) -> np.ndarray:
        # A Gaussian over the root of a χ² with one degree of freedom: Student's t, here Cauchy.
        along, across = rng.standard_normal((2, n_points)) / np.abs(rng.standard_normal(n_points))
        along, across = self.length * along, self.width * across
        angles = rng.choice(self.angles, n_points)
        cosine, sine = np.cos(angles), np.sin(angles)
        return np.column_stack([along * cosine - across * sine, along * sine + across * cosine])

    def _log_weight(self, points: np.ndarray) -> np.ndarray:
        total = np.zeros(len(points))
        for angle in self.angles:
            along = points @ np.array([np.cos(angle), np.sin(angle)])
            across = points @ np.array([-np.sin(angle), np.cos(angle)])
            total += (1 + np.square(along / self.length) + np.square(across / self.width)) ** -1.5
        return np.log(total)


class _NoisyCurve(Density):
    """Points drawn uniformly along a curve, with Gaussian noise."""

    noise: float

    @abstractmethod
    def places(self, u: ArrayLike) -> np.ndarray:
        """Points of the curve at u in [0, 1]: (n,) → (n, 2)."""

    def _draw(self, rng: np.random.Generator, n_points: int) -> np.ndarray:
        drawn: np.ndarray = self.places(rng.uniform(size=n_points)) + self.noise * rng.standard_normal((n_points, 2))
        return drawn

    def _log_weight(self, points: np.ndarray) -> np.ndarray:
        from scipy.special import logsumexp

        nodes = self.places((np.arange(self._n_nodes) + 0.5) / self._n_nodes)
        squares = np.square(nodes).sum(axis=1)
        result = np.empty(len(points))
        for first in range(0, len(points), _BLOCK):
            block = points[first : first + _BLOCK]
            distance = np.square(block).sum(axis=1)[:, np.newaxis] + squares - 2 * block @ nodes.T
            result[first : first + _BLOCK] = logsumexp(-distance / (2 * self.noise**2), axis=1)
        return result - np.log(self._n_nodes)

    @cached_property
    def _n_nodes(self) -> int:
        """A number of nodes whose distance is less than half the noise: the midpoint rule is then exact to rounding."""
        places = self.places(np.linspace(0, 1, 2001))
        longest = float(np.linalg.norm(np.diff(places, axis=0), axis=1).max()) * 2000
        return int(np.ceil(2 * longest / self.noise))


class Spiral(_NoisyCurve):
    """The second toy data set of the talk: points along a spiral in the square [−1, 1]².

    Radius and angle grow together; points are uniform along the curve, with Gaussian noise.

    Parameters
    ----------
    turns : float, default 1.5
    noise : float, default 0.03
        Standard deviation of the noise in each coordinate.
    """

    def __init__(self, *, turns: float = 1.5, noise: float = 0.03) -> None:
        turns = self.turns = checked("turns", turns, Real(above=0, high=1000))
        self.noise: float = checked("noise", noise, _NOISE)
        self.window = Window(-1.0, 1.0, -1.0, 1.0)
        angles = np.linspace(0, 2 * np.pi * turns, 20_001)
        curve = self._at(angles)
        lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
        self._lengths, self._angles = lengths / lengths[-1], angles

    def places(self, u: ArrayLike) -> np.ndarray:
        """Points of the spiral after a share u of its length: (n,) → (n, 2)."""
        u = _along(u)
        return self._at(np.interp(u, self._lengths, self._angles))

    def _at(self, angles: np.ndarray) -> np.ndarray:
        radii = 0.1 + 0.75 * angles / (2 * np.pi * self.turns)
        return np.column_stack([radii * np.cos(angles), radii * np.sin(angles)])


class Parabola(_NoisyCurve):
    """The talk's example of a dependency: y = x², x uniform in [−1, 1], with Gaussian noise.

    Parameters
    ----------
    noise : float, default 0.05
        Standard deviation of the noise in each coordinate.
    """

    def __init__(self, *, noise: float = 0.05) -> None:
        self.noise: float = checked("noise", noise, _NOISE)
        self.window = Window(-1.25, 1.25, -0.5, 1.5)

    def places(self, u: ArrayLike) -> np.ndarray:
        """Points of the curve at x = 2u − 1: (n,) → (n, 2)."""
        u = _along(u)
        x = 2 * u - 1
        return np.column_stack([x, np.square(x)])


def _along(u: ArrayLike) -> np.ndarray:
    return as_array(u, name="places along a curve", axes=("n",)).astype(np.float64)
