"""A window of the plane and the grid in it: where energies are drawn, integrated and compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from striate.errors import UsageError

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
        if not (np.isfinite(self.extent).all() and self.left < self.right and self.bottom < self.top):
            raise UsageError(f"a window is left < right and bottom < top, all finite, not {self.extent}")

    @classmethod
    def around(cls, points: np.ndarray, margin: float = 0.1) -> Window:
        """The smallest window that holds the points, with a margin relative to its sides."""
        low, high = points.min(axis=0), points.max(axis=0)
        space = margin * np.maximum(high - low, 1e-9)
        (left, bottom), (right, top) = low - space, high + space
        return cls(float(left), float(right), float(bottom), float(top))

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """As matplotlib's `imshow` takes it: left, right, bottom, top."""
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

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which points, (n_points, 2), lie inside: bool (n_points,)."""
        return np.all((points >= self.low) & (points <= self.high), axis=1)

    def reflect(self, points: np.ndarray) -> np.ndarray:
        """Points that left the window, mirrored at the side that they crossed: a wall for chains of samples."""
        sides = self.high - self.low
        # A triangle wave with twice the side as its period.
        away = np.abs(np.mod(points - self.low, 2 * sides) - sides)
        return (self.high - away).astype(points.dtype)


class Grid:
    """The centers of size × size equal cells of a window, and sums over them in the place of integrals.

    Parameters
    ----------
    window : Window
    size : int, default 400
        Cells a side. The midpoint rule is then exact to many digits for densities that vary over several cells.

    Attributes
    ----------
    points : float64 (size², 2)
        Row by row from the bottom; `image` brings values at them into the form of a picture.
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
        if size < 2:
            raise UsageError(f"a grid needs at least 2 cells a side, not {size}")
        self.window, self.size = window, size
        self.step = (window.high - window.low) / size
        self.cell = float(self.step.prod())
        columns, rows = np.meshgrid(*(np.arange(size) + 0.5,) * 2)
        self._cells = np.column_stack([columns.ravel(), rows.ravel()])
        self.points = window.low + self._cells * self.step

    def shifted(self, rng: np.random.Generator) -> np.ndarray:
        """The grid's points, moved together by a random part of a cell: quadrature whose error averages out."""
        moved: np.ndarray = self.window.low + (self._cells + rng.uniform(-0.5, 0.5, 2)) * self.step
        return moved

    def image(self, values: np.ndarray) -> np.ndarray:
        """Values at `points`, (size²,), as (size, size) with the lowest row first."""
        return values.reshape(self.size, self.size)

    def log_partition(self, energies: np.ndarray) -> float:
        """Log ∫ exp(−E) over the window, from the energies at `points`."""
        from scipy.special import logsumexp

        return float(logsumexp(-np.asarray(energies, np.float64))) + float(np.log(self.cell))

    def log_density(self, energies: np.ndarray) -> np.ndarray:
        """Log of exp(−E) / Z at `points`, (size²,)."""
        return -np.asarray(energies, np.float64) - self.log_partition(energies)

    def divergence(self, log_density: np.ndarray, energies: np.ndarray) -> float:
        """The Kullback–Leibler divergence of exp(−E) / Z from a density, in nats.

        Parameters
        ----------
        log_density : float (size²,)
            The true density's logarithm at `points`; it is normalized over the grid.
        energies : float (size²,)
        """
        truth = self.log_density(-log_density)
        share = np.exp(truth) * self.cell
        held = share > 0
        return float((share[held] * (truth - self.log_density(energies))[held]).sum())

    def local_minima(self, values: np.ndarray) -> np.ndarray:
        """The points whose value is below that of all eight neighbors, (n_minima, 2); the border has none."""
        image = self.image(values)
        inner = image[1:-1, 1:-1]
        lowest = np.ones(inner.shape, bool)
        for down in range(3):
            for right in range(3):
                if (down, right) != (1, 1):
                    lowest &= inner < image[down : down + self.size - 2, right : right + self.size - 2]
        rows, columns = np.nonzero(lowest)
        return self.points[(rows + 1) * self.size + columns + 1]

    def low_share(self, energies: np.ndarray, bound: float) -> float:
        """The share of the window where the energy is at most a bound."""
        return float(np.mean(energies <= bound))
