"""Steps of contrastive divergence, in arrays that are allocated once.

Rows of a batch are independent until their products are summed. Threads therefore run the Gibbs steps for blocks of
rows, and then compute the statistics for blocks of hidden units. The blocks are the same for every number of threads,
and each uses BLAS with one thread, so that the bits are the same too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.learning._logistic_kernel import logistic_units, mixed, row_keys, step_with_momentum
from striate.threads import run_ranges, threads_for_batch

__all__ = ["ContrastiveStep", "draw_states", "log_sum_over_states", "pass_key", "to_means"]

_ROWS = 64  # rows of a batch per block; with fewer, packing the weights for BLAS would take noticeable time
_UNITS = 128  # hidden units in a block of statistics


def to_means(drive: NDArray[Any], bias: NDArray[Any], kind: str) -> None:
    """Replace the input of units by their probabilities, or by their means if they are not binary."""
    if kind == "binary":
        logistic_units(drive, bias)
    else:
        drive += bias


def draw_states(
    drive: NDArray[Any], bias: NDArray[Any], kind: str, key: int, first: int = 0, states: NDArray[Any] | None = None
) -> None:
    """Replace the input of units, `drive`, by their states; with `states`, write these there, and means to `drive`.

    The random numbers are a function of `key`, the key of the pass, and of `first`, the number of the first row.
    """
    if kind == "binary":
        logistic_units(drive, bias, keys=row_keys(key, first, first + len(drive)), states=states)
        return
    drive += bias
    noise = np.random.default_rng([key, first]).standard_normal(drive.shape, drive.dtype)
    np.add(drive, noise, out=drive if states is None else states)


def pass_key(seed: int, batch: int, number: int) -> int:
    """The key of one pass of a batch, 64 bits: no two passes of a fit share their random numbers."""
    key: int = mixed(mixed(seed, batch), number)
    return key


def log_sum_over_states(drive: np.ndarray, bias: np.ndarray, kind: str) -> np.ndarray:
    """Log of the sum over all states of a layer, given the input from the other layer: float64 (n_samples,).

    Parameters
    ----------
    drive : float64 (n_samples, n_units)
        The states of the other layer times the weights.
    bias : float64 (n_units,)
    kind : str
        "binary"; any other word means units of unit variance about `bias`, and the sum is an integral.
    """
    if kind == "binary":
        total: np.ndarray = np.logaddexp(0, drive + bias).sum(axis=1)
    else:
        total = (drive * (bias + drive / 2) + np.log(2 * np.pi) / 2).sum(axis=1)
    return total


class ContrastiveStep:
    """Updates parameters by CD-k or its persistent form, batch by batch, in place.

    Parameters
    ----------
    parameters, velocities : (weights (n_hidden, n_visible), hidden bias (n_hidden,), visible bias (n_visible,))
        float32 or float64, C-contiguous.
    visible, hidden : str
        The kind of each layer: "binary", or any other word for units of unit variance about the bias.
    batch_size : int
        The largest number of rows in a batch.
    n_steps : int
    seed : int
    """

    def __init__(
        self,
        parameters: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
        velocities: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
        *,
        visible: str,
        hidden: str,
        batch_size: int,
        n_steps: int,
        seed: int,
    ) -> None:
        self.weights, self.hidden_bias, self.visible_bias = parameters
        self.velocities = velocities
        self.visible_kind, self.hidden_kind = visible, hidden
        self.n_steps, self.seed = n_steps, seed
        n_hidden, n_visible = self.weights.shape
        dtype = self.weights.dtype
        # Rows of the data come first, then those of the model: one product gives the difference of their statistics.
        self.visible = np.empty((2 * batch_size, n_visible), dtype)
        self.hidden = np.empty((2 * batch_size, n_hidden), dtype)
        self.states = np.empty((batch_size, n_hidden), dtype)
        self.gradient = np.empty_like(self.weights)
        self.n_threads = threads_for_batch(batch_size, n_visible, n_hidden)

    def update(
        self,
        rows: NDArray[Any],
        chains: NDArray[Any] | None,
        number: int,
        *,
        momentum: float,
        rate: float,
        decay: float,
    ) -> None:
        """Learn from a batch.

        Parameters
        ----------
        rows : (n_rows, n_visible)
        chains : (n_chains, n_hidden), optional
            States of persistent chains, at most `batch_size`; they are updated in place. Without them, chains start at
            the data.
        number : int
            The number of the batch; the random numbers are a function of it.
        momentum, rate, decay : float
        """
        n = len(rows)
        m = n if chains is None else len(chains)
        self.visible[:n] = rows
        keys = [pass_key(self.seed, number, step) for step in range(2 * self.n_steps + 1)]
        persistent = chains is not None
        states = self.states[:n] if chains is None else chains
        self._over(n, _ROWS, lambda first, last: self._data_phase(first, last, keys[0], draw=not persistent))
        self._over(m, _ROWS, lambda first, last: self._model_phase(first, last, n, states, keys[1:], persistent))

        share = self.weights.dtype.type(-n / m)
        self.hidden[n : n + m] *= share
        signs = np.ones(n + m, self.weights.dtype)
        of_hidden = np.dot(signs, self.hidden[: n + m])
        signs[n:] = share
        of_visible = np.dot(signs, self.visible[: n + m])
        self._over(
            len(self.weights), _UNITS,
            lambda first, last: self._step(first, last, n + m, momentum, rate / n, rate * decay),
        )  # fmt: skip
        for bias, velocity, slope in zip(
            (self.hidden_bias, self.visible_bias), self.velocities[1:], (of_hidden, of_visible), strict=True
        ):
            velocity *= momentum
            velocity += rate / n * slope
            bias += velocity

    def _over(self, n: int, size: int, function: Callable[[int, int], object]) -> None:
        n_blocks = -(-n // size)
        run_ranges(function, n, size=-(-n // n_blocks), n_threads=self.n_threads)

    def _data_phase(self, first: int, last: int, key: int, *, draw: bool) -> None:
        means = self.hidden[first:last]
        np.dot(self.visible[first:last], self.weights.T, out=means)
        if draw:
            draw_states(means, self.hidden_bias, self.hidden_kind, key, first, self.states[first:last])
        else:
            to_means(means, self.hidden_bias, self.hidden_kind)

    def _model_phase(
        self, first: int, last: int, n: int, states: NDArray[Any], keys: list[int], persistent: bool
    ) -> None:
        """Gibbs steps of some chains; the statistics use the last visible units and the probabilities of hidden ones.

        CD-1 uses the probabilities of visible units as well, as the paper does: less noise, and slightly more bias.
        With more steps states are drawn, so that the bias tends to 0 as their number grows.
        """
        visible, hidden = self.visible[n + first : n + last], self.hidden[n + first : n + last]
        states = states[first:last]
        for step in range(self.n_steps):
            goes_on = persistent or step + 1 < self.n_steps
            np.dot(states, self.weights, out=visible)
            if persistent or self.n_steps > 1:
                draw_states(visible, self.visible_bias, self.visible_kind, keys[2 * step], first)
            else:
                to_means(visible, self.visible_bias, self.visible_kind)
            np.dot(visible, self.weights.T, out=hidden)
            if goes_on:
                draw_states(hidden, self.hidden_bias, self.hidden_kind, keys[2 * step + 1], first, states)
            else:
                to_means(hidden, self.hidden_bias, self.hidden_kind)

    def _step(self, first: int, last: int, n: int, momentum: float, rate: float, decay: float) -> None:
        gradient = self.gradient[first:last]
        np.dot(self.hidden[:n, first:last].T, self.visible[:n], out=gradient)
        step_with_momentum(self.weights[first:last], self.velocities[0][first:last], gradient, momentum, rate, decay)
