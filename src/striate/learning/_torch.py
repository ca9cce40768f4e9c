"""Encoders that learn beside a dictionary by torch's gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from striate.encoders._torch import Twin, relative_scale
from striate.learning.adam import Adam

__all__ = ["TwinPrediction"]


class TwinPrediction:
    """An encoder while it learns; see `striate.learning._prediction.Prediction`.

    Parameters
    ----------
    encoder : Encoder
        Where it starts.
    rate : float
        Length of Adam's steps, relative to the root mean square of what is learned, as in `TrainableEncoder.fit`.
    again : callable
        The parameters of an encoder that starts from a dictionary: for units that begin anew.
    """

    def __init__(self, encoder: Any, rate: float, again: Callable[[np.ndarray], Mapping[str, np.ndarray]]) -> None:
        self.twin = Twin(encoder)
        self._again = again
        # The same memory: what Adam changes, the twin computes with.
        self._raw = {name: value.detach().numpy() for name, value in self.twin.raw.items()}
        self.adam = Adam(self._raw, {name: rate * relative_scale(name, self.twin) for name in self._raw})

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What learning needs to go on to the same bits."""
        raw = {f"raw.{name}": value.copy() for name, value in self._raw.items()}
        rates = {f"rate.{name}": np.array(value) for name, value in self.adam.rate.items()}
        return raw | rates | self.adam.to_arrays()

    def restore(self, arrays: Mapping[str, np.ndarray], n_steps: int) -> None:
        """Go on from what `to_arrays` gave."""
        for name, value in self._raw.items():
            value[...] = arrays[f"raw.{name}"]
            self.adam.rate[name] = float(arrays[f"rate.{name}"])
        self.adam.restore(arrays, n_steps)

    def encoder(self) -> Any:
        """The encoder as it is now."""
        return self.twin.encoder.with_parameters(self.twin.to_arrays())

    def encode(self, patches: np.ndarray) -> np.ndarray:
        """The predicted codes."""
        with torch.no_grad():
            codes: np.ndarray = self.twin(torch.from_numpy(patches)).numpy()
        return codes

    def predict(self, patches: np.ndarray) -> np.ndarray:
        """The predicted codes, with their way back kept."""
        self._predicted = self.twin(torch.from_numpy(patches))
        codes: np.ndarray = self._predicted.detach().numpy()
        return codes

    def step(self, patches: np.ndarray, codes: np.ndarray, rate: float) -> None:
        """Against the mean of ½‖z − encode(y)‖²."""
        error = (self._predicted - torch.from_numpy(codes)).square().sum() / (2 * len(codes))
        names = list(self._raw)
        gradients = torch.autograd.grad(error, [self.twin.raw[name] for name in names], allow_unused=True)
        found = {name: value.numpy() for name, value in zip(names, gradients, strict=True) if value is not None}
        self.adam.step(found, rate)

    def restart(self, units: np.ndarray, components: np.ndarray) -> None:
        """What others make of these units begins anew as well: columns of the inhibition."""
        for name, array in self._again(components).items():
            fresh = np.log(array) if name in self.twin.encoder.positive else array
            self._raw[name][units] = fresh[units]
            if name == "inhibition":
                self._raw[name][:, units] = fresh[:, units]
        self.adam.forget(units)
