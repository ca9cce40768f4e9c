"""Samples that are read a few rows at a time: an array, a memory map, or a sparse matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.samples import dense_rows

__all__ = ["Rows", "chunks"]

_CHUNK = 4096  # rows


class Rows:
    """Samples that give dense rows, and check them when they are read for the first time.

    Parameters
    ----------
    values : array, memory map or sparse matrix (n_samples, n_features)
        As `striate.samples.estimator_samples` returns them.
    unread : str, optional
        Name of the samples in messages, if they have not been checked for NaN and infinity yet.
    check : callable, optional
        Is called with the rows that are read, and raises an error for values that the learner cannot use.
    """

    def __init__(
        self, values: Any, *, unread: str | None = None, check: Callable[[NDArray[Any]], None] | None = None
    ) -> None:
        self.values = values
        self.shape: tuple[int, int] = values.shape
        self.dtype: np.dtype[Any] = values.dtype
        self._unread = unread
        self._check = check

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        part = dense_rows(self.values, rows, unread=self._unread)
        if self._check is not None:
            self._check(part)
        return part


def chunks(n_samples: int) -> list[slice]:
    """Slices of rows that are processed together: they limit the memory, and do not change the result."""
    return [slice(start, start + _CHUNK) for start in range(0, n_samples, _CHUNK)]
