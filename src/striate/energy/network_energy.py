"""A small network that assigns an energy to every point, and the talk's methods to train it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike

from striate.energy._network import Network
from striate.energy.criteria import Loss, contrast, denoising_score_matching, maximum_likelihood, score_matching
from striate.energy.grid import Grid, Window
from striate.energy.model import EnergyModel, Machine, as_points
from striate.energy.sampling import hamiltonian, langevin
from striate.errors import UsageError
from striate.parameters import Choice, Instance, Integer, IntegerTuple, Real, Seed, checked
from striate.randomness import RandomState, generator_from

__all__ = ["Criterion", "NetworkEnergy", "Sampler"]

Criterion = Literal[
    "maximum_likelihood",
    "contrastive_divergence",
    "persistent_contrastive_divergence",
    "score_matching",
    "denoising_score_matching",
]
Sampler = Literal["langevin", "hamiltonian"]

_FINENESS = 4.0  # standard deviation of a first-layer unit's sum across half a window; its slope covers a quarter
_N_CHAINS = 512  # of persistent contrastive divergence
_RESTARTED = 0.02  # share of the chains that restart from the data at each batch, so that no arm is left without chains


class NetworkEnergy(EnergyModel):
    """E(y) is a multilayer perceptron with tanh units and no code; the training criterion keeps it high elsewhere.

    Parameters
    ----------
    hidden : sequence of int, default (64, 64)
        Widths of the hidden layers.
    criterion : str, default "maximum_likelihood"
        "maximum_likelihood" computes the partition function by quadrature; the others are compared with it.
        "contrastive_divergence" pulls the energy up at the ends of chains that ran from the data for `n_sampler_steps`,
        "persistent_contrastive_divergence" at those of chains that go on from batch to batch; "score_matching" and
        "denoising_score_matching" use slopes at the data.
    window : Window, optional
        Where the density is normalized; by default, a window around the data.
    n_batches : int, default 4000
    batch_size : int, default 500
    rate : float, default 3e-3
        Rate of Adam; after half the batches it falls linearly to 0, which averages out the noise of single batches.
    grid_size : int, default 64
        Cells per side of the quadrature, whose grid is shifted at random before each batch.
    sampler : {"langevin", "hamiltonian"}, default "langevin"
    n_sampler_steps : int, default 10
    step : float, default 0.02
        Step of the sampler, in half sides of the window.
    noise : float, default 0.02
        Standard deviation of the noise for denoising score matching, in half sides of the window.
    snapshots : sequence of int, default ()
        Numbers of batches after which the parameters are kept, for `at`.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    losses_ : list of float
        The criterion of each batch; comparable only within one criterion.
    n_batches_ : int

    Examples
    --------
    >>> from striate.energy import NetworkEnergy, Parabola, divergence
    >>> truth = Parabola()
    >>> model = NetworkEnergy((16, 16), window=truth.window, n_batches=300, random_state=0)
    >>> on_curve, above = model.fit(truth.sample(2000, random_state=0)).energy([[0.0, 0.0], [0.0, 1.0]])
    >>> bool(on_curve < above - 3)
    True
    """

    def __init__(
        self,
        hidden: Sequence[int] = (64, 64),
        *,
        criterion: Criterion = "maximum_likelihood",
        window: Window | None = None,
        n_batches: int = 4000,
        batch_size: int = 500,
        rate: float = 3e-3,
        grid_size: int = 64,
        sampler: Sampler = "langevin",
        n_sampler_steps: int = 10,
        step: float = 0.02,
        noise: float = 0.02,
        snapshots: Sequence[int] = (),
        random_state: RandomState = None,
    ) -> None:
        self.hidden: tuple[int, ...] = self._taken("hidden", hidden, IntegerTuple(low=1))
        self.criterion: str = self._taken("criterion", criterion, Choice(*get_args(Criterion)))
        self.window: Window | None = self._taken("window", window, Instance(Window, words="a Window") | None)
        self.n_batches: int = self._taken("n_batches", n_batches, Integer(low=1))
        self.batch_size: int = self._taken("batch_size", batch_size, Integer(low=1))
        self.rate: float = self._taken("rate", rate, Real(above=0))
        self.grid_size: int = self._taken("grid_size", grid_size, Integer(low=2))
        self.sampler: str = self._taken("sampler", sampler, Choice(*get_args(Sampler)))
        self.n_sampler_steps: int = self._taken("n_sampler_steps", n_sampler_steps, Integer(low=1))
        self.step: float = self._taken("step", step, Real(above=0))
        self.noise: float = self._taken("noise", noise, Real(above=0))
        self.snapshots: tuple[int, ...] = self._taken("snapshots", snapshots, IntegerTuple(low=0, empty=True))
        self.random_state: RandomState = self._taken("random_state", random_state, Seed())

    @property
    def machine(self) -> Machine:
        """Its column in the talk's table."""
        return Machine("−", "−", "E(Y)", "F(Y) + log Σ e^(−F)", "the criterion")

    def at(self, n_batches: int) -> Self:
        """The model after a number of batches, which must be one of `snapshots`."""
        self._check_fitted()
        n_batches = checked("n_batches", n_batches, Integer(low=0))
        if n_batches not in self._kept:
            raise UsageError(f"nothing was kept after {n_batches} batches; snapshots={list(self._kept)}")
        model = copy.copy(self)
        model._network = copy.copy(self._network)
        model._network.parameters = self._kept[n_batches]
        return model

    def slopes(self, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Energies (n_points,) and their gradients (n_points, 2) at points (n_points, 2)."""
        self._check_fitted()
        energies, slopes = self._scaled_slopes(self._scaled(as_points(y)))
        return energies.astype(np.float64), slopes.astype(np.float64) / self._half

    def _learn(self, points: np.ndarray) -> None:
        rng = generator_from(self.random_state)
        window = self.window or Window.around(points)
        self._center, self._half = (window.low + window.high) / 2, (window.high - window.low) / 2
        self._network = Network((2, *self.hidden, 1), rng, gain=_FINENESS, dtype=np.float32)
        self._square = Window(-1, 1, -1, 1)
        self._grid = Grid(self._square, self.grid_size)
        self._kept: dict[int, dict[str, np.ndarray]] = {}
        self.n_batches_ = 0
        scaled = self._scaled(points[window.holds(points)])
        if not len(scaled):
            raise UsageError("no point lies in the window: give another window, or other points")
        self._chains = scaled[rng.integers(len(scaled), size=_N_CHAINS)]
        order = np.empty(0, np.intp)

        def loss() -> Loss:
            nonlocal order
            self._keep_if_asked()
            if len(order) < min(self.batch_size, len(scaled)):
                order = rng.permutation(len(scaled))
            rows, order = order[: self.batch_size], order[self.batch_size :]
            self.n_batches_ += 1
            return self._loss(scaled[rows], rng)

        self.losses_: list[float] = self._network.train(loss, n_batches=self.n_batches, rate=self.rate)
        self._keep_if_asked()

    def _loss(self, points: np.ndarray, rng: np.random.Generator) -> Loss:
        if self.criterion == "maximum_likelihood":
            return maximum_likelihood(self._network, points, self._grid.shifted(rng), self._grid.cell)
        if self.criterion == "score_matching":
            return score_matching(self._network, points)
        if self.criterion == "denoising_score_matching":
            noise = (self.noise * rng.standard_normal(points.shape)).astype(points.dtype)
            return denoising_score_matching(self._network, points, noise, self.noise)
        return contrast(self._network, points, self._negative(points, rng))

    def _negative(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Points at which the energy is pulled up: the ends of the chains."""
        run = langevin if self.sampler == "langevin" else hamiltonian
        persistent = self.criterion == "persistent_contrastive_divergence"
        start = points
        if persistent:
            start = self._chains
            anew = rng.integers(len(start), size=int(_RESTARTED * len(start)))
            start[anew] = points[rng.integers(len(points), size=len(anew))]
        samples = run(
            self._scaled_slopes, start, n_steps=self.n_sampler_steps, step=self.step, window=self._square, rng=rng
        ).astype(points.dtype)
        if persistent:
            self._chains = samples
        return samples

    def _keep_if_asked(self) -> None:
        if self.n_batches_ in self.snapshots:
            self._kept[self.n_batches_] = copy.deepcopy(self._network.parameters)

    def _scaled(self, points: np.ndarray) -> np.ndarray:
        """The window as the square [−1, 1]², in the network's precision."""
        return ((points - self._center) / self._half).astype(np.float32)

    def _scaled_slopes(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        jets, _ = self._network.jets(points, 1)
        return jets[0, :, 0], jets[1:, :, 0].T

    def _energy(self, points: np.ndarray) -> np.ndarray:
        return self._network.values(self._scaled(points))[:, 0].astype(np.float64)
