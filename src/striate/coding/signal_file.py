"""Signals and dictionaries in NumPy's files, one per row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import StriateError, UsageError
from striate.samples import check_finite

__all__ = ["open_rows", "read_array"]

_BLOCK = 8192  # rows that are checked at a time


def open_rows(path: Path, *, key: str | None = None, what: str = "signals") -> NDArray[Any]:
    """An array of numbers from a ``.npy`` or ``.npz`` file, as a memory map if the file allows it; never unpickled.

    Parameters
    ----------
    path : Path
    key : str, optional
        The name of the array in an ``.npz`` file; by default its only array, or ``X``.
    what : str
        Name of the rows in messages.

    Returns
    -------
    (n_rows, n_features)
        Further axes are flattened; all numbers are finite.

    Raises
    ------
    UsageError, StriateError
        In one sentence: the file is missing, damaged, or holds something else.
    """
    if not path.exists():
        raise UsageError(f"{path}: there is no such file; give {what} as .npy or .npz.")
    array = read_array(path, key)
    if array.ndim > 2:
        array = array.reshape(len(array), -1)
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "fiub":
        raise UsageError(
            f"{path}: an array {array.shape} of {array.dtype}; {what} must be real numbers, one per row, at least one."
        )
    for start in range(0, len(array), _BLOCK):  # also raised if an array does not fit into memory
        check_finite(array[start : start + _BLOCK], f"{path}: {what}", first=start)
    return array


def read_array(path: Path, key: str | None, *, default: str = "X") -> NDArray[Any]:
    """An array of any shape from a ``.npy`` or ``.npz`` file; `default` is its name in an archive of several.

    Raises
    ------
    UsageError, StriateError
        In one sentence: the file is damaged, or has no array of this name.
    """
    try:
        if path.suffix.lower() != ".npz":
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
            return array
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            name = key or (names[0] if len(names) == 1 else default)
            if name not in names:
                raise UsageError(f"{path}: holds {', '.join(names) or 'nothing'}; say which with --key.")
            found: NDArray[Any] = archive[name]
            return found
    except UsageError:
        raise
    except OSError as error:
        raise StriateError(f"{path}: cannot be read ({error.strerror or error}); give an array file.") from error
    except Exception as error:  # NumPy raises many kinds of exceptions for damaged files
        reason = "it is no .npy or .npz file" if "pickle" in str(error) else str(error)
        raise StriateError(f"{path}: cannot be read as an array ({reason}); write it again with numpy.save.") from error
