"""The encoder's half of predictive sparse decomposition: it predicts a batch's codes, then learns what they became."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from striate.encoders import Encoder
from striate.learning.adam import Adam

__all__ = ["Prediction"]


class Prediction:
    """An encoder while Adam teaches it.

    Parameters
    ----------
    encoder : Encoder
        Where it starts.
    rate : float
        Length of Adam's steps, as ``PSD(encoder_rate=...)`` has it.
    sparsity : float
        Weight of the L1 term, for units that start again.
    """

    def __init__(self, encoder: Encoder, rate: float, sparsity: float) -> None:
        self._learner = encoder.learner(rate, sparsity)
        self._unit_axis = encoder.unit_axis
        self.adam = Adam(self._learner.arrays, self._learner.rates)

    def encode(self, patches: np.ndarray) -> np.ndarray:
        """The predicted codes."""
        return self._learner.encode(patches)

    def predict(self, patches: np.ndarray) -> np.ndarray:
        """The predicted codes of a batch that `step` will learn from."""
        return self._learner.predict(patches)

    def step(self, patches: np.ndarray, codes: np.ndarray, share: float) -> None:
        """One step against the error of the last `predict`, with a share of the first rate."""
        self.adam.step(self._learner.gradients(patches, codes), share if self._learner.slows else 1.0)

    def restart(self, units: np.ndarray, components: np.ndarray) -> None:
        """Let units begin again with what the dictionary, (n_components, n_features), now holds for them."""
        self._learner.restart(units, components)
        self.adam.forget(units, axis=self._unit_axis)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What is learned."""
        return self._learner.arrays

    def encoder(self) -> Encoder:
        """The encoder as it is now."""
        return self._learner.encoder()

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What learning needs beside the encoder's own arrays to go on to the same bits."""
        return self._learner.to_arrays() | self.adam.to_arrays()

    def restore(self, arrays: Mapping[str, np.ndarray], n_steps: int) -> None:
        """Go on from what `to_arrays` gave after this number of steps."""
        self._learner.restore(arrays)
        self.adam.rate = dict(self._learner.rates)
        self.adam.restore(arrays, n_steps)
