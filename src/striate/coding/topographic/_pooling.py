"""Windowed sums over a sheet of units, for `LANES` samples at a time: their units are rows, and samples the columns.

Windows are products of a window along the rows of the sheet and one along its columns, so that a sum over them takes
height + width multiplications per unit and not height · width. With samples as the innermost axis, every loop is over
adjacent numbers of equal length, whatever the sheet, its windows and its strides.

Roofline, for a torus of 32×16 units with windows of 6×6, every 2 units (a core with AVX-512): 5,400 multiplications and
additions per sample, 0.1 µs, from arrays of 128 KB that stay in the second-level cache; the products of the units'
filters of 16×16 with the sample are 131,000.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from striate.kernels import compiled, compiler, inlined
from striate.threads import in_threads

__all__ = ["Windows", "pool_block", "pool_rows", "spread_block", "spread_rows", "window_types"]

_LANES = 64  # samples that are pooled together

Windows = tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64], NDArray[Any]]
"""Rows of the sheet in each window and their weights, then columns and their weights."""


def window_types(real: Any) -> tuple[Any, ...]:
    """The types of `Windows` in a kernel's signature."""
    # Those of a model that is a memory map are read-only.
    table, weights = types.Array(types.int64, 2, "C", readonly=True), types.Array(real, 1, "C", readonly=True)
    return table, weights, table, weights


@inlined
def pool_block(
    codes: Any, rows: Any, row_weights: Any, columns: Any, column_weights: Any, n_columns: Any, strip: Any, sums: Any
) -> None:
    """`sums` (n_pools, lanes) = Σ weight · code² over the units of each pool; `strip` (n_columns, lanes) is scratch."""
    n_lanes = codes.shape[1]
    zero = codes[0, 0] - codes[0, 0]
    for p in range(len(rows)):
        for c in range(n_columns):
            to = strip[c]
            for b in range(n_lanes):
                to[b] = zero
        for i in range(len(row_weights)):
            weight = row_weights[i]
            for c in range(n_columns):
                source, to = codes[rows[p, i] * n_columns + c], strip[c]
                for b in range(n_lanes):
                    to[b] += weight * source[b] * source[b]
        for k in range(len(columns)):
            to = sums[p * len(columns) + k]
            for b in range(n_lanes):
                to[b] = zero
            for j in range(len(column_weights)):
                weight, source = column_weights[j], strip[columns[k, j]]
                for b in range(n_lanes):
                    to[b] += weight * source[b]


@inlined
def spread_block(
    values: Any, rows: Any, row_weights: Any, columns: Any, column_weights: Any, n_columns: Any, strip: Any, sums: Any
) -> None:
    """`sums` (n_units, lanes) = Σ weight · value over the pools that each unit is in: the adjoint of `pool_block`."""
    n_lanes = values.shape[1]
    zero = values[0, 0] - values[0, 0]
    for unit in range(len(sums)):
        to = sums[unit]
        for b in range(n_lanes):
            to[b] = zero
    for p in range(len(rows)):
        for c in range(n_columns):
            to = strip[c]
            for b in range(n_lanes):
                to[b] = zero
        for k in range(len(columns)):
            source = values[p * len(columns) + k]
            for j in range(len(column_weights)):
                weight, to = column_weights[j], strip[columns[k, j]]
                for b in range(n_lanes):
                    to[b] += weight * source[b]
        for i in range(len(row_weights)):
            weight = row_weights[i]
            for c in range(n_columns):
                source, to = strip[c], sums[rows[p, i] * n_columns + c]
                for b in range(n_lanes):
                    to[b] += weight * source[b]


def pool_rows(codes: NDArray[Any], windows: Windows, n_columns: int) -> NDArray[Any]:
    """Roots of the weighted sums of squares, (n_samples, n_pools), for codes (n_samples, n_units), in threads."""
    pooled = np.empty((len(codes), len(windows[0]) * len(windows[2])), codes.dtype)
    _run(compile_pool_rows(codes.dtype), codes, windows, n_columns, pooled)
    return pooled


def spread_rows(values: NDArray[Any], windows: Windows, n_columns: int, n_units: int) -> NDArray[Any]:
    """Weighted sums over the pools of each unit, (n_samples, n_units), for values (n_samples, n_pools), in threads."""
    sums = np.empty((len(values), n_units), values.dtype)
    _run(compile_spread_rows(values.dtype), values, windows, n_columns, sums)
    return sums


def _run(
    kernel: Callable[..., None], given: NDArray[Any], windows: Windows, n_columns: int, result: NDArray[Any]
) -> None:
    work = 4 * max(given.shape[1], result.shape[1]) * (len(windows[1]) + len(windows[3]))
    in_threads(lambda first, last: kernel(first, last, given, *windows, n_columns, result), len(given), work)


def _signature(dtype: np.dtype[Any]) -> Any:
    real = types.float32 if dtype == np.float32 else types.float64
    table, result = types.Array(real, 2, "C", readonly=True), types.Array(real, 2, "C")
    return types.void(types.int64, types.int64, table, *window_types(real), types.int64, result)


@compiler("float32", "float64")
def compile_pool_rows(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_pool_rows`: arguments are first, last, codes, windows, n_columns and the result."""
    return compiled(_pool_rows, _signature(dtype))


@compiler("float32", "float64")
def compile_spread_rows(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_spread_rows`: arguments are first, last, values, windows, n_columns and the result."""
    return compiled(_spread_rows, _signature(dtype))


def _pool_rows(
    first: int,
    last: int,
    codes: Any,
    rows: Any,
    row_weights: Any,
    columns: Any,
    column_weights: Any,
    n_columns: int,
    pooled: Any,
) -> None:
    """Rows `first` … `last` − 1; groups of `_LANES` rows are transposed, pooled, and transposed back."""
    n_units, n_pools = codes.shape[1], pooled.shape[1]
    block = np.zeros((n_units, _LANES), codes.dtype)
    strip = np.empty((n_columns, _LANES), codes.dtype)
    sums = np.empty((n_pools, _LANES), codes.dtype)
    for start in range(first, last, _LANES):
        n = min(_LANES, last - start)
        for b in range(n):
            for unit in range(n_units):
                block[unit, b] = codes[start + b, unit]
        pool_block(block, rows, row_weights, columns, column_weights, n_columns, strip, sums)
        for b in range(n):
            for pool in range(n_pools):
                pooled[start + b, pool] = np.sqrt(sums[pool, b])


def _spread_rows(
    first: int,
    last: int,
    values: Any,
    rows: Any,
    row_weights: Any,
    columns: Any,
    column_weights: Any,
    n_columns: int,
    result: Any,
) -> None:
    """As `_pool_rows`, for `spread_block`."""
    n_units, n_pools = result.shape[1], values.shape[1]
    block = np.zeros((n_pools, _LANES), values.dtype)
    strip = np.empty((n_columns, _LANES), values.dtype)
    sums = np.empty((n_units, _LANES), values.dtype)
    for start in range(first, last, _LANES):
        n = min(_LANES, last - start)
        for b in range(n):
            for pool in range(n_pools):
                block[pool, b] = values[start + b, pool]
        spread_block(block, rows, row_weights, columns, column_weights, n_columns, strip, sums)
        for b in range(n):
            for unit in range(n_units):
                result[start + b, unit] = sums[unit, b]
