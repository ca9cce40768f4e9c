"""The simple encoder of predictive sparse decomposition: filters, a squashing function, a gain a unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from striate.encoders._encoder import as_parameters, is_one
from striate.errors import UsageError
from striate.samples import as_table, float_type, kernel_array

__all__ = ["TanhEncoder", "TanhGradients"]

_MANY = 256  # patches; with fewer, the kernel would arrange the filters for longer than it saves


class TanhGradients(NamedTuple):
    """Derivatives of the mean prediction error of a batch; shapes as in `TanhEncoder`."""

    filters: np.ndarray
    bias: np.ndarray
    gain: np.ndarray


class TanhEncoder:
    """Predicts codes as ``gain · tanh(filters·y + bias)``.

    The gain is needed because a hyperbolic tangent alone cannot reach codes beyond 1. (The talk calls this
    diagonal matrix D, the papers G.)

    Parameters
    ----------
    filters : float (n_components, n_features)
    bias : float (n_components,)
    gain : float (n_components,)
        All arrays are float32 if all three are, float64 otherwise; they are kept where they are so already.

    Raises
    ------
    UsageError
        If the shapes do not fit each other, or an array holds NaN or infinity.

    References
    ----------
    Kavukcuoglu, Ranzato, LeCun, "Fast inference in sparse coding algorithms with applications to object
    recognition", CBLL-TR-2008-12-01 (arXiv:1010.3467), equation 6.
    """

    kind = "tanh"

    def __init__(self, filters: ArrayLike, bias: ArrayLike, gain: ArrayLike) -> None:
        self.filters, self.bias, self.gain = filters, bias, gain = as_parameters(filters=filters, bias=bias, gain=gain)
        if filters.ndim != 2 or bias.shape != (len(filters),) or gain.shape != (len(filters),):
            raise UsageError(
                f"an encoder needs filters (n_components, n_features) with one bias and one gain each; "
                f"got the shapes {filters.shape}, {bias.shape} and {gain.shape}"
            )

    def encode(self, patches: ArrayLike) -> np.ndarray:
        """The predicted codes.

        Many float32 patches are coded by a kernel whose tangent is within 5e-7.

        Parameters
        ----------
        patches : float (n_samples, n_features), or (n_features,) for one

        Returns
        -------
        ndarray (n_samples, n_components), dtype of `patches` if the filters have it too

        Raises
        ------
        UsageError
            If these are not real numbers of that shape.
        """
        if is_one(patches):
            return self.encode(np.asarray(patches)[np.newaxis])[0]
        patches = as_table(patches, name="patches", n_features=self.filters.shape[1])
        if patches.dtype.kind == "f":
            patches = kernel_array(patches, float_type(patches.dtype))
        if self._suits_kernel(patches):
            from striate.kernels.tanh import encode_single

            return encode_single(patches, self.filters, self.bias, self.gain)
        activations = self.activations(patches)
        activations *= self.gain
        return activations

    def activations(self, patches: np.ndarray) -> np.ndarray:
        """What the gain multiplies: ``tanh(filters·y + bias)``, of the same shape as the codes."""
        activations = patches @ self.filters.T
        activations += self.bias
        return np.tanh(activations, out=activations)

    def _suits_kernel(self, patches: np.ndarray) -> bool:
        arrays = (patches, self.filters, self.bias, self.gain)
        return all(array.dtype == np.float32 for array in arrays) and len(patches) >= _MANY

    def gradients(self, patches: np.ndarray, activations: np.ndarray, codes: np.ndarray) -> TanhGradients:
        """How the mean of ½‖codes − encode(patches)‖² over the batch changes with the parameters.

        Parameters
        ----------
        patches : ndarray (n_samples, n_features), float
        activations : ndarray (n_samples, n_components), float
            From `activations`: the codes are predicted before they are known, and need no second product.
        codes : ndarray (n_samples, n_components), float
            The codes to predict.

        Returns
        -------
        TanhGradients
        """
        error = activations * self.gain
        error -= codes
        error /= max(len(patches), 1)
        for_gain = np.einsum("ij,ij->j", error, activations)
        error *= self.gain
        error *= 1 - np.square(activations)  # the derivative of the hyperbolic tangent
        return TanhGradients(filters=error.T @ patches, bias=error.sum(axis=0), gain=for_gain)

    def to_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and a JSON header, from which `from_state` makes the same encoder."""
        return {"filters": self.filters, "bias": self.bias, "gain": self.gain}, {"kind": self.kind}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> TanhEncoder:
        """The inverse of `to_state`."""
        return cls(arrays["filters"], arrays["bias"], arrays["gain"])
