"""A restricted Boltzmann machine with Gaussian visible units: the free energy sums over all its binary codes."""

from __future__ import annotations

import numpy as np

from striate.energy.model import EnergyModel, Machine
from striate.learning import RBM
from striate.parameters import Integer, Real, Seed
from striate.randomness import RandomState

__all__ = ["RBMEnergy"]


class RBMEnergy(EnergyModel):
    """E(y, z) = ½‖y − b‖² − c·z − z·Wy with binary z, and F(y) = −log Σ_z exp(−E(y, z)).

    `energy` is E at the best code, in which a unit is 1 if this lowers E. The model is a mixture of 2^n_units
    Gaussians of variance 1; points are first multiplied by `precision`.

    Parameters
    ----------
    n_units : int, default 20
    precision : float, default 3
        One over the width of the Gaussians, in standard deviations of the data.
    n_epochs : int, default 50
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    learner_ : RBM
    """

    def __init__(
        self, n_units: int = 20, *, precision: float = 3.0, n_epochs: int = 50, random_state: RandomState = None
    ) -> None:
        self.n_units: int = self._taken("n_units", n_units, Integer(low=1))
        self.precision: float = self._taken("precision", precision, Real(above=0))
        self.n_epochs: int = self._taken("n_epochs", n_epochs, Integer(low=1))
        self.random_state: RandomState = self._taken("random_state", random_state, Seed())

    @property
    def machine(self) -> Machine:
        """Its column in the talk's table."""
        return Machine(
            "σ(WY + c)", "W′Z + b", "½‖Y − b‖² − c·Z − Z·WY", "F(Y) + log Σ e^(−F)", "contrastive divergence"
        )

    def _learn(self, points: np.ndarray) -> None:
        self._mean, self._unit = points.mean(axis=0), (points.std() or 1.0) / self.precision
        self.learner_ = RBM(
            self.n_units, visible="gaussian", learning_rate=0.01, n_epochs=self.n_epochs,
            random_state=self.random_state,
        ).fit(self._scaled(points))  # fmt: skip

    def _scaled(self, points: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = (points - self._mean) / self._unit
        return scaled

    def _code(self, points: np.ndarray) -> np.ndarray:
        codes: np.ndarray = self.learner_.transform(self._scaled(points))
        return codes

    def _energy(self, points: np.ndarray) -> np.ndarray:
        scaled, learner = self._scaled(points), self.learner_
        drive = scaled @ learner.components_.T + learner.hidden_bias_
        energies: np.ndarray = 0.5 * np.square(scaled - learner.visible_bias_).sum(axis=1)
        return energies - np.maximum(drive, 0).sum(axis=1)

    def _free_energy(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(self.learner_.free_energy(self._scaled(points)), np.float64)
