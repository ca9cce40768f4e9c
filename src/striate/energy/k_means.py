"""K-means: the code is one of n units, and the energy is a paraboloid around each."""

from __future__ import annotations

import numpy as np

from striate.energy.model import EnergyModel, Machine
from striate.errors import UsageError
from striate.parameters import Integer, Seed
from striate.randomness import RandomState, generator_from

__all__ = ["KMeansEnergy"]


class KMeansEnergy(EnergyModel):
    """E(y) = ½·min over units ‖y − W_unit‖²: the code is one-hot.

    Parameters
    ----------
    n_units : int, default 3
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    centers_ : ndarray (n_units, 2)
    """

    def __init__(self, n_units: int = 3, *, random_state: RandomState = None) -> None:
        self.n_units: int = self._taken("n_units", n_units, Integer(low=1))
        self.random_state: RandomState = self._taken("random_state", random_state, Seed())

    @property
    def machine(self) -> Machine:
        """Its column in the talk's table."""
        return Machine("−", "WZ", "½‖Y − WZ‖²", "F(Y)", "1-of-N code")

    def _learn(self, points: np.ndarray) -> None:
        from sklearn.cluster import KMeans

        if len(points) < self.n_units:
            raise UsageError(f"{self.n_units} units of K-means need at least {self.n_units} points, not {len(points)}")
        seed = int(generator_from(self.random_state).integers(2**31))
        self.centers_ = KMeans(self.n_units, n_init=10, random_state=seed).fit(points).cluster_centers_

    def _distances(self, points: np.ndarray) -> np.ndarray:
        from sklearn.metrics.pairwise import euclidean_distances

        distances: np.ndarray = euclidean_distances(points, self.centers_, squared=True)
        return distances

    def _code(self, points: np.ndarray) -> np.ndarray:
        codes: np.ndarray = np.eye(self.n_units)[self._distances(points).argmin(axis=1)]
        return codes

    def _energy(self, points: np.ndarray) -> np.ndarray:
        energies: np.ndarray = 0.5 * self._distances(points).min(axis=1)
        return energies
