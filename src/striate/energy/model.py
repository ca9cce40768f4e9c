"""The interface of all energy models: points in, energies out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from striate.energy.densities import Density
from striate.energy.grid import Grid
from striate.errors import UsageError
from striate.parameters import Instance, Integer, Real, Rule, checked
from striate.samples import as_array

__all__ = ["EnergyModel", "Machine", "as_points", "divergence", "temperature"]


class Machine(NamedTuple):
    """The parts of a model, as in the talk's table below its energy surfaces."""

    encoder: str
    decoder: str
    energy: str
    loss: str
    pull_up: str


class EnergyModel(ABC):
    """A model that assigns an energy to every point of the plane, which is low at the training data."""

    @property
    @abstractmethod
    def machine(self) -> Machine:
        """Its column in the talk's table."""

    def fit(self, X: ArrayLike) -> Self:
        """Learn from points, (n_points, 2); at least two, all finite."""
        points = as_points(X)
        if len(points) < 2:
            raise UsageError(f"learning an energy needs at least 2 points, not {len(points)}")
        self._learn(points)
        return self

    def energy(self, y: ArrayLike) -> np.ndarray:
        """The energy of points at the codes that the model computes: (n_points, 2) → float64 (n_points,)."""
        self._check_fitted()
        return self._energy(as_points(y))

    def free_energy(self, y: ArrayLike) -> np.ndarray:
        """The energy of points with the code minimized or summed out: (n_points, 2) → float64 (n_points,).

        It differs from `energy` where there is a code that the model does not optimize (PSD) or that is uncertain
        (RBM).
        """
        self._check_fitted()
        return self._free_energy(as_points(y))

    def code(self, y: ArrayLike) -> np.ndarray:
        """The codes of points, (n_points, 2) → (n_points, n_units).

        Raises
        ------
        UsageError
            For a model without a code.
        """
        self._check_fitted()
        return self._code(as_points(y))

    @abstractmethod
    def _learn(self, points: np.ndarray) -> None: ...

    @abstractmethod
    def _energy(self, points: np.ndarray) -> np.ndarray: ...

    def _free_energy(self, points: np.ndarray) -> np.ndarray:
        return self._energy(points)

    def _code(self, points: np.ndarray) -> np.ndarray:
        raise UsageError(f"{type(self).__name__} has no code; it gives every point an energy at once")

    def _taken(self, name: str, value: object, rule: Rule) -> Any:
        """A parameter, checked and converted by a rule."""
        try:
            return checked(name, value, rule)
        except UsageError as error:
            raise UsageError(f"{type(self).__name__}: {error}") from None

    def _check_fitted(self) -> None:
        # As in scikit-learn, the names of fitted attributes end with an underscore.
        if not any(name.endswith("_") and not name.startswith("_") for name in vars(self)):
            from sklearn.exceptions import NotFittedError

            raise NotFittedError(f"this {type(self).__name__} has learned nothing yet: call fit(X) first")


_MODEL = Instance(EnergyModel, words="an EnergyModel")


def as_points(points: ArrayLike) -> np.ndarray:
    """Points of the plane as float64 (n_points, 2), all finite."""
    return as_array(points, name="points", axes=("n_points", 2)).astype(np.float64, copy=False)


def temperature(model: EnergyModel, X: ArrayLike, grid: Grid) -> float:
    """The factor β for which points are most likely under exp(−β·F) / Z, for energies that are not log densities.

    The log-likelihood is concave in β, as in every exponential family: a bracketed search, from 1e-4 to 1e6, finds
    the one maximum.

    Parameters
    ----------
    model : EnergyModel
    X : float (n_points, 2)
        The points that the model learned from.
    grid : Grid

    Returns
    -------
    float
    """
    from scipy.optimize import minimize_scalar

    checked("model", model, _MODEL)
    checked("grid", grid, Instance(Grid, words="a Grid"))
    on_data, on_grid = float(model.free_energy(X).mean()), model.free_energy(grid.points)

    def loss(log_factor: float) -> float:
        factor = float(np.exp(log_factor))
        return factor * on_data + grid.log_partition(factor * on_grid)

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(1e-4), np.log(1e6)), method="bounded").x))


def divergence(model: EnergyModel, density: Density, *, size: int = 400, factor: float = 1.0) -> float:
    """KL(density ‖ exp(−factor·F) / Z) in nats, over the density's window.

    Parameters
    ----------
    model : EnergyModel
    density : Density
    size : int, default 400
        Cells per side of the quadrature.
    factor : float, default 1
        For energies that are not log densities, the result of `temperature`.
    """
    checked("model", model, _MODEL)
    checked("density", density, Instance(Density, words="a Density"))
    factor = checked("factor", factor, Real(above=0))
    grid = Grid(density.window, checked("size", size, Integer(low=2)))
    return grid.divergence(density.log_density(grid.points), factor * model.free_energy(grid.points))
