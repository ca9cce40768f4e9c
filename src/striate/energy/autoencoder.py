"""Autoencoders of the plane: the energy is the reconstruction error, kept high by a narrow code or log Z."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from striate.energy._network import Network
from striate.energy.criteria import likelihood
from striate.energy.grid import Grid, Window
from striate.energy.model import EnergyModel, Machine
from striate.parameters import Choice, Instance, Integer, IntegerTuple, Real, Seed
from striate.randomness import RandomState, generator_from

__all__ = ["AutoencoderEnergy", "DenoisingEnergy"]


class AutoencoderEnergy(EnergyModel):
    """E(y) = ½·precision·‖y − decoder(encoder(y))‖², trained by gradient descent.

    Parameters
    ----------
    n_units : int, default 3
        Units of the code. Without `hidden` the encoder is tanh(W_e y + b) and the decoder W_d z + c, as on the slide.
    hidden : sequence of int, default ()
        Widths of further tanh layers between the input and the code, which is then linear, and mirrored after it.
    pull_up : {"partition_function", "dimension"}, default "partition_function"
        The loss: F(Y) + log Z, with Z by quadrature over the window, or F(Y) alone. With F(Y) alone, only a narrow
        code keeps the energy up: with two units, one for each dimension of the plane, every point is copied.
    precision : float, default 20
        The inverse of the variance that the model expects of its reconstructions, in squared half sides of the window:
        it determines how steep the walls of a groove are.
    window : Window, optional
        By default, a window around the data.
    n_batches, batch_size : int, default 3000 and 250
    rate : float, default 5e-3
        Rate of Adam; after half the batches it falls linearly to 0.
    grid_size : int, default 40
        Cells per side of the quadrature, shifted at random before each batch.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    losses_ : list of float
    """

    def __init__(
        self,
        n_units: int = 3,
        *,
        hidden: Sequence[int] = (),
        pull_up: Literal["partition_function", "dimension"] = "partition_function",
        precision: float = 20.0,
        window: Window | None = None,
        n_batches: int = 3000,
        batch_size: int = 250,
        rate: float = 5e-3,
        grid_size: int = 40,
        random_state: RandomState = None,
    ) -> None:
        self.n_units: int = self._taken("n_units", n_units, Integer(low=1))
        self.hidden: tuple[int, ...] = self._taken("hidden", hidden, IntegerTuple(low=1, empty=True))
        self.pull_up: str = self._taken("pull_up", pull_up, Choice("partition_function", "dimension"))
        self.precision: float = self._taken("precision", precision, Real(above=0))
        self.window: Window | None = self._taken("window", window, Instance(Window, words="a Window") | None)
        self.n_batches: int = self._taken("n_batches", n_batches, Integer(low=1))
        self.batch_size: int = self._taken("batch_size", batch_size, Integer(low=1))
        self.rate: float = self._taken("rate", rate, Real(above=0))
        self.grid_size: int = self._taken("grid_size", grid_size, Integer(low=2))
        self.random_state: RandomState = self._taken("random_state", random_state, Seed())

    @property
    def machine(self) -> Machine:
        """Its column in the talk's table, which depends on the layers and the loss."""
        encoder, decoder = ("W_e σ(V_e Y)", "W_d σ(V_d Z)") if self.hidden else ("σ(W_e Y)", "W_d Z")
        energy = "½‖Y − dec(Z)‖²" if self.hidden else "½‖Y − W_d Z‖²"
        if self.pull_up == "dimension":
            return Machine(encoder, decoder, energy, "F(Y)", "dimension")
        return Machine(encoder, decoder, energy, "F(Y) + log Σ e^(−F)", "partition function")

    def _learn(self, points: np.ndarray) -> None:
        rng = generator_from(self.random_state)
        window = self.window or Window.around(points)
        self._center, self._half = (window.low + window.high) / 2, float((window.high - window.low).max() / 2)
        self._network = self._new_network(rng)
        grid = Grid(Window(*(window.extent - np.repeat(self._center, 2)) / self._half), self.grid_size)
        scaled = self._scaled(points)

        def loss() -> tuple[float, dict[str, np.ndarray]]:
            return self._loss(scaled[rng.integers(len(scaled), size=self.batch_size)], grid, rng)

        self.losses_: list[float] = self._network.train(loss, n_batches=self.n_batches, rate=self.rate)

    def _new_network(self, rng: np.random.Generator) -> Network:
        sizes = (2, *self.hidden, self.n_units, *self.hidden[::-1], 2)
        linear = (1 + len(self.hidden),) if self.hidden else ()
        return Network(sizes, rng, gain=2.0, linear=linear, dtype=np.float32)

    def _loss(self, points: np.ndarray, grid: Grid, rng: np.random.Generator) -> tuple[float, dict[str, np.ndarray]]:
        n = len(points)
        if self.pull_up == "partition_function":
            points = np.vstack([points, grid.shifted(rng).astype(points.dtype)])
        jets, tape = self._network.jets(points, 0)
        errors = jets[0] - points
        energies = 0.5 * self.precision * np.square(errors).sum(axis=1, dtype=np.float64)
        if self.pull_up == "partition_function":
            value, weights = likelihood(energies, n, grid.cell)
        else:
            value, weights = float(energies.mean()), np.full(n, 1 / n)
        by_output = self.precision * errors * weights[:, np.newaxis]
        return value, self._network.backward(tape, by_output[np.newaxis])

    def _scaled(self, points: np.ndarray) -> np.ndarray:
        return ((points - self._center) / self._half).astype(np.float32)

    def _energy(self, points: np.ndarray) -> np.ndarray:
        scaled = self._scaled(points)
        errors = (self._network.values(scaled) - scaled).astype(np.float64)
        energies: np.ndarray = 0.5 * self.precision * np.square(errors).sum(axis=1)
        return energies

    def _code(self, points: np.ndarray) -> np.ndarray:
        code_layer = len(self.hidden) + 1
        _, tape = self._network.jets(self._scaled(points), 0)
        return tape.inputs[code_layer][0].astype(np.float64)


