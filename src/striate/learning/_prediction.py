"""The encoder's half of predictive sparse decomposition: it predicts a batch's codes, then learns what they became."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from striate.encoders import TanhEncoder, encoder_from_dictionary
from striate.encoders.kinds import SMALL
from striate.lazy import needs_torch
from striate.learning.adam import Adam

__all__ = ["Prediction", "TanhPrediction", "prediction_of"]


class Prediction(Protocol):
    """An encoder while it learns."""

    adam: Adam

    def encode(self, patches: np.ndarray) -> np.ndarray:
        """The predicted codes, of which nothing is kept."""

    def predict(self, patches: np.ndarray) -> np.ndarray:
        """The predicted codes of a batch, whose way is kept for `step`."""

    def step(self, patches: np.ndarray, codes: np.ndarray, rate: float) -> None:
        """One step against the error of the last `predict`, with a share of the first rate."""

    def restart(self, units: np.ndarray, components: np.ndarray) -> None:
        """Let units begin again with what the dictionary, (n_components, n_features), now holds for them."""

    def encoder(self) -> Any:
        """The encoder as it is now."""

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What learning needs, beside the encoder's parameters, to go on to the same bits."""

    def restore(self, arrays: Mapping[str, np.ndarray], n_steps: int) -> None:
        """Go on from what `to_arrays` gave after so many steps."""


class TanhPrediction:
    """``gain · tanh(filters·y + bias)``; the arrays are the caller's, and change in place."""

    def __init__(self, filters: np.ndarray, bias: np.ndarray, gain: np.ndarray, rate: float) -> None:
        self._encoder = TanhEncoder(filters, bias, gain)
        self._arrays = {"filters": filters, "bias": bias, "gain": gain}
        self.adam = Adam(self._arrays, dict.fromkeys(self._arrays, rate))

    def encode(self, patches: np.ndarray) -> np.ndarray:
        """As `Prediction` has it; by NumPy, so that learning needs no kernel compiled."""
        return self._encoder.activations(patches) * self._arrays["gain"]

    def predict(self, patches: np.ndarray) -> np.ndarray:
        """As `Prediction` has it."""
        self._activations = self._encoder.activations(patches)
        return self._activations * self._arrays["gain"]

    def step(self, patches: np.ndarray, codes: np.ndarray, rate: float) -> None:
        """As `Prediction` has it; Adam alone sets the length here."""
        self.adam.step(self._encoder.gradients(patches, self._activations, codes)._asdict())

    def restart(self, units: np.ndarray, components: np.ndarray) -> None:
        """As `Prediction` has it."""
        self._arrays["filters"][units] = SMALL * components[units]
        self._arrays["bias"][units] = 0
        self._arrays["gain"][units] = 1
        self.adam.forget(units)

    def encoder(self) -> TanhEncoder:
        """As `Prediction` has it."""
        return self._encoder

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As `Prediction` has it."""
        return self.adam.to_arrays()

    def restore(self, arrays: Mapping[str, np.ndarray], n_steps: int) -> None:
        """As `Prediction` has it."""
        self.adam.restore(arrays, n_steps)


def prediction_of(encoder: Any, kind: str, rate: float, sparsity: float, steps: int) -> Prediction:
    """What trains an encoder that is not of the kind tanh, in place of its parameters; needs torch."""
    with needs_torch(f'PSD(encoder="{kind}") needs torch to learn', 'encoder="tanh" needs none'):
        from striate.learning._torch import TwinPrediction
    return TwinPrediction(
        encoder, rate, lambda components: encoder_from_dictionary(kind, components, sparsity, steps).parameters()
    )
