"""A window of the plane and the grid in it, on which energies are drawn, integrated and compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from striate.errors import UsageError
from striate.parameters import Instance, Integer, Real, checked
from striate.randomness import RandomState, generator_from
from striate.samples import as_array, as_samples

__all__ = ["Grid", "Window"]


@dataclass(frozen=True)
class Window:
    """A rectangle of the plane.

    Parameters
    ----------
    left, right, bottom, top : float
    """

    left: float
    right: float
    bottom: float
    top: float

    def __post_init__(self) -> None:
        """Refuse a rectangle without an area."""
        for name in ("left", "right", "bottom", "top"):
            object.__setattr__(self, name, checked(name, getattr(self, name), Real()))
        if not (self.left < self.right and self.bottom < self.top):
            raise UsageError(f"a window is left < right and bottom < top, all finite, not {self.extent}")

    @classmethod
    def around(cls, points: ArrayLike, margin: float = 0.1) -> Window:
        """The smallest window that holds the points, with a margin relative to its sides."""
        points = as_samples(points, name="points", n_features=2)
        if not len(points):
            raise UsageError("no points: a window needs at least one")
        margin = checked("margin", margin, Real(low=0))
        low, high = points.min(axis=0), points.max(axis=0)
        space = margin * np.maximum(high - low, 1e-9)
        (left, bottom), (right, top) = low - space, high + space
        return cls(float(left), float(right), float(bottom), float(top))

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top, as in matplotlib's `imshow`."""
        return self.left, self.right, self.bottom, self.top

    @property
    def area(self) -> float:
        """The product of the sides."""
        return (self.right - self.left) * (self.top - self.bottom)

    @property
    def low(self) -> np.ndarray:
        """The lower left corner, (2,)."""
        return np.array([self.left, self.bottom])

    @property
    def high(self) -> np.ndarray:
        """The upper right corner, (2,)."""
        return np.array([self.right, self.top])

    def holds(self, points: ArrayLike) -> np.ndarray:
        """Which points, (n_points, 2), lie inside: bool (n_points,)."""
        points = as_samples(points, name="points", n_features=2, finite=False)
        return np.all((points >= self.low) & (points <= self.high), axis=1)

    def reflect(self, points: ArrayLike) -> np.ndarray:
        """Points that left the window, mirrored at the side that they crossed: a wall for chains of samples."""
        points = as_samples(points, name="points", n_features=2, finite=False)
        sides = self.high - self.low
        # A triangle wave with twice the side as its period.
        away = np.abs(np.mod(points - self.low, 2 * sides) - sides)
        return (self.high - away).astype(points.dtype)


class Grid:
    """The centers of size × size equal cells of a window, and sums over them that approximate integrals.

    Parameters
    ----------
    window : Window
    size : int, default 400
        Cells per side. The midpoint rule is then exact to many digits for densities that vary over several cells.

    Attributes
    ----------
    points : float64 (size², 2)
        Row by row from the bottom; `image` gives values at the points the shape of an image.
    cell : float
        The area of a cell.

    Examples
    --------
    >>> import numpy as np
    >>> grid = Grid(Window(-8, 8, -8, 8), 100)
    >>> energies = 0.5 * np.square(grid.points).sum(axis=1)  # of a Gaussian, whose partition function is 2π
    >>> round(float(np.exp(grid.log_partition(energies)) / (2 * np.pi)), 6)
    1.0
    """

    def __init__(self, window: Window, size: int = 400) -> None:
        self.window: Window = checked("window", window, Instance(Window, words="a Window"))
        self.size: int = checked("size", size, Integer(low=2))
        size = self.size
        self.step = (window.high - window.low) / size
        self.cell = float(self.step.prod())
        columns, rows = np.meshgrid(*(np.arange(size) + 0.5,) * 2)
        self._cells = np.column_stack([columns.ravel(), rows.ravel()])
        self.points = window.low + self._cells * self.step

    def shifted(self, rng: RandomState) -> np.ndarray:
        """The grid's points, moved together by a random part of a cell, so that errors of quadrature average out."""
        moved: np.ndarray = self.window.low + (self._cells + generator_from(rng).uniform(-0.5, 0.5, 2)) * self.step
        return moved

    def image(self, values: ArrayLike) -> np.ndarray:
        """Values at `points`, (size²,), as (size, size) with the lowest row first."""
        return self._values(values, "values").reshape(self.size, self.size)

    def _values(self, values: ArrayLike, name: str) -> np.ndarray:
        """Values at `points`, from that or from the shape of `image`; infinity is allowed, NaN is not."""
        if getattr(values, "shape", None) == (self.size, self.size):
            values = np.reshape(values, -1)
        found = as_array(values, name=name, axes=(self.size**2,), finite=False)
        if np.isnan(found).any():
            raise UsageError(f"{name} hold NaN, first at point {int(np.isnan(found).argmax())}")
        return found

    def log_partition(self, energies: ArrayLike) -> float:
        """Log ∫ exp(−E) over the window, from the energies at `points`."""
        from scipy.special import logsumexp

        return float(logsumexp(-self._values(energies, "energies").astype(np.float64))) + float(np.log(self.cell))

    def log_density(self, energies: ArrayLike) -> np.ndarray:
        """Log of exp(−E) / Z at `points`, (size²,)."""
        return -self._values(energies, "energies").astype(np.float64) - self.log_partition(energies)

    def divergence(self, log_density: ArrayLike, energies: ArrayLike) -> float:
        """The Kullback–Leibler divergence of exp(−E) / Z from a density, in nats.

        Parameters
        ----------
        log_density : float (size²,)
            The true density's logarithm at `points`; it is normalized over the grid.
        energies : float (size²,)
        """
        truth = self.log_density(-self._values(log_density, "log densities"))
        share = np.exp(truth) * self.cell
        held = share > 0
        return float((share[held] * (truth - self.log_density(energies))[held]).sum())

    def local_minima(self, values: ArrayLike) -> np.ndarray:
        """The points whose value is below that of all eight neighbors, (n_minima, 2); the border is left out."""
        image = self.image(values)
        inner = image[1:-1, 1:-1]
        lowest = np.ones(inner.shape, bool)
        for down in range(3):
            for right in range(3):
                if (down, right) != (1, 1):
                    lowest &= inner < image[down : down + self.size - 2, right : right + self.size - 2]
        rows, columns = np.nonzero(lowest)
        return self.points[(rows + 1) * self.size + columns + 1]

    def low_share(self, energies: ArrayLike, bound: float) -> float:
        """The share of the window where the energy is at most a bound."""
        return float(np.mean(self._values(energies, "energies") <= checked("bound", bound, Real())))
