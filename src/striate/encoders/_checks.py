"""Checks of the arguments of encoders."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.samples import float_type, is_sparse, kernel_array

__all__ = ["as_arrays", "as_weights", "is_one"]


def as_arrays(given: dict[str, ArrayLike]) -> dict[str, NDArray[Any]]:
    """Arrays of one dtype, C-contiguous and finite: float32 if all are, float64 otherwise; copied only if needed."""
    for name, array in given.items():
        if is_sparse(array):
            raise UsageError(f"{name} is a sparse matrix, but a dense array is needed: give {name}.toarray()")
    try:
        found = {name: np.asarray(array) for name, array in given.items()}
    except ValueError:
        raise UsageError(f"{', '.join(given)} must be arrays of real numbers, with rows of one length") from None
    for name, array in found.items():
        if array.dtype.kind not in "fiub":
            raise UsageError(f"{name} must hold real numbers, not {array.dtype}")
    dtype = max(float_type(array.dtype) for array in found.values())
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise UsageError(f"{name} must not hold NaN or infinity: start from a dictionary that does not")
    return {name: kernel_array(array, dtype) for name, array in found.items()}


def is_one(signals: Any) -> bool:
    """Whether this is a single signal, (n_features,), and not a table of signals."""
    if is_sparse(signals):
        return False
    try:
        return np.ndim(signals) == 1
    except ValueError:  # rows of different lengths
        return False


def as_weights(sparsity: float | ArrayLike, n_components: int) -> NDArray[np.float64]:
    """The sparsity of each unit, (n_components,), above 0."""
    try:
        weights = np.asarray(sparsity, np.float64)
    except (ValueError, TypeError):
        raise UsageError(f"sparsity is a number above 0, or one per unit, not {sparsity!r}") from None
    if weights.shape not in ((), (n_components,)):
        raise UsageError(
            f"sparsity is a number or ({n_components},), one per unit; give it no array of shape {weights.shape}"
        )
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise UsageError("sparsity must be above 0, and finite, everywhere")
    return np.array(np.broadcast_to(weights, (n_components,)))
