"""One pass over all coefficients: their correlations with the residual, row by row, without keeping them.

Roofline for 64 filters of 9×9 on 143×143: 94 million multiplications and additions at 32 per cycle take 1.2 ms of a
core with AVX-512; the correlations of a row, 35 KB, are searched while they are in the cache. What is kept, the
strongest new coefficient of each position, has the size of the image, so that memory does not grow with the number of
filters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.coding.convolutional._kernels import kernel_types
from striate.kernels import compiled, compiler
from striate.kernels.convolution import convolve_panel
from striate.kernels.simd import largest, select_above

__all__ = ["compile_correlations", "compile_scan"]


@compiler("float32", "float64")
def compile_scan(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_scan` for float32 or float64."""
    from numba import types

    real, read, written = kernel_types(dtype)
    integer = types.int64
    signature = types.void(
        integer, integer, read(real, 2), integer, read(real, 3), integer, integer, read(real, 1), types.boolean, real,
        read(integer, 1), read(types.int32, 1), read(types.int32, 1), read(real, 1), written(real, 2),
        written(types.int32, 2), written(real, 1),
    )  # fmt: skip
    return compiled(_scan, signature)


def _scan(
    first: int,
    last: int,
    residual: Any,
    n_channels: int,
    panels: Any,
    width: int,
    n_runs: int,
    factors: Any,
    positive: bool,
    limit: float,
    starts: Any,
    columns: Any,
    maps: Any,
    values: Any,
    strengths: Any,
    strongest: Any,
    highest: Any,
) -> None:
    """Rows `first` … `last` − 1 of the positions.

    The working set is given by `columns`, `maps` and `values`, those of row i from ``starts[i]`` on. `factors` are the
    inverse sparsities, padded with zeros to whole panels. For each position, `strengths` receives the largest ratio of
    a correlation to its sparsity among the coefficients that are 0 if it is above the limit, otherwise 0, and
    `strongest` its map; `highest` (n_rows,) the largest ratio of a row among all coefficients.
    """
    n_columns = strengths.shape[1]
    n_panels, n_numbers, panel = panels.shape
    n_maps, row = n_panels * panel, residual.shape[1]
    flat, flat_panels = residual.reshape(-1), panels.reshape(-1)
    products = np.empty((n_columns, n_maps), residual.dtype)
    flat_products = products.reshape(-1)
    is_active = np.zeros((n_columns, n_maps), np.bool_)
    found = np.empty(n_maps + 16, np.int32)
    for y in range(first, last):
        for p in range(n_panels):
            convolve_panel(
                flat_products, p * panel, n_maps, flat, y * n_channels * row, 1, width, row, n_runs, flat_panels,
                p * n_numbers * panel, n_columns,
            )  # fmt: skip
        for a in range(starts[y], starts[y + 1]):
            is_active[columns[a], maps[a]] = values[a] != 0
        highest[y] = 0
        for x in range(n_columns):
            ratio = largest(products[x], factors, n_maps, positive)
            if not ratio <= highest[y]:  # NaN stays visible
                highest[y] = ratio
            strengths[y, x] = 0
            if ratio > limit:
                for i in range(select_above(products[x], factors, n_maps, positive, limit, found)):
                    k = found[i]
                    value = abs(products[x, k]) * factors[k]
                    if not is_active[x, k] and value > strengths[y, x]:
                        strengths[y, x] = value
                        strongest[y, x] = k
        for a in range(starts[y], starts[y + 1]):
            is_active[columns[a], maps[a]] = False


@compiler("float32", "float64")
def compile_correlations(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_correlate` for float32 or float64."""
    from numba import types

    real, read, written = kernel_types(dtype)
    integer = types.int64
    signature = types.void(
        integer, integer, read(real, 2), integer, read(real, 3), integer, integer, written(real, 3)
    )  # fmt: skip
    return compiled(_correlate, signature)


def _correlate(
    first: int, last: int, rows: Any, n_channels: int, panels: Any, width: int, n_runs: int, result: Any
) -> None:
    """Correlations of an image with all filters at rows `first` … `last` − 1; `result` (n_maps, n_rows, n_columns)."""
    n_maps, n_columns = result.shape[0], result.shape[2]
    n_panels, n_numbers, panel = panels.shape
    row = rows.shape[1]
    flat, flat_panels = rows.reshape(-1), panels.reshape(-1)
    products = np.empty((n_columns, panel), rows.dtype)
    flat_products = products.reshape(-1)
    for y in range(first, last):
        for p in range(n_panels):
            convolve_panel(
                flat_products, 0, panel, flat, y * n_channels * row, 1, width, row, n_runs, flat_panels,
                p * n_numbers * panel, n_columns,
            )  # fmt: skip
            for k in range(min(panel, n_maps - p * panel)):
                for x in range(n_columns):
                    result[p * panel + k, y, x] = products[x, k]
