"""What learners have in common that train an encoder together with a dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from striate.encoders import Encoder, make_encoder
from striate.encoders.kinds import LEAST_SPARSITY
from striate.errors import UsageError
from striate.learning._gradient_decoder import slowing
from striate.learning._prediction import Prediction
from striate.parameters import parameter, plain_parameters
from striate.samples import all_finite
from striate.stored import Table, field, part

__all__ = ["EncoderTraining"]

_OF_LEARNING = ("first.", "second.", "raw.", "rate.")  # prefixes of the names of a prediction's arrays


class EncoderTraining:
    """The encoder in training of a learner with the parameters `encoder`, `encoder_rate`, `sparsity` and others of PSD.

    It stands before the other base classes. A learner sets `predictor_` when it begins, and calls `_begin_training`.
    """

    predictor_: Encoder
    n_batches_: int
    _learning_lazily: Prediction | None
    # Restored state of a prediction that is not made yet, and its number of steps.
    _moments: tuple[dict[str, np.ndarray], int] | None

    def _begin_training(self) -> None:
        self._learning_lazily = self._moments = None

    @property
    def _learning(self) -> Prediction:
        """The encoder in training; created when learning begins, so that a fitted model predicts without torch."""
        if self._learning_lazily is None:
            rate = parameter(self, "encoder_rate")
            self._learning_lazily = Prediction(self.predictor_, rate, self._sparsity_of_encoder)
            if self._moments is not None:
                self._learning_lazily.restore(*self._moments)
                self._moments = None
        return self._learning_lazily

    def _new_encoder(self) -> Encoder:
        encoder: Encoder = parameter(self, "encoder")
        return encoder

    @property
    def _sparsity_of_encoder(self) -> float:
        return max(float(parameter(self, "sparsity")), LEAST_SPARSITY)

    def _slowing(self) -> float:
        """Factor of the step size: 1 for the first batches, then falling as 1/t."""
        return slowing(self.n_batches_)

    def _check_learned(self, *arrays: np.ndarray) -> None:
        """Raise an error if numbers are no longer finite."""
        if not all(all_finite(array) for array in arrays):
            rates = ", ".join(f"{name} (now {parameter(self, name):g})" for name in ("encoder_rate", "decoder_rate"))
            raise UsageError(
                f"{type(self).__name__}: learning has diverged after {self.n_batches_} batches, and the weights are no "
                f"longer finite: lower {rates}, or prediction (now {parameter(self, 'prediction'):g})"
            )

    def _conclude(self) -> None:
        """Copy the trained encoder into the model."""
        self._check_learned(getattr(self, "components_"), *self._learning.arrays.values())  # noqa: B009
        self.predictor_ = self._learning.encoder()

    def _training_state(self, *, training: bool) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays of the optimizer, with `training`, and the number of its steps."""
        arrays = self._learning.to_arrays() if training else {}
        n_steps = 0 if self._learning_lazily is None else self._learning_lazily.adam.n_steps
        return arrays, {"n_encoder_steps": n_steps}

    def _restore_training(self, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
        self._begin_training()
        kept = {name: array for name, array in arrays.items() if name.startswith(_OF_LEARNING)}
        self._moments = (kept, int(header["n_encoder_steps"])) if kept else None

    def __getstate__(self) -> dict[str, Any]:
        """State with arrays instead of the prediction, which shares memory with the encoder and may need torch."""
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        learning = state.get("_learning_lazily")
        if learning is not None:
            state |= {"_learning_lazily": None, "_moments": (learning.to_arrays(), learning.adam.n_steps)}
        return state

    def _plain(self) -> dict[str, Any]:
        """The parameters as values that JSON can store."""
        encoder = getattr(self, "encoder")  # noqa: B009
        header = encoder.header() if isinstance(encoder, Encoder) else str(encoder)
        return {**plain_parameters(self, apart=["encoder"]), "encoder": header}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`."""
        with part("parameters"):
            parameters = field(header, "parameters", Table())
            encoder = parameters.get("encoder", "tanh")
            steps = parameters.pop("encoder_steps", None)  # of earlier versions
            if isinstance(encoder, Mapping):
                options = dict(encoder)
                parameters["encoder"] = make_encoder(options.pop("kind"), **options)
            elif steps is not None and encoder in ("lista", "lcod"):
                parameters["encoder"] = make_encoder(encoder, steps=steps)
        restored: Self = super().from_state(arrays, {**header, "parameters": parameters})  # type: ignore[misc]
        return restored
