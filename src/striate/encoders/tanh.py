"""The standard encoder of predictive sparse decomposition: filters, tanh, and one gain per unit."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.prepared_dictionary import PreparedDictionary, as_prepared
from striate.encoders._encoder import Encoder, EncoderLearner
from striate.encoders._trainable import TrainableEncoder
from striate.errors import UsageError
from striate.samples import kernel_array

__all__ = ["TanhEncoder"]

_MANY = 256  # signals; with fewer, preparing the filters for the kernel takes longer than it saves
_SMALL = 0.1  # norm of the initial filters, in the linear range of tanh


class TanhEncoder(TrainableEncoder):
    """Predicts codes as ``gain · tanh(filters·y + bias)``.

    The gain is needed because a hyperbolic tangent alone cannot reach codes beyond 1. (The talk calls this
    diagonal matrix D, the papers G.)

    Attributes
    ----------
    filters : ndarray (n_components, n_features)
    bias, gain : ndarray (n_components,)

    References
    ----------
    Kavukcuoglu, Ranzato, LeCun, "Fast inference in sparse coding algorithms with applications to object
    recognition", CBLL-TR-2008-12-01 (arXiv:1010.3467), equation 6.
    """

    kind: ClassVar[str] = "tanh"
    names: ClassVar[tuple[str, ...]] = ("filters", "bias", "gain")

    bias: NDArray[Any]
    gain: NDArray[Any]

    def start(self, components: ArrayLike | PreparedDictionary, sparsity: float | ArrayLike) -> Self:
        """Initialize filters as a tenth of the dictionary, bias 0 and gain 1; the sparsity is not used."""
        units = as_prepared(components).components
        zeros = np.zeros(len(units), units.dtype)
        return self.set_arrays(filters=units.dtype.type(_SMALL) * units, bias=zeros, gain=zeros + 1)

    def _check_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        filters, bias, gain = arrays.values()
        if filters.ndim != 2 or bias.shape != (len(filters),) or gain.shape != (len(filters),):
            raise UsageError(
                f"an encoder needs filters (n_components, n_features) with one bias and one gain each; "
                f"got the shapes {filters.shape}, {bias.shape} and {gain.shape}"
            )

    def learner(self, rate: float, sparsity: float) -> EncoderLearner:
        """The object that trains this encoder together with a dictionary, by its own derivatives, without torch."""
        return Encoder.learner(self, rate, sparsity)

    def convolution(self) -> dict[str, NDArray[Any]]:
        """Its arrays."""
        return self.arrays()

    def _encode_table(self, table: NDArray[Any]) -> NDArray[Any]:
        """Encode a table of signals; many float32 signals by a kernel whose tanh is accurate within 5e-7."""
        signals = kernel_array(table, self.dtype)
        if self.dtype == np.float32 and len(signals) >= _MANY:
            from striate.kernels.tanh import encode_single

            return encode_single(signals, self.filters, self.bias, self.gain)
        return self.forward(signals)[0]

    def activations(self, signals: NDArray[Any]) -> NDArray[Any]:
        """The activations ``tanh(filters·y + bias)`` before the gain, of the same shape as the codes."""
        activations = signals @ self.filters.T
        activations += self.bias
        return np.tanh(activations, out=activations)

    def forward(self, signals: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Codes and activations, by NumPy, so that learning needs no compiled kernel."""
        activations = self.activations(signals)
        return activations * self.gain, activations

    def gradients(self, signals: NDArray[Any], known: NDArray[Any], codes: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Derivatives of the mean of ½‖codes − encode(signals)‖² over the batch for filters, bias and gain.

        Parameters
        ----------
        signals : ndarray (n_samples, n_features), float
        known : ndarray (n_samples, n_components), float
            Activations from `forward`, so that no second matrix product is needed.
        codes : ndarray (n_samples, n_components), float
            The codes to predict.
        """
        error = known * self.gain
        error -= codes
        error /= max(len(signals), 1)
        for_gain = np.einsum("ij,ij->j", error, known)
        error *= self.gain
        error *= 1 - np.square(known)  # the derivative of the hyperbolic tangent
        return {"filters": error.T @ signals, "bias": error.sum(axis=0), "gain": for_gain}
