"""What may be given as samples: any array of real numbers, in the form that kernels and BLAS take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError

__all__ = ["as_samples", "check_finite", "float_type", "is_sparse", "kernel_array"]


def is_sparse(value: object) -> bool:
    """Whether a value is one of SciPy's sparse matrices or arrays (SciPy is not loaded to find out)."""
    return type(value).__module__.startswith("scipy.sparse") and hasattr(value, "toarray")


def float_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type that numbers are computed with: float32 for float32 and float16 in any byte order, else float64."""
    return np.dtype(np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64)


def kernel_array(array: Any, dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
    """The same numbers as compiled kernels take them: rows contiguous, aligned, in the machine's byte order.

    An array that is so already is returned as it is, read-only ones too: a kernel declares what it only reads as such.
    """
    array = np.asarray(array)  # a plain array, whatever subclass was given
    wanted = (array.dtype if dtype is None else np.dtype(dtype)).newbyteorder("=")
    return np.require(array, wanted, ["C_CONTIGUOUS", "ALIGNED"])


def as_samples(
    values: Any, *, name: str = "signals", n_features: int | None = None, finite: bool = True
) -> NDArray[Any]:
    """Samples as rows of float32 or float64, in the form that kernels take.

    Parameters
    ----------
    values : array-like (n_samples, n_features)
        Real numbers: lists, arrays of any layout and byte order, memory maps, data frames. float16 and float32 become
        float32, all else float64.
    name : str
        What messages call them.
    n_features : int, optional
        The number of columns that is needed.
    finite : bool
        Refuse NaN and infinity. False for a memory map, which would be read twice; then the caller checks each batch
        with `check_finite`.

    Raises
    ------
    UsageError
        For anything that is not a table of finite real numbers with that many columns.
    """
    if is_sparse(values):
        raise UsageError(f"{name} are a sparse matrix, and a dense array is needed: give {name}.toarray()")
    if np.ma.isMaskedArray(values) and np.ma.is_masked(values):
        raise UsageError(f"{name} have masked values; fill them in, with .filled(...), or remove them")
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
    except (ValueError, TypeError):
        raise UsageError(f"{name} are no table of numbers: rows of one length, numbers only, are needed") from None
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{name} are real numbers, not {array.dtype}")
    if array.ndim != 2 or (n_features is not None and array.shape[1] != n_features):
        wanted = "n_features" if n_features is None else str(n_features)
        raise UsageError(f"{name} have shape {array.shape}, and (n_samples, {wanted}) is needed")
    array = kernel_array(array, float_type(array.dtype))
    if finite:
        check_finite(array, name)
    return array


def check_finite(array: NDArray[Any], name: str = "signals", *, first: int = 0) -> None:
    """Refuse NaN and infinity, with the number of the first sample that holds one; `first` is the first row's number.

    Raises
    ------
    UsageError
    """
    # A sum is finite where all numbers are, but for overflow; only then is each looked at.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):
            return
    wrong = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if wrong.any():
        where = first + int(wrong.argmax())
        raise UsageError(f"{name} hold NaN or infinity, first in sample {where}; remove or mend it")
