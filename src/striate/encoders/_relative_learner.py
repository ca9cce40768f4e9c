"""Training of an encoder with its own derivatives, by steps relative to the size of each array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from striate.encoders._encoder import Encoder

__all__ = ["FASTER", "RelativeLearner", "RelativeSteps"]

FASTER = 10.0  # step size relative to that of a tanh encoder


class RelativeSteps:
    """An `EncoderLearner` that takes steps relative to the size of each array.

    What is learned of an array that must be above 0 is its logarithm, so that it stays positive and steps are relative
    to its entries.
    """

    slows = True
    arrays: dict[str, NDArray[Any]]
    rates: dict[str, float]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State for continuing with the same bits: exact logarithms, and the rates, which depend on the start."""
        raw = {f"raw.{name}": value.copy() for name, value in self.arrays.items()}
        return raw | {f"rate.{name}": np.array(value) for name, value in self.rates.items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the arrays that `to_arrays` returned."""
        for name, value in self.arrays.items():
            value[...] = arrays[f"raw.{name}"]
            self.rates[name] = float(arrays[f"rate.{name}"])


class RelativeLearner(RelativeSteps):
    """An encoder in training together with a dictionary, by its own derivatives.

    Parameters
    ----------
    encoder : Encoder
        The encoder to start from; it is not changed.
    rate : float
        A tenth of the step size of Adam, relative to the root mean square of each array.
    sparsity : float
        Weight of the L1 term, for units that are initialized again.
    """

    def __init__(self, encoder: Encoder, rate: float, sparsity: float) -> None:
        self._encoder = encoder.with_arrays({name: array.copy() for name, array in encoder.arrays().items()})
        self._sparsity = sparsity
        # The others share memory with the encoder, so that it uses what the optimizer changes.
        self.arrays = {
            name: np.log(array) if name in encoder.positive else array for name, array in self._encoder.arrays().items()
        }
        self.rates = {name: FASTER * rate * self._scale(name) for name in self.arrays}

    def encode(self, signals: NDArray[Any]) -> NDArray[Any]:
        """The predicted codes; nothing is kept for `gradients`."""
        return self._current().forward(signals)[0]

    def predict(self, signals: NDArray[Any]) -> NDArray[Any]:
        """The predicted codes of a batch; keeps what `gradients` needs."""
        codes, self._known = self._current().forward(signals)
        return codes

    def gradients(self, signals: NDArray[Any], codes: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Derivatives of the mean of ½‖codes − prediction‖² for the last `predict`."""
        values = self._encoder.arrays()
        found = self._encoder.gradients(signals, self._known, codes)
        return {
            name: slope * values[name] if name in self._encoder.positive else slope for name, slope in found.items()
        }

    def restart(self, units: NDArray[np.int64], components: NDArray[Any]) -> None:
        """Initialize these units again from their rows of the dictionary."""
        fresh = clone(self._encoder).start(components, self._sparsity)
        for name, array in fresh.arrays().items():
            self.arrays[name][units] = np.log(array[units]) if name in fresh.positive else array[units]

    def encoder(self) -> Encoder:
        """A new encoder with the present arrays."""
        return self._encoder.with_arrays({name: array.copy() for name, array in self._current().arrays().items()})

    def _current(self) -> Encoder:
        """The encoder with what the optimizer has made of its arrays."""
        for name in self._encoder.positive:
            np.exp(self.arrays[name], out=self._encoder.arrays()[name])
        return self._encoder

    def _scale(self, name: str) -> float:
        """Step size of an array for a rate of 1: its root mean square, or 1 if its logarithm is learned."""
        if name in self._encoder.positive:
            return 1.0
        for array in (self.arrays[name], self.arrays["filters"]):
            entries = array[array != 0]
            if entries.size:
                return float(np.sqrt(np.square(entries, dtype=np.float64).mean()))
        return 1.0
