"""Products of signals, or of units, with all units of a dictionary, in threads of our own.

BLAS is as fast, but after each product its threads wait for more work in a loop for about 20 ms, and thereby take the
processor from the next kernel. Roofline: 2 n K p flops at three quarters of the peak.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.kernels import compiled, compiler, inlined
from striate.kernels.simd import PANEL, panel_product

__all__ = ["BLOCK", "as_panels", "compile_products", "multiply_block"]

BLOCK = 48  # rows that are multiplied together: eight tiles of six, whose products stay in the cache


def as_panels(units: NDArray[Any]) -> NDArray[Any]:
    """Units, (n_units, n_features), as the kernel reads them: (n_panels, n_features, units per panel), zero-padded."""
    width, (n_units, n_features) = PANEL[units.dtype], units.shape
    whole = np.zeros((-(-n_units // width) * width, n_features), units.dtype)
    whole[:n_units] = units
    return np.ascontiguousarray(whole.reshape(-1, width, n_features).transpose(0, 2, 1))


@compiler("float32", "float64")
def compile_products(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_multiply` for float32 or float64."""
    from numba import types

    real = types.float32 if dtype == np.float32 else types.float64
    rows, panels = (types.Array(real, n_dimensions, "C", readonly=True) for n_dimensions in (2, 3))
    return compiled(_multiply, types.void(types.int64, types.int64, rows, panels, types.Array(real, 2, "C")))


@inlined
def multiply_block(rows: Any, first: Any, n: Any, panels: Any, result: Any, result_first: Any) -> None:
    """Products of `n` rows from `first` on with all panels, into the rows of `result` from `result_first` on."""
    n_features = rows.shape[1]
    n_panels, width = panels.shape[0], panels.shape[2]
    n_columns = n_panels * width
    flat_rows, flat_panels, flat_result = rows.reshape(-1), panels.reshape(-1), result.reshape(-1)
    for panel in range(n_panels):
        panel_product(
            flat_result, result_first * n_columns + panel * width, n_columns, flat_rows, first * n_features,
            n_features, flat_panels, panel * n_features * width, n_features, n,
        )  # fmt: skip


def _multiply(first: int, last: int, rows: Any, panels: Any, result: Any) -> None:
    """Rows `first` … `last` − 1 of the product; `result` has a column for each unit of each panel."""
    for start in range(first, last, BLOCK):
        multiply_block(rows, start, min(BLOCK, last - start), panels, result, start)
