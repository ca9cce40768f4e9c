"""Base class of learners of patches that have an encoder: the feed-forward code, and the state of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from striate.encoders import Encoder, TanhEncoder
from striate.learning._rows import chunks
from striate.learning._scaled_patches import ScaledPatches
from striate.model_file import ModelFileError
from striate.parameters import parameter, plain_parameters
from striate.stored import array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ConvolutionFilters", "PatchLearner"]


class ConvolutionFilters(NamedTuple):
    """An encoder that takes raw patches: ``gain · f(filters·patch + bias)``, as in `striate.hierarchy.FilterBank`.

    Without `threshold`, f is the hyperbolic tangent; without `beta`, it is soft shrinkage, and with both it is smooth
    shrinkage.
    """

    filters: np.ndarray
    bias: np.ndarray
    gain: np.ndarray
    threshold: np.ndarray | None = None
    beta: np.ndarray | None = None


# Names of the arrays of a tanh encoder in files of earlier versions.
_EARLIER = {"encoder.filters": "encoder", "encoder.bias": "encoder_bias", "encoder.gain": "gain"}


class PatchLearner(ScaledPatches):
    """A learner with an encoder in `predictor_` and a dictionary in `components_`; subclasses fit them."""

    predictor_: Encoder

    @property
    def encoder_(self) -> np.ndarray:
        """The encoder's filters."""
        return self.predictor_.filters

    @property
    def encoder_bias_(self) -> np.ndarray:
        """The bias of an encoder that has one."""
        return self._encoder_array("bias")

    @property
    def gain_(self) -> np.ndarray:
        """The gain of an encoder that has one."""
        return self._encoder_array("gain")

    def _encoder_array(self, name: str) -> np.ndarray:
        found: np.ndarray = getattr(self.predictor_, name)
        return found

    def transform(self, X: np.ndarray) -> np.ndarray:
        """The feed-forward code.

        Parameters
        ----------
        X : ndarray (n_samples, n_features), float32 or float64
            Raw patches: mean removal and scale are part of the model.

        Returns
        -------
        ndarray (n_samples, n_components), dtype of `X`
        """
        X = self._checked(X)
        codes = np.empty((len(X), len(self.components_)), dtype=X.dtype)
        encoder = self.predictor_.astype(X.dtype)
        for rows in chunks(len(X)):
            codes[rows] = encoder.encode(self.scaled(X[rows]))
        return codes

    def plot_filters(self, *, shape: tuple[int, ...] | None = None, columns: int | None = None) -> Figure:
        """Draw the encoder's filters; `plot_components` draws the dictionary.

        Parameters
        ----------
        shape : tuple of int, optional
            (height, width) or (channels, height, width) of a filter; by default a square.
        columns : int, optional
            Filters per row; by default about as many as there are rows.

        Returns
        -------
        matplotlib.figure.Figure
        """
        check_is_fitted(self)
        return self._as_shown(self.encoder_, "filters", shape).draw(columns)

    def convolution_filters(self) -> ConvolutionFilters:
        """The encoder for raw patches, in the form that a convolution needs.

        Removing the mean is a projection and the scale a factor, so that both fold into the filters::

            transform(patch) = gain · f(filters·patch + bias)

        Returns
        -------
        ConvolutionFilters
            `filters` (n_components, n_features), and (n_components,) `bias`, `gain` and what f needs.

        Raises
        ------
        UsageError
            For an encoder of another form.
        """
        check_is_fitted(self)
        arrays = {name: array.copy() for name, array in self.predictor_.convolution().items()}
        filters = arrays["filters"]
        if parameter(self, "remove_mean"):
            filters = filters - filters.mean(axis=1, keepdims=True)
        return ConvolutionFilters(**arrays | {"filters": filters / self.scale_})

    def to_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and a JSON header: all that `transform`, `infer` and a further `partial_fit` need."""
        check_is_fitted(self)
        encoder = {f"encoder.{name}": array for name, array in self.predictor_.arrays().items()}
        return {"components": self.components_, **encoder}, {"parameters": self._plain(), "scale": self.scale_}

    def _restore(self, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
        super()._restore(arrays, header)
        self._restore_encoder(arrays)

    def _restore_encoder(self, arrays: Mapping[str, np.ndarray]) -> None:
        encoder = self._new_encoder()
        names = {name: f"encoder.{name}" for name in encoder.names}
        if "encoder" in arrays:
            names = {name: _EARLIER.get(key, key) for name, key in names.items()}
        found = {name: np.array(array(arrays, key)) for name, key in names.items()}
        self.predictor_ = encoder.set_arrays(**found)
        if (encoder.n_components, encoder.n_features) != self.components_.shape:
            raise ModelFileError(
                f"the array {names['filters']} has shape {encoder.filters.shape}, and the array components "
                f"{self.components_.shape}"
            )

    def _new_encoder(self) -> Encoder:
        """The encoder before it is initialized."""
        return TanhEncoder()

    def _plain(self) -> dict[str, Any]:
        """The parameters as values that JSON can store."""
        return plain_parameters(self)
