"""The loop of a patch dictionary over one image: a convolution, the patches' contrast, the response and its pooling.

Roofline for 800 units of 6×6 on a color image of 32×32 (a core with AVX-512): 63 million multiplications and additions
at 32 per cycle take about 0.7 ms. The response of each unit at each position, 0.6 million, takes some 10 operations
and stays in the cache, 0.1–0.2 ms: a row of positions is filtered, divided by the patches' deviation, thresholded and
added to the cells of the grid before the next. All maps would be 4.7 MB; the sums over the cells' columns are 0.5 MB.
The weights, 0.35 MB, are read from the second-level cache for each row, a tenth of the time of their products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from striate.kernels import compiled, compiler
from striate.kernels.convolution import WIDTH, convolve_panel

__all__ = ["compile_respond"]

_index = types.int64
_stack = types.Array(types.float32, 3, "C")
_fixed_row, _fixed_panels = (types.Array(types.float32, axes, "C", readonly=True) for axes in (1, 3))


@compiler()
def compile_respond() -> Any:
    """The compiled `_respond`."""
    return compiled(
        _respond,
        types.void(
            _index, _index, _stack, _index, _index, _fixed_panels, _fixed_row, _fixed_row, types.float64,
            types.float32, types.boolean, types.boolean, types.Array(_index, 1, "C"), _stack,
        ),
    )  # fmt: skip


def _respond(
    first: int,
    last: int,
    maps: Any,
    size: int,
    step: int,
    panels: Any,
    offset: Any,
    squares: Any,
    noise: float,
    threshold: Any,
    triangle: bool,
    maximum: bool,
    cells: Any,
    result: Any,
) -> None:
    """Sums, or maxima, of the responses in rows `first` … `last` − 1 of positions, over the columns of each cell.

    `maps` (rows, columns, n_inputs); `panels` (n_panels, size² · n_inputs, WIDTH), those of the units and then, for
    the triangle, those of the whitening; `offset` (n_panels · WIDTH,); `squares` (n_units,), squared norms; `cells`
    (n_positions,), the cell of each column of positions; `result` (rows of positions, n_cells, n_maps), zeros.
    """
    n_positions, n_units, n_inputs = len(cells), len(squares), maps.shape[2]
    row, n_numbers, n_padded = maps.shape[1] * n_inputs, panels.shape[1], len(offset)
    flat_maps, flat_panels = maps.reshape(-1), panels.reshape(-1)
    filtered = np.empty((n_positions, n_padded), np.float32)
    flat_filtered = filtered.reshape(-1)
    n_maps = result.shape[2]
    response = np.empty(n_maps, np.float32)
    positive, negative = response[:n_units], response[n_units:]
    # In double precision, since the variance is a small difference of large sums.
    sums, sums_of_squares = np.empty(maps.shape[1], np.float64), np.empty(maps.shape[1], np.float64)
    share = 1.0 / n_numbers
    zero = np.float32(0)
    for y in range(first, last):
        top = y * step
        for panel in range(len(panels)):
            convolve_panel(
                flat_filtered, panel * WIDTH, n_padded, flat_maps, top * row, n_inputs * step, size * n_inputs, row,
                size, flat_panels, panel * n_numbers * WIDTH, n_positions,
            )  # fmt: skip
        for x in range(maps.shape[1]):
            total, total_square = 0.0, 0.0
            for k in range(size):
                for c in range(n_inputs):
                    number = np.float64(maps[top + k, x, c])
                    total += number
                    total_square += number * number
            sums[x], sums_of_squares[x] = total, total_square
        for x in range(n_positions):
            total, total_square = 0.0, 0.0
            for k in range(size):
                total += sums[x * step + k]
                total_square += sums_of_squares[x * step + k]
            mean = total * share
            variance = total_square * share - mean * mean
            scale = np.float32(1.0 / np.sqrt((variance if variance > 0.0 else 0.0) + noise))
            values = filtered[x]
            for k in range(n_padded):
                values[k] = values[k] * scale + offset[k]
            if triangle:
                square = zero
                whitened = values[n_units : n_units + n_numbers]
                for k in range(n_numbers):
                    square += whitened[k] * whitened[k]
                away = zero
                for k in range(n_units):
                    distance = square + squares[k] - np.float32(2) * values[k]
                    response[k] = np.sqrt(distance if distance > zero else zero)
                    away += response[k]
                away /= np.float32(n_units)
                for k in range(n_units):
                    nearer = away - response[k]
                    response[k] = nearer if nearer > zero else zero
            else:
                for k in range(n_units):
                    above, below = values[k] - threshold, -values[k] - threshold
                    positive[k] = above if above > zero else zero
                    negative[k] = below if below > zero else zero
            cell = result[y, cells[x]]
            if maximum:
                for k in range(n_maps):
                    cell[k] = response[k] if response[k] > cell[k] else cell[k]
            else:
                for k in range(n_maps):
                    cell[k] += response[k]
