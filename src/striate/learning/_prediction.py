"""The encoder's part of predictive sparse decomposition: predict the codes of a batch, then learn the optimal ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from striate.encoders import Encoder
from striate.learning.adam import Adam

__all__ = ["Prediction"]


class Prediction:
    """An encoder that is trained with Adam.

    Parameters
    ----------
    encoder : Encoder
        The encoder to start from.
    rate : float
        Step of Adam, as in ``PSD(encoder_rate=...)``.
    sparsity : float
        Weight of the L1 term, for units that are initialized again.
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

    def step(self, patches: np.ndarray, codes: np.ndarray, share: float, *, slows: bool = False) -> None:
        """One step to reduce the error of the last `predict`.

        It has this share of the initial rate if the encoder's steps slow down with those of the dictionary, or with
        `slows`.
        """
        self.adam.step(self._learner.gradients(patches, codes), share if slows or self._learner.slows else 1.0)

    def restart(self, units: np.ndarray, components: np.ndarray) -> None:
        """Initialize units again from their rows of the dictionary (n_components, n_features)."""
        self._learner.restart(units, components)
        self.adam.forget(units, axis=self._unit_axis)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that are learned."""
        return self._learner.arrays

    def encoder(self) -> Encoder:
        """The encoder as it is now."""
        return self._learner.encoder()

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays besides the encoder's that learning needs to continue with the same bits."""
        return self._learner.to_arrays() | self.adam.to_arrays()

    def restore(self, arrays: Mapping[str, np.ndarray], n_steps: int) -> None:
        """Continue from the arrays that `to_arrays` returned after this number of steps."""
        self._learner.restore(arrays)
        self.adam.rate = dict(self._learner.rates)
        self.adam.restore(arrays, n_steps)
