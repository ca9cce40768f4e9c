"""A mutual inhibition that is mostly zeros, applied to a block of signals at a time.

Codes of a block are kept transposed, one row per unit and one column per signal, so that each nonzero of the
inhibition takes a few vector operations over the block: its number, once loaded, is multiplied with 128 signals in
float32. For one signal at a time, each number would be gathered separately.

Roofline, with AVX-512: a nonzero loads a row of the block and multiplies it into sums that stay in registers over all
nonzeros of a unit, one vector per cycle from the first-level cache. A dense product by BLAS does one to two per
cycle, on all numbers. The density at which both take the same time was measured; `LISTA` holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from striate.encoders._shrink import shrunk
from striate.kernels import compiled, compiler
from striate.kernels.simd import combine

__all__ = ["SIGNALS", "SparseInhibition"]

SIGNALS = {np.dtype(np.float32): 128, np.dtype(np.float64): 64}  # per block: eight vectors, which stay in registers


class SparseInhibition:
    """The nonzeros of a matrix, row by row, and their product with a block of codes.

    Parameters
    ----------
    matrix : ndarray (n_components, n_components), float32 or float64
    """

    def __init__(self, matrix: NDArray[Any]) -> None:
        units, columns = np.nonzero(matrix)
        self.columns = columns.astype(np.int32)
        self.values = np.ascontiguousarray(matrix[units, columns])
        self.starts = np.searchsorted(units, np.arange(len(matrix) + 1)).astype(np.int64)

    def step(self, linear: NDArray[Any], codes: NDArray[Any], thresholds: NDArray[Any], result: NDArray[Any]) -> None:
        """Result = shrink(linear + matrix · codes, thresholds), for a block of signals.

        Parameters
        ----------
        linear, codes, result : ndarray (n_components, width), C-contiguous, of the matrix's dtype
            One row per unit; the width is a multiple of 16. `result` must be another array than `codes`.
        thresholds : ndarray (n_components,)
        """
        _compile_step(self.values.dtype)(linear, codes, self.starts, self.columns, self.values, thresholds, result)


@compiler("float32", "float64")
def _compile_step(dtype: np.dtype[Any]) -> Callable[..., None]:
    real = getattr(types, dtype.name)
    # A model that was loaded as a memory map is read-only.
    row, starts, columns = (types.Array(of, 1, "C", readonly=True) for of in (real, types.int64, types.int32))
    layer = real[:, ::1]
    return compiled(_step, types.void(layer, layer, starts, columns, row, row, layer))


def _step(linear: Any, codes: Any, starts: Any, columns: Any, values: Any, thresholds: Any, result: Any) -> None:
    n_units, width = linear.shape
    flat = codes.reshape(-1)
    for unit in range(n_units):
        first, last = starts[unit], starts[unit + 1]
        row, threshold = result[unit], thresholds[unit]
        combine(row, linear[unit], 1, values[first:last], columns[first:last], last - first, flat, width, width)
        for s in range(width):
            row[s] = shrunk(row[s], threshold)
