"""A linear prediction of codes, in closed form: what every other encoder has to beat."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.encoders._encoder import Encoder, as_parameters
from striate.errors import UsageError
from striate.parameters import Real, checked
from striate.samples import as_table, float_type, is_sparse, kernel_array

__all__ = ["LinearEncoder"]

_BLOCK = 4096  # signals that are in memory as float64 at a time


class LinearEncoder(Encoder):
    """Predicts codes as ``filters·y + bias``.

    Parameters
    ----------
    filters : float (n_components, n_features)
    bias : float (n_components,)
        float32 if both are; float64 otherwise.

    Raises
    ------
    UsageError
        If the shapes do not fit each other, or an array holds NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.encoders import LinearEncoder
    >>> signals = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> encoder = LinearEncoder.fit(signals, signals[:, :1] + 2, ridge=0)
    >>> encoder.encode(np.array([5.0, 7.0])).round(6)
    array([7.])
    """

    kind: ClassVar[str] = "linear"
    names: ClassVar[tuple[str, ...]] = ("filters", "bias")

    def __init__(self, filters: ArrayLike, bias: ArrayLike) -> None:
        self.filters, self.bias = as_parameters(filters=filters, bias=bias)
        if self.filters.ndim != 2 or self.bias.shape != (len(self.filters),):
            raise UsageError(
                f"a linear encoder needs filters (n_components, n_features) with one bias each; "
                f"got the shapes {self.filters.shape} and {self.bias.shape}"
            )

    def _encode_block(self, signals: NDArray[Any], codes: NDArray[Any]) -> None:
        np.matmul(signals, self.filters.T, out=codes)
        codes += self.bias

    @classmethod
    def fit(cls, signals: Any, codes: Any, *, ridge: float = 1e-4) -> Self:
        """The encoder that minimizes Σ ‖z − filters·y − bias‖² + penalty·‖filters‖².

        Parameters
        ----------
        signals : float (n_samples, n_features)
            Read twice, in blocks.
        codes : float (n_samples, n_components) or scipy.sparse array
            What to predict.
        ridge : float, default 1e-4
            The penalty in units of the number of samples times the mean variance of a feature, so that it means the
            same whatever the scale of the signals. The default is far below what is visible in natural patches, and
            enough where their covariance is singular, as without their mean. The bias is not penalized.

        Returns
        -------
        LinearEncoder
            float32 if the signals are; the normal equations are solved in float64.

        Raises
        ------
        UsageError
            If shapes do not fit, `ridge` is negative, the arrays hold NaN or infinity, or the normal equations are
            singular without a ridge.

        References
        ----------
        Hoerl, Kennard, "Ridge regression: biased estimation for nonorthogonal problems", Technometrics 1970,
        equation 2.1; with centered variables, so that the bias is free.
        """
        signals = as_table(signals)
        codes = codes.tocsr() if is_sparse(codes) else as_table(codes, name="codes")
        if len(signals) != codes.shape[0] or 0 in signals.shape:
            raise UsageError(
                f"fit needs signals (n_samples, n_features) and codes (n_samples, n_components), at least one; "
                f"got the shapes {signals.shape} and {codes.shape}"
            )
        ridge = checked("ridge", ridge, Real(low=0))
        n_samples, n_features = signals.shape
        blocks = [slice(first, first + _BLOCK) for first in range(0, n_samples, _BLOCK)]
        mean_signal, mean_code = np.zeros(n_features), np.zeros(codes.shape[1])
        largest = 0.0
        for rows in blocks:
            block = kernel_array(signals[rows], float_type(signals.dtype))
            largest = max(largest, float(np.abs(block).max()))
            mean_signal += block.sum(axis=0, dtype=np.float64) / n_samples
            mean_code += _dense(codes[rows]).sum(axis=0) / n_samples
        # A power of two rounds nothing, and keeps squares within range.
        exponent = int(np.frexp(largest)[1])
        covariance, cross = np.zeros((n_features, n_features)), np.zeros((n_features, codes.shape[1]))
        for rows in blocks:
            centered = np.ldexp(kernel_array(signals[rows]) - mean_signal, -exponent)
            covariance += centered.T @ centered / n_samples
            cross += centered.T @ (_dense(codes[rows]) - mean_code) / n_samples
        if not (np.isfinite(covariance).all() and np.isfinite(cross).all()):
            raise UsageError(
                "signals or codes hold NaN or infinity, or are too large to be added up; remove or scale them"
            )
        variance = float(np.trace(covariance)) / n_features
        # Constant signals predict nothing: any diagonal will do.
        covariance[np.diag_indices(n_features)] += ridge * variance if variance > 0 else 1.0
        try:
            filters = np.ldexp(np.linalg.solve(covariance, cross).T, -exponent)
        except np.linalg.LinAlgError:
            raise UsageError("the signals' covariance is singular: set ridge above 0, as 1e-4") from None
        dtype = float_type(signals.dtype)
        bias = mean_code - filters @ mean_signal
        if max(np.abs(filters).max(), np.abs(bias).max()) > np.finfo(dtype).max:
            raise UsageError(f"the filters are beyond what {dtype} can hold; scale the signals up, or the codes down")
        return cls(filters.astype(dtype), bias.astype(dtype))


def _dense(rows: Any) -> NDArray[np.float64]:
    return kernel_array(rows.toarray() if is_sparse(rows) else rows, np.dtype(np.float64))
