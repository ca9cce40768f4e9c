"""Checks of samples: any array of real numbers is accepted, and converted to the form that kernels and BLAS need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError

__all__ = [
    "all_finite",
    "as_array",
    "as_samples",
    "as_table",
    "check_finite",
    "dense_rows",
    "estimator_samples",
    "evenly_spread",
    "float_type",
    "is_sparse",
    "kernel_array",
    "writable",
]


def evenly_spread(n: int, at_most: int) -> NDArray[np.intp]:
    """Indices evenly over ``range(n)``, in ascending order, the first and the last among them.

    Parameters
    ----------
    n : int
    at_most : int
        How many; all of them where there are no more.
    """
    return np.linspace(0, n - 1, min(n, at_most)).round().astype(np.intp)


def is_sparse(value: object) -> bool:
    """Whether a value is a sparse matrix or array of SciPy (SciPy is not loaded for this)."""
    return type(value).__module__.startswith("scipy.sparse") and hasattr(value, "toarray")


def float_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of the computation: float32 for float32 and float16 in any byte order, otherwise float64."""
    return np.dtype(np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64)


def kernel_array(array: Any, dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
    """The same numbers in the form that compiled kernels need: rows contiguous, aligned, in native byte order.

    An array that already has this form is returned itself, even if it is read-only, since kernels declare which
    arguments they only read.
    """
    array = np.asarray(array)  # a plain array, not a subclass
    wanted = (array.dtype if dtype is None else np.dtype(dtype)).newbyteorder("=")
    return np.require(array, wanted, ["C_CONTIGUOUS", "ALIGNED"])


def as_samples(
    values: Any, *, name: str = "signals", n_features: int | None = None, finite: bool = True
) -> NDArray[Any]:
    """Samples as rows of float32 or float64, in the form that kernels need.

    Parameters
    ----------
    values : array-like (n_samples, n_features)
        Real numbers: lists, arrays of any layout and byte order, memory maps, data frames. float16 and float32 become
        float32, all other types float64.
    name : str
        Name of the samples in messages.
    n_features : int, optional
        The required number of columns.
    finite : bool
        Refuse NaN and infinity. False for a memory map, which would be read twice; the caller then checks each batch
        with `check_finite`.

    Raises
    ------
    UsageError
        For anything that is not a table of finite real numbers with this number of columns.
    """
    return as_array(values, name=name, axes=_axes(n_features), finite=finite)


def as_array(values: Any, *, name: str, axes: Sequence[str | int], finite: bool = True) -> NDArray[Any]:
    """Real numbers in an array with given axes, as float32 or float64 in the form that kernels need.

    Parameters
    ----------
    values : array-like
        As in `as_samples`.
    name : str
        Name of the numbers in messages, in the plural.
    axes : sequence of str or int
        For each axis its name, or the length that it must have.
    finite : bool
        Refuse NaN and infinity.

    Raises
    ------
    UsageError
        For anything else.
    """
    array = _real(values, name, axes)
    array = kernel_array(array, float_type(array.dtype))
    if finite:
        check_finite(array, name)
    return array


def as_table(values: Any, *, name: str = "signals", n_features: int | None = None) -> NDArray[Any]:
    """Samples as rows of real numbers, in their own type and layout: only lists and objects are converted.

    Parameters
    ----------
    values, name, n_features : as in `as_samples`

    Raises
    ------
    UsageError
        For anything that is not a table of real numbers with this number of columns.
    """
    return _real(values, name, _axes(n_features))


def _axes(n_features: int | None) -> tuple[str | int, ...]:
    return ("n_samples", "n_features" if n_features is None else n_features)


def _real(values: Any, name: str, axes: Sequence[str | int]) -> NDArray[Any]:
    if is_sparse(values):
        raise UsageError(f"{name} are a sparse matrix, and a dense array is needed: give {name}.toarray()")
    if np.ma.isMaskedArray(values) and np.ma.is_masked(values):
        raise UsageError(f"{name} have masked values; fill them in, with .filled(...), or remove them")
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
    except (ValueError, TypeError, OverflowError):
        raise UsageError(f"{name} are no table of numbers: rows of one length, numbers only, are needed") from None
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{name} are real numbers, not {array.dtype}")
    if array.ndim != len(axes) or any(
        isinstance(axis, int) and axis != length for axis, length in zip(axes, array.shape, strict=True)
    ):
        wanted = f"({', '.join(map(str, axes))}{',' if len(axes) == 1 else ''})"
        raise UsageError(f"{name} have shape {array.shape}, and {wanted} is needed")
    return array


def estimator_samples(
    estimator: Any, X: Any, *, reset: bool, finite: bool = True, sparse: bool = False, default: Any = np.float64
) -> Any:
    """Samples for a method of an estimator, converted by `as_samples` and checked as scikit-learn requires.

    Parameters
    ----------
    estimator : BaseEstimator
        Its `n_features_in_` and `feature_names_in_` are set or compared.
    X : array-like (n_samples, n_features)
    reset : bool
        Whether these are the first data of the estimator.
    finite : bool, default True
        As in `as_samples`. A memory map is not read if it is False; the caller then checks each batch.
    sparse : bool, default False
        Accept SciPy's sparse matrices too, and return them as CSR; `dense_rows` returns their batches.
    default : dtype, default float64
        Type for integers and Booleans.

    Raises
    ------
    UsageError
        For anything that is not a table of finite real numbers with `n_features_in_` columns.
    """
    from sklearn.utils.validation import validate_data

    name = type(estimator).__name__
    if is_sparse(X) and not sparse:
        raise UsageError(f"{name}: the samples are a sparse matrix, and a dense array is needed: give X.toarray()")
    if np.ma.isMaskedArray(X) and np.ma.is_masked(X):
        raise UsageError(f"{name}: the samples have masked values; fill them in, with .filled(...), or remove them")
    wanted: Any = [default, np.float32, np.float64]
    if isinstance(getattr(X, "dtype", None), np.dtype) and not hasattr(X, "columns"):
        if X.dtype.kind not in "fiubcO":
            raise UsageError(f"{name}: the samples are real numbers, not {X.dtype}")
        if X.dtype.kind == "f":
            wanted = float_type(X.dtype)
    try:
        found = validate_data(
            estimator, X, reset=reset, dtype=wanted, accept_sparse="csr" if sparse else False, ensure_all_finite=False
        )
    except (ValueError, OverflowError) as error:  # scikit-learn requires a TypeError for objects
        raise UsageError(f"{name}: {error}") from None
    if is_sparse(found):
        if not all_finite(found.data):
            raise UsageError(f"{name}: the samples hold NaN or infinity; remove or mend them")
    elif finite:
        found = kernel_array(found)
        check_finite(found, f"{name}: the samples")
    return found


def dense_rows(samples: Any, rows: Any, *, unread: str | None = None) -> NDArray[Any]:
    """Some rows of the result of `estimator_samples`, dense and in the form that kernels need.

    Parameters
    ----------
    samples : array (n_samples, n_features)
    rows : slice or integers
    unread : str, optional
        Name of the samples in messages, if they have not been checked for NaN and infinity yet.
    """
    part = samples[rows]
    part = kernel_array(part.toarray() if is_sparse(part) else part)
    if unread is not None:
        numbers = range(samples.shape[0])[rows] if isinstance(rows, slice) else rows
        check_finite(part, unread, numbers=numbers)
    return part


def writable(array: Any) -> NDArray[Any]:
    """The array, or a copy where it cannot be changed in place: one that was loaded as a memory map, for example."""
    own = kernel_array(array)
    return own if own.flags.writeable and not isinstance(array, np.memmap) else own.copy()


def all_finite(array: NDArray[Any]) -> bool:
    """Whether no number is NaN or infinity."""
    # If the sum is finite, all numbers are. Otherwise each number is checked, since the sum may have overflowed.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


def check_finite(
    array: NDArray[Any], name: str = "signals", *, first: int = 0, numbers: Sequence[int] | None = None
) -> None:
    """Refuse NaN and infinity; the message has the number of the first sample that has one.

    Rows are numbered from `first`, or have the `numbers` that are given.

    Raises
    ------
    UsageError
    """
    if all_finite(array):
        return
    wrong = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if wrong.any():
        where = int(wrong.argmax())
        where = first + where if numbers is None else int(numbers[where])
        raise UsageError(f"{name} hold NaN or infinity, first in sample {where}; remove or mend it")