class DenoisingEnergy(AutoencoderEnergy):
    """A denoising autoencoder: it learns to map noisy points to the clean ones.

    E(y) = ½‖y − decoder(encoder(y))‖² / noise², whose minima are the points that it leaves unchanged. (The
    reconstruction minus the point is about noise² times the slope of the log density: a field, not an energy.)

    Parameters
    ----------
    n_units : int, default 100
        It may exceed the two dimensions of the plane, because the noise, not the code, keeps the network from copying
        its input.
    noise : float, default 0.1
        Standard deviation, in half sides of the window.
    window, n_batches, batch_size, rate, random_state
        As in `AutoencoderEnergy`.

    References
    ----------
    Vincent, Larochelle, Bengio, Manzagol, "Extracting and composing robust features with denoising autoencoders",
    ICML 2008; Alain, Bengio, JMLR 15, 2014, theorem 1.
    """

    def __init__(
        self,
        n_units: int = 100,
        *,
        noise: float = 0.1,
        window: Window | None = None,
        n_batches: int = 3000,
        batch_size: int = 250,
        rate: float = 5e-3,
        random_state: RandomState = None,
    ) -> None:
        self.noise: float = self._taken("noise", noise, Real(low=1e-9))
        super().__init__(
            n_units, precision=1 / self.noise**2, window=window, n_batches=n_batches, batch_size=batch_size, rate=rate,
            random_state=random_state,
        )  # fmt: skip

    @property
    def machine(self) -> Machine:
        """Its column in the talk's table."""
        return Machine("σ(V σ(W_e Y))", "W_d Z", "½‖Y − dec(enc(Y))‖²", "½‖Y − dec(enc(Y + noise))‖²", "denoising")

    def _new_network(self, rng: np.random.Generator) -> Network:
        return Network((2, self.n_units, self.n_units, 2), rng, gain=4.0, dtype=np.float32)

    def _loss(self, points: np.ndarray, grid: Grid, rng: np.random.Generator) -> tuple[float, dict[str, np.ndarray]]:
        noisy = points + (self.noise * rng.standard_normal(points.shape)).astype(points.dtype)
        jets, tape = self._network.jets(noisy, 0)
        errors = jets[0] - points
        value = 0.5 * self.precision * float(np.square(errors).sum()) / len(points)
        return value, self._network.backward(tape, (self.precision / len(points) * errors)[np.newaxis])
