"""Principal components: the energy is the squared distance from a line, a straight valley."""

from __future__ import annotations

import numpy as np

from striate.energy.model import EnergyModel, Machine
from striate.parameters import Integer

__all__ = ["PCAEnergy"]


class PCAEnergy(EnergyModel):
    """E(y) = ½‖y − W z‖² with z = W′y, W the first principal directions, y without its mean.

    Parameters
    ----------
    n_units : int, default 1
        With 2, the dimension of the plane, everything is reconstructed and E = 0 everywhere.

    Attributes
    ----------
    mean_ : ndarray (2,)
    components_ : ndarray (n_units, 2)
        Orthonormal rows.
    """

    def __init__(self, n_units: int = 1) -> None:
        self.n_units: int = self._taken("n_units", n_units, Integer(low=1, high=2))

    @property
    def machine(self) -> Machine:
        """Its column in the talk's table."""
        return Machine("W′Y", "WZ", "½‖Y − WZ‖²", "F(Y)", "dimension")

    def _learn(self, points: np.ndarray) -> None:
        self.mean_ = points.mean(axis=0)
        self.components_ = np.linalg.svd(points - self.mean_, full_matrices=False)[2][: self.n_units]

    def _code(self, points: np.ndarray) -> np.ndarray:
        codes: np.ndarray = (points - self.mean_) @ self.components_.T
        return codes

    def _energy(self, points: np.ndarray) -> np.ndarray:
        reconstructed = self._code(points) @ self.components_ + self.mean_
        energies: np.ndarray = 0.5 * np.square(points - reconstructed).sum(axis=1)
        return energies
