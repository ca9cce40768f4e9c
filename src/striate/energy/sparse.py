"""Sparse coding and PSD in the plane: codes must be sparse, so that few points have a low energy."""

from __future__ import annotations

import numpy as np

from striate.coding import PreparedDictionary, infer
from striate.coding import energy as energy_of_codes
from striate.energy.model import EnergyModel, Machine
from striate.learning import PSD, SparseCoding
from striate.parameters import Boolean, Integer, Real, Seed
from striate.randomness import RandomState

__all__ = ["PSDEnergy", "SparseCodingEnergy"]


class _OnSphere(EnergyModel):
    """Maps the plane to a sphere.

    Units of unit norm are only directions in the plane. With a `height`, a point (y₁, y₂) is coded as (y₁, y₂,
    height), divided by its norm. The plane then becomes half a sphere, on which units are positions, and points
    between two near units have a sparse code.
    """

    height: float | None

    def _raised(self, points: np.ndarray) -> np.ndarray:
        if self.height is None:
            return points
        raised = np.column_stack([points, np.full(len(points), self.height)])
        return raised / np.linalg.norm(raised, axis=1, keepdims=True)


class SparseCodingEnergy(_OnSphere):
    """E(y, z) = ½‖y − zD‖² + sparsity·Σ|z|, and F(y) = min over z of it, by converged inference at every point.

    Parameters
    ----------
    n_units : int, default 3
    sparsity : float, default 0.5
        Half of the talk's λ, since the talk writes the square without ½. Near 0, two units or more reconstruct the
        whole plane: F = 0 everywhere.
    positive : bool, default False
        Codes must not be negative: the points of a unit are then a ray instead of a line.
    height : float, optional
        Gives units places in addition to directions: a point (y₁, y₂) is coded as (y₁, y₂, height), divided by its
        norm, so that the plane lies on half a sphere. With None, the energy has valleys through the origin.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    components_ : ndarray (n_units, 2), or (n_units, 3) with a height
        The dictionary, rows of unit norm.
    places_ : ndarray (n_units, 2)
        Directions of the units, or with a height points of the plane.
    """

    def __init__(
        self,
        n_units: int = 3,
        *,
        sparsity: float = 0.5,
        positive: bool = False,
        height: float | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.n_units: int = self._taken("n_units", n_units, Integer(low=1))
        self.sparsity: float = self._taken("sparsity", sparsity, Real(above=0))
        self.positive: bool = self._taken("positive", positive, Boolean())
        self.height: float | None = self._taken("height", height, Real(above=0) | None)
        self.random_state: RandomState = self._taken("random_state", random_state, Seed())

    @property
    def machine(self) -> Machine:
        """Its column in the talk's table."""
        return Machine("−", "WZ", "½‖Y − WZ‖² + λ|Z|", "F(Y)", "sparsity")

    def _learn(self, points: np.ndarray) -> None:
        learner = SparseCoding(
            self.n_units, sparsity=self.sparsity, positive=self.positive, max_batches=400, validation_fraction=0,
            random_state=self.random_state,
        )  # fmt: skip
        self.components_ = learner.fit(self._raised(points)).components_
        self._prepared = PreparedDictionary(self.components_)

    @property
    def places_(self) -> np.ndarray:
        """Directions of the units, or with a height their places."""
        if self.height is None:
            return self.components_
        return self.height * self.components_[:, :2] / self.components_[:, 2:]

    def _code(self, points: np.ndarray) -> np.ndarray:
        codes: np.ndarray = infer(self._raised(points), self._prepared, self.sparsity, positive=self.positive)
        return codes

    def _energy(self, points: np.ndarray) -> np.ndarray:
        return energy_of_codes(self._raised(points), self._code(points), self.components_, self.sparsity)


class PSDEnergy(_OnSphere):
    """E(y, z) = ½‖y − zD‖² + sparsity·Σ|z| + ½·prediction·‖z − encoder(y)‖², points scaled to unit deviation.

    `energy` takes the encoder's code, `free_energy` the optimal one.

    Parameters
    ----------
    n_units : int, default 3
    sparsity : float, default 0.3
    prediction : float, default 1
    height : float, optional
        As in `SparseCodingEnergy`.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    learner_ : PSD
    """

    def __init__(
        self,
        n_units: int = 3,
        *,
        sparsity: float = 0.3,
        prediction: float = 1.0,
        height: float | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.n_units: int = self._taken("n_units", n_units, Integer(low=1))
        self.sparsity: float = self._taken("sparsity", sparsity, Real(above=0))
        self.prediction: float = self._taken("prediction", prediction, Real(above=0))
        self.height: float | None = self._taken("height", height, Real(above=0) | None)
        self.random_state: RandomState = self._taken("random_state", random_state, Seed())

    @property
    def machine(self) -> Machine:
        """Its column in the talk's table."""
        return Machine("D tanh(W_e Y)", "W_d Z", "½‖Y − W_d Z‖² + λ|Z|\n+ ½‖Z − enc(Y)‖²", "F(Y)", "sparsity")

    def _learn(self, points: np.ndarray) -> None:
        self.learner_ = PSD(
            self.n_units, sparsity=self.sparsity, prediction=self.prediction, remove_mean=False, max_batches=1500,
            encoder_rate=1e-2, random_state=self.random_state,
        ).fit(self._raised(points))  # fmt: skip

    def _code(self, points: np.ndarray) -> np.ndarray:
        codes: np.ndarray = self.learner_.transform(self._raised(points))
        return codes

    def _energy(self, points: np.ndarray) -> np.ndarray:
        return self._at(points, self._code(points))

    def _free_energy(self, points: np.ndarray) -> np.ndarray:
        return self._at(points, self.learner_.infer(self._raised(points)))

    def _at(self, points: np.ndarray, codes: np.ndarray) -> np.ndarray:
        scaled = self.learner_.scaled(self._raised(points))
        return energy_of_codes(
            scaled, codes, self.learner_.components_, self.sparsity, prediction=self.prediction,
            target=self._code(points),
        )  # fmt: skip
