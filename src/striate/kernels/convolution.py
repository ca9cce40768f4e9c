"""The vector loop of a convolution, with the sums of a panel of filters at neighboring positions in registers."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from striate.kernels.vectors import Vectors, constant, loop, pointer, primitive

__all__ = ["WIDTH", "convolve_panel", "panel_width"]

WIDTH = 32  # filters per panel in float32: two vectors
_VECTORS = 2
_TILES = (12, 6, 3, 1)  # positions with sums in registers at a time: 24 vectors of sums, 2 of filters, 1 of pixels


def panel_width(dtype: np.dtype[Any]) -> int:
    """Filters per panel: two vectors of the type."""
    return WIDTH * 4 // np.dtype(dtype).itemsize


def _convolve_panel(
    result: np.ndarray,
    result_at: int,
    result_stride: int,
    maps: np.ndarray,
    maps_at: int,
    maps_stride: int,
    run: int,
    row_stride: int,
    n_runs: int,
    panels: np.ndarray,
    panel_at: int,
    n_positions: int,
) -> None:
    """One row of a convolution with a panel of filters, on flat arrays.

    With channels last, a filter covers `n_runs` runs of `run` neighboring numbers, one in each row; the next position
    is `maps_stride` numbers further, which is the number of channels. A panel holds the first numbers of all
    filters, then the second numbers, and so on.
    """
    width = panel_width(result.dtype)
    panel = panels[panel_at : panel_at + n_runs * run * width].reshape(n_runs, run, width)
    for position in range(n_positions):
        total = np.zeros(width, result.dtype)
        for k in range(n_runs):
            start = maps_at + position * maps_stride + k * row_stride
            total += maps[start : start + run] @ panel[k]
        to = result_at + position * result_stride
        result[to : to + width] = total


@primitive(_convolve_panel)
def convolve_panel(
    typing: Any,
    result: Any,
    result_at: Any,
    result_stride: Any,
    maps: Any,
    maps_at: Any,
    maps_stride: Any,
    run: Any,
    row_stride: Any,
    n_runs: Any,
    panels: Any,
    panel_at: Any,
    n_positions: Any,
) -> Any:
    """One row of a convolution with a panel of filters; see the reference above."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        to, to_at, to_stride, source, source_at, step, length, distance, runs, flat, flat_at, count = arguments
        vectors = Vectors(context, builder, result.dtype)
        to = pointer(context, builder, result, to, to_at)
        source = pointer(context, builder, maps, source, source_at)
        flat = pointer(context, builder, panels, flat, flat_at)
        width = _VECTORS * vectors.length

        def tile(n_rows: int) -> Any:
            def body(first: Any, _: Any) -> list[Any]:
                places = [
                    builder.gep(source, [builder.mul(builder.add(first, constant(r)), step)]) for r in range(n_rows)
                ]

                def add_run(k: Any, sums: list[Any]) -> list[Any]:
                    shift = builder.mul(k, distance)
                    starts = [builder.gep(place, [shift]) for place in places]
                    here = builder.gep(flat, [builder.mul(builder.mul(k, length), constant(width))])

                    def add_number(f: Any, sums: list[Any]) -> list[Any]:
                        numbers = [builder.gep(start, [f]) for start in starts]
                        return vectors.add_outer(numbers, builder.gep(here, [builder.mul(f, constant(width))]), sums)

                    return list(loop(builder, constant(0), length, 1, sums, add_number))

                sums = loop(builder, constant(0), runs, 1, [vectors.zero] * (n_rows * _VECTORS), add_run)
                for r in range(n_rows):
                    row = builder.gep(to, [builder.mul(builder.add(first, constant(r)), to_stride)])
                    vectors.store_all(sums[r * _VECTORS : (r + 1) * _VECTORS], row)
                return []

            return body

        start: ir.Value = constant(0)
        for n_rows in _TILES:
            whole = builder.sdiv(builder.sub(count, start), constant(n_rows))
            stop = builder.add(start, builder.mul(whole, constant(n_rows)))
            loop(builder, start, stop, n_rows, [], tile(n_rows))
            start = stop
        return context.get_dummy_value()

    n = types.int64
    return types.void(result, n, n, maps, n, n, n, n, n, panels, n, n), emit
