"""A linear prediction of codes in closed form, the baseline of all other encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.prepared_dictionary import PreparedDictionary, as_prepared
from striate.encoders._trainable import TorchEncoder
from striate.errors import UsageError
from striate.parameters import Real, Rule, check_parameters, parameter
from striate.progress import Progress
from striate.randomness import RandomState
from striate.samples import as_table, float_type, is_sparse, kernel_array

__all__ = ["LinearEncoder"]

_BLOCK = 4096  # signals that are in memory as float64 at a time
_SMALL = 0.1  # norm of the initial filters


class LinearEncoder(TorchEncoder):
    """Predicts codes as ``filters·y + bias``.

    Parameters
    ----------
    ridge : float, default 1e-4
        The penalty of `fit`, in units of the number of samples times the mean variance of a feature, so that it does
        not depend on the scale of the signals. The default is too small to have a visible effect on natural patches,
        and enough if their covariance is singular, as after mean removal. The bias is not penalized.

    Attributes
    ----------
    filters : ndarray (n_components, n_features)
    bias : ndarray (n_components,)

    Examples
    --------
    >>> import numpy as np
    >>> from striate.encoders import LinearEncoder
    >>> signals = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> encoder = LinearEncoder(ridge=0).fit(signals, signals[:, :1] + 2)
    >>> encoder.encode(np.array([5.0, 7.0])).round(6)
    array([7.])
    """

    kind: ClassVar[str] = "linear"
    names: ClassVar[tuple[str, ...]] = ("filters", "bias")
    _rules: ClassVar[Mapping[str, Rule]] = {"ridge": Real(low=0)}

    bias: NDArray[Any]

    def __init__(self, ridge: float = 1e-4) -> None:
        self.ridge = ridge

    def start(self, components: ArrayLike | PreparedDictionary, sparsity: float | ArrayLike) -> Self:
        """Initialize filters as a tenth of the dictionary, with bias 0; the sparsity is not used."""
        units = as_prepared(components).components
        return self.set_arrays(filters=_SMALL * units, bias=0 * units[:, 0])

    def _check_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        filters, bias = arrays.values()
        if filters.ndim != 2 or bias.shape != (len(filters),):
            raise UsageError(
                f"a linear encoder needs filters (n_components, n_features) with one bias each; "
                f"got the shapes {filters.shape} and {bias.shape}"
            )

    def _encode_block(self, signals: NDArray[Any], codes: NDArray[Any]) -> None:
        np.matmul(signals, self.filters.T, out=codes)
        codes += self.bias

    def fit(
        self,
        signals: Any,
        codes: Any,
        *,
        n_batches: int = 0,
        random_state: RandomState = None,
        progress: Progress | None = None,
    ) -> Self:
        """Minimize Σ ‖z − filters·y − bias‖² + penalty·‖filters‖², in closed form.

        Parameters
        ----------
        signals : float (n_samples, n_features)
            Read twice, in blocks.
        codes : float (n_samples, n_components) or scipy.sparse array
            Target codes.
        n_batches, random_state, progress : ignored
            For the interface of other encoders.

        Returns
        -------
        LinearEncoder
            Itself, float32 if the signals are; the normal equations are solved in float64.

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
        check_parameters(self, self._rules)
        signals = as_table(signals)
        codes = codes.tocsr() if is_sparse(codes) else as_table(codes, name="codes")
        if len(signals) != codes.shape[0] or 0 in signals.shape:
            raise UsageError(
                f"fit needs signals (n_samples, n_features) and codes (n_samples, n_components), at least one; "
                f"got the shapes {signals.shape} and {codes.shape}"
            )
        mean_signal, mean_code, covariance, cross, exponent = _moments(signals, codes)
        n_features = signals.shape[1]
        variance = float(np.trace(covariance)) / n_features
        ridge = parameter(self, "ridge")
        # Constant signals have no covariance: any positive diagonal works.
        covariance[np.diag_indices(n_features)] += ridge * variance if variance > 0 else 1.0
        try:
            filters = np.ldexp(np.linalg.solve(covariance, cross).T, -exponent)
        except np.linalg.LinAlgError:
            raise UsageError("the signals' covariance is singular: set ridge above 0, as 1e-4") from None
        dtype = float_type(signals.dtype)
        bias = mean_code - filters @ mean_signal
        if max(np.abs(filters).max(), np.abs(bias).max()) > np.finfo(dtype).max:
            raise UsageError(f"the filters are beyond what {dtype} can hold; scale the signals up, or the codes down")
        return self.set_arrays(filters=filters.astype(dtype), bias=bias.astype(dtype))


def _moments(
    signals: NDArray[Any], codes: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]:
    """Means of signals and codes, and the covariances of signals × 2^−exponent among themselves and with the codes."""
    n_samples, n_features = signals.shape
    blocks = [slice(first, first + _BLOCK) for first in range(0, n_samples, _BLOCK)]
    mean_signal, mean_code = np.zeros(n_features), np.zeros(codes.shape[1])
    largest = 0.0
    for rows in blocks:
        block = kernel_array(signals[rows], float_type(signals.dtype))
        largest = max(largest, float(np.abs(block).max()))
        mean_signal += block.sum(axis=0, dtype=np.float64) / n_samples
        mean_code += _dense(codes[rows]).sum(axis=0) / n_samples
    # Scaling by a power of two is exact, and keeps squares within range.
    exponent = int(np.frexp(largest)[1])
    covariance, cross = np.zeros((n_features, n_features)), np.zeros((n_features, codes.shape[1]))
    for rows in blocks:
        centered = np.ldexp(kernel_array(signals[rows]) - mean_signal, -exponent)
        covariance += centered.T @ centered / n_samples
        cross += centered.T @ (_dense(codes[rows]) - mean_code) / n_samples
    if not (np.isfinite(covariance).all() and np.isfinite(cross).all()):
        raise UsageError("signals or codes hold NaN or infinity, or are too large to be added up; remove or scale them")
    return mean_signal, mean_code, covariance, cross, exponent


def _dense(rows: Any) -> NDArray[np.float64]:
    return kernel_array(rows.toarray() if is_sparse(rows) else rows, np.dtype(np.float64))
