"""Checks of the arguments of `regularization_path` and `infer_until`, and of the codes that they return."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding._exact_path import Limits
from striate.coding._path_certificate import tolerance_of
from striate.coding.prepared_dictionary import PreparedDictionary, as_prepared
from striate.errors import UsageError
from striate.parameters import Integer, Real, checked
from striate.samples import as_samples

__all__ = ["checked_limits", "checked_signals", "checked_weights", "rounded_codes", "warn_of_residuals"]


def checked_signals(
    signals: Any, dictionary: ArrayLike | PreparedDictionary
) -> tuple[PreparedDictionary, NDArray[Any]]:
    """The dictionary, and the signals in a solver's type."""
    prepared = as_prepared(dictionary)
    return prepared, as_samples(signals, n_features=prepared.n_features)


def checked_weights(prepared: PreparedDictionary, weights: ArrayLike | None) -> NDArray[np.float64]:
    if weights is None:
        return np.ones(prepared.n_components)
    wanted = f"weights are {prepared.n_components} numbers of at least 0, one for each unit; infinity excludes a unit"
    try:
        array = np.array(weights, np.float64)
    except (ValueError, TypeError, OverflowError):
        raise UsageError(wanted) from None
    if array.shape != (prepared.n_components,):
        raise UsageError(f"{wanted}: their shape is {array.shape}")
    if not (array >= 0).all():
        raise UsageError(f"{wanted}: that of unit {int(np.argmin(array >= 0))} is {array[np.argmin(array >= 0)]}")
    return array


def checked_limits(
    weights: NDArray[np.float64], max_nonzero: int | None, residual: float | None, lowest: float = 0.0
) -> Limits:
    if max_nonzero is not None:
        max_nonzero = checked("max_nonzero", max_nonzero, Integer(low=0))
        if max_nonzero < (n_free := np.count_nonzero(weights == 0)):
            raise UsageError(
                f"max_nonzero is {max_nonzero}, below the {n_free} units of weight 0, which are active everywhere"
            )
    if residual is not None:
        residual = checked("residual", residual, Real(above=0))
    return Limits(lowest, max_nonzero, residual)


def rounded_codes(codes: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        rounded: NDArray[Any] = codes.astype(dtype)
    if not np.isfinite(rounded).all():
        raise UsageError(f"codes are beyond what {dtype} can hold; scale the signals down, or the dictionary up")
    if (codes.any(axis=-1) & ~rounded.any(axis=-1)).any():
        raise UsageError(f"codes are too small for {dtype}; scale the signals up, or the dictionary down")
    return rounded


def warn_of_residuals(residuals: NDArray[np.float64], dtype: np.dtype[Any], what: str, *, stacklevel: int) -> None:
    from sklearn.exceptions import ConvergenceWarning

    advice = "give signals in float64" if dtype == np.float32 else "end paths earlier, or scale the features alike"
    warnings.warn(
        f"{what} are not optimal to rounding, or do not have the error that was asked for; the largest residual of the "
        f"optimality conditions is {residuals.max():.1g}, where {tolerance_of(dtype):g} is wanted; {advice}",
        ConvergenceWarning,
        stacklevel=stacklevel + 1,
    )
