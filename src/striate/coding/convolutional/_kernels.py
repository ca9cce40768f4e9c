"""The loops over a working set of coefficients: coordinate descent, sums of filters, and squared norms of windows.

The residual itself is kept up to date, not the correlations of all coefficients with it: a change of one coefficient
then costs the product with a window and its update, 2·h·w multiplications in vectors, about 60 ns for a filter of 9×9,
where an update of the correlations of 64 maps would take 17·17·64. What bounds it are the loads that wait for the
stores of the change before.

Positions are cut into stripes of rows. Windows of a stripe overlap those of the stripes next to it only, so that all
even stripes, then all odd ones, may be processed in any order, or at the same time, and give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.kernels import compiled, compiler
from striate.kernels.windows import add_to_window, add_weighted_to_window, window_product

__all__ = ["compile_descent", "compile_products", "compile_sums", "kernel_types"]


def kernel_types(dtype: np.dtype) -> tuple[Any, Callable[..., Any], Callable[..., Any]]:
    """The number type, arrays that are only read, and arrays that are written."""
    from numba import types

    real = types.float32 if dtype == np.float32 else types.float64

    def read(element: Any, n_dimensions: int) -> Any:
        return types.Array(element, n_dimensions, "C", readonly=True)

    def written(element: Any, n_dimensions: int) -> Any:
        return types.Array(element, n_dimensions, "C")

    return real, read, written


@compiler("float32", "float64")
def compile_descent(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_descend` for float32 or float64."""
    from numba import types

    real, read, written = kernel_types(dtype)
    integer = types.int64
    signature = types.void(
        integer, integer, read(integer, 1), integer, integer, written(real, 2), read(real, 2), read(real, 3),
        read(real, 1), types.boolean, read(integer, 1), read(types.int32, 1), read(integer, 1), read(types.int32, 1),
        read(real, 1), written(real, 1), read(types.boolean, 2), real, integer, written(real, 2), written(integer, 1),
    )  # fmt: skip
    return compiled(_descend, signature)


def _descend(
    first: int,
    last: int,
    stripes: Any,
    height: int,
    shift: int,
    residual: Any,
    weights: Any,
    windows: Any,
    thresholds: Any,
    positive: bool,
    starts: Any,
    columns: Any,
    places: Any,
    maps: Any,
    norms: Any,
    values: Any,
    awake: Any,
    target: float,
    n_sweeps: int,
    moved: Any,
    swept: Any,
) -> None:
    """Sweep over the coefficients of ``stripes[first:last]``, forward and backward in turn.

    A stripe has `height` rows of positions, and segments of ``2 ** shift`` columns; only segments that are `awake` are
    visited. A segment is left out of the next sweep if neither it nor a neighbor in its stripe has moved a coefficient
    by more than the target: by this share of the sparsity, in the correlation with the residual. `moved` receives the
    largest such share of each segment, `swept` the number of coefficients that were visited, added up.

    `residual`, which is weighted if there are weights, (rows, length), is updated; `weights` has as many numbers, or
    none. `windows` (n_maps, n_runs, whole vectors) are the filters; `thresholds` (n_maps,) the sparsities. Coefficients
    are in the order of their positions, those of row i from ``starts[i]`` on; `norms` are their squared norms.
    """
    n_runs, length = windows.shape[1], windows.shape[2]
    row, n_rows, n_segments = residual.shape[1], len(starts) - 1, awake.shape[1]
    flat, flat_windows, flat_weights = residual.reshape(-1), windows.reshape(-1), weights.reshape(-1)
    size = n_runs * length
    is_weighted = len(flat_weights) > 0
    visited = np.empty(n_segments, np.bool_)
    moves = np.empty(n_segments, residual.dtype)
    for index in range(first, last):
        s = stripes[index]
        begin, end = starts[s * height], starts[min((s + 1) * height, n_rows)]
        for g in range(n_segments):
            visited[g] = awake[s, g]
            moved[s, g] = 0
        for sweep in range(n_sweeps):
            moves[:] = 0
            for i in range(end - begin):
                a = begin + i if sweep % 2 == 0 else end - 1 - i
                g = columns[a] >> shift
                if not visited[g]:
                    continue
                swept[s] += 1
                k, norm, old = maps[a], norms[a], values[a]
                if not norm > 0:  # a filter that is 0, or of which the mask hides everything
                    values[a] = 0
                    continue
                b = window_product(flat, places[a], row, flat_windows, k * size, length, n_runs) + norm * old
                new = old - old
                if b > thresholds[k]:
                    new = (b - thresholds[k]) / norm
                elif b < -thresholds[k] and not positive:
                    new = (b + thresholds[k]) / norm
                change = new - old
                if change != 0:
                    values[a] = new
                    if is_weighted:
                        add_weighted_to_window(
                            flat, places[a], row, -change, flat_windows, k * size, length, n_runs, flat_weights
                        )
                    else:
                        add_to_window(flat, places[a], row, -change, flat_windows, k * size, length, n_runs)
                    move = abs(change) * norm / thresholds[k]
                    if move > moves[g]:
                        moves[g] = move
            any_left = False
            for g in range(n_segments):
                moved[s, g] = max(moved[s, g], moves[g])
                left, right = max(g - 1, 0), min(g + 1, n_segments - 1)
                visited[g] = awake[s, g] and max(moves[left], moves[g], moves[right]) > target
                any_left = any_left or visited[g]
            if not any_left:
                break


@compiler("float32", "float64")
def compile_sums(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_add` for float32 or float64."""
    from numba import types

    real, read, written = kernel_types(dtype)
    integer = types.int64
    signature = types.void(
        integer, integer, read(integer, 1), integer, written(real, 2), read(real, 3), read(integer, 1),
        read(integer, 1), read(types.int32, 1), read(real, 1),
    )  # fmt: skip
    return compiled(_add, signature)


def _add(
    first: int,
    last: int,
    stripes: Any,
    height: int,
    rows: Any,
    windows: Any,
    starts: Any,
    places: Any,
    maps: Any,
    values: Any,
) -> None:
    """Add the sum of the filters of ``stripes[first:last]``, each times its value, to an image."""
    n_runs, length = windows.shape[1], windows.shape[2]
    row, n_rows = rows.shape[1], len(starts) - 1
    flat, flat_windows = rows.reshape(-1), windows.reshape(-1)
    for index in range(first, last):
        s = stripes[index]
        for a in range(starts[s * height], starts[min((s + 1) * height, n_rows)]):
            if values[a] != 0:
                at = maps[a] * n_runs * length
                add_to_window(flat, places[a], row, values[a], flat_windows, at, length, n_runs)


@compiler("float32", "float64")
def compile_products(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_multiply` for float32 or float64."""
    from numba import types

    real, read, written = kernel_types(dtype)
    integer = types.int64
    signature = types.void(
        integer, integer, read(real, 2), read(real, 3), read(integer, 1), read(types.int32, 1), written(real, 1)
    )
    return compiled(_multiply, signature)


def _multiply(first: int, last: int, rows: Any, windows: Any, places: Any, maps: Any, result: Any) -> None:
    """The products of windows `first` … `last` − 1 of an image, each with the filter of its map."""
    n_runs, length = windows.shape[1], windows.shape[2]
    row = rows.shape[1]
    flat, flat_windows = rows.reshape(-1), windows.reshape(-1)
    for a in range(first, last):
        result[a] = window_product(flat, places[a], row, flat_windows, maps[a] * n_runs * length, length, n_runs)
