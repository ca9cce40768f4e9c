"""The loops of a stage in training: tanh, absolute value, local contrast normalization and averages, and their slopes.

Roofline for 64 maps of 135×135 (a core with AVX-512): torch's own operations read or write the maps, 4.7 MB each, about
30 times for a forward and a backward pass, which took longer than the convolutions. Here a forward pass computes the
tangent in place, 1.2 million of them in 0.5 ms, and reads it once more for normalization and pooling; a backward pass
reads it twice, and writes the slopes in its place. Only sums over maps are kept beside it, which the windows see.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from striate.kernels import compiled, compiler, inlined
from striate.kernels.tanh import tangent

__all__ = ["compile_activate", "compile_average", "compile_slope_sums", "compile_slopes"]

_index, _is = types.int64, types.boolean
_row, _plane, _maps, _batch = (types.Array(types.float32, axes, "C") for axes in (1, 2, 3, 4))
_fixed_row = types.Array(types.float32, 1, "C", readonly=True)


@compiler()
def compile_activate() -> Any:
    """The compiled `_activate`."""
    return compiled(_activate, types.void(_index, _index, _batch, _fixed_row, _fixed_row, _is, _maps, _maps))


def _activate(first: int, last: int, maps: Any, bias: Any, gain: Any, rectify: bool, means: Any, squares: Any) -> None:
    """Rows `first` … `last` − 1 of all images: maps become their tangent; means over maps of the response x and x².

    `maps` (n, height, width, n_maps); `bias` and `gain` (n_maps,); `means` and `squares` (n, height, width).
    """
    height, n_maps = maps.shape[1], maps.shape[3]
    share = np.float32(1 / n_maps)
    for at in range(first, last):
        image, y = at // height, at % height
        for x in range(maps.shape[2]):
            cells = maps[image, y, x]
            total, total_square = np.float32(0), np.float32(0)
            for k in range(n_maps):
                cells[k] = tangent(cells[k] + bias[k])
            for k in range(n_maps):
                value = gain[k] * cells[k]
                value = abs(value) if rectify else value
                total += value
                total_square += value * value
            means[image, y, x], squares[image, y, x] = total * share, total_square * share


@compiler()
def compile_average() -> Any:
    """The compiled `_average`."""
    return compiled(_average, types.void(_index, _index, _batch, _fixed_row, _is, _maps, _maps, _index, _index, _batch))


def _average(
    first: int,
    last: int,
    tangents: Any,
    gain: Any,
    rectify: bool,
    local: Any,
    factors: Any,
    size: int,
    stride: int,
    result: Any,
) -> None:
    """Rows `first` … `last` − 1 of all images' averages of ``(x − local) · factors`` over windows.

    `tangents` (n, height, width, n_maps); `local` and `factors` (n, height, width); `result` (n, rows, columns,
    n_maps).
    """
    n_rows, n_columns, n_maps = result.shape[1], result.shape[2], result.shape[3]
    width = (n_columns - 1) * stride + size
    share = np.float32(1 / (size * size))
    strip = np.empty((width, n_maps), np.float32)  # sums over rows only
    for at in range(first, last):
        image, row = at // n_rows, at % n_rows
        strip[:] = 0
        for y in range(row * stride, row * stride + size):
            for x in range(width):
                mean, factor = local[image, y, x], factors[image, y, x]
                cells, to = tangents[image, y, x], strip[x]
                if rectify:
                    for k in range(n_maps):
                        to[k] += (abs(gain[k] * cells[k]) - mean) * factor
                else:
                    for k in range(n_maps):
                        to[k] += (gain[k] * cells[k] - mean) * factor
        for column in range(n_columns):
            to = result[image, row, column]
            to[:] = 0
            for x in range(column * stride, column * stride + size):
                for k in range(n_maps):
                    to[k] += strip[x, k]
            for k in range(n_maps):
                to[k] *= share


@inlined
def _sum_rows(given: Any, image: int, y: int, size: int, stride: int, result: Any) -> None:
    """The slopes of the windows that see row `y`, added over rows of windows: `result` (columns, n_maps)."""
    share = np.float32(1 / (size * size))
    result[:] = 0
    for row in range(max(0, (y - size) // stride + 1), min(given.shape[1], y // stride + 1)):
        for column in range(given.shape[2]):
            for k in range(given.shape[3]):
                result[column, k] += given[image, row, column, k] * share


@inlined
def _sum_columns(rows: Any, x: int, size: int, stride: int, result: Any) -> None:
    """The slopes of one pixel of all maps, (n_maps,), from those that `_sum_rows` has found for its row."""
    result[:] = 0
    for column in range(max(0, (x - size) // stride + 1), min(len(rows), x // stride + 1)):
        for k in range(len(result)):
            result[k] += rows[column, k]


@compiler()
def compile_slope_sums() -> Any:
    """The compiled `_slope_sums`."""
    return compiled(
        _slope_sums, types.void(_index, _index, _batch, _index, _index, _batch, _fixed_row, _is, _maps, _maps)
    )


def _slope_sums(
    first: int,
    last: int,
    given: Any,
    size: int,
    stride: int,
    tangents: Any,
    gain: Any,
    rectify: bool,
    sums: Any,
    products: Any,
) -> None:
    """Rows `first` … `last` − 1 of all images: sums over maps of the slopes, and of their products with responses.

    `given` (n, rows, columns, n_maps), the slopes of the averages; `sums` and `products` (n, height, width).
    """
    height, width, n_maps = tangents.shape[1], tangents.shape[2], tangents.shape[3]
    of_row, of_pixel = np.empty((given.shape[2], n_maps), np.float32), np.empty(n_maps, np.float32)
    for at in range(first, last):
        image, y = at // height, at % height
        _sum_rows(given, image, y, size, stride, of_row)
        for x in range(width):
            _sum_columns(of_row, x, size, stride, of_pixel)
            cells = tangents[image, y, x]
            total, product = np.float32(0), np.float32(0)
            for k in range(n_maps):
                value = gain[k] * cells[k]
                value = abs(value) if rectify else value
                total += of_pixel[k]
                product += of_pixel[k] * value
            sums[image, y, x], products[image, y, x] = total, product


@compiler()
def compile_slopes() -> Any:
    """The compiled `_slopes`."""
    return compiled(
        _slopes,
        types.void(
            _index, _index, _batch, _index, _index, _batch, _fixed_row, _is, _maps, _maps, _maps, _maps, _plane, _plane
        ),
    )


def _slopes(
    first: int,
    last: int,
    given: Any,
    size: int,
    stride: int,
    tangents: Any,
    gain: Any,
    rectify: bool,
    local: Any,
    factors: Any,
    of_response: Any,
    constant: Any,
    of_gain: Any,
    of_bias: Any,
) -> None:
    """Rows `first` … `last` − 1 of all images: the slopes of the filters' responses replace the tangents.

    That of the response x is ``slope · factors + (x − local) · of_response − constant``; all but the slope (n, height,
    width). `of_gain` and `of_bias` (n · height, n_maps): the slopes of gains and biases, for each row of the images.
    """
    height, width, n_maps = tangents.shape[1], tangents.shape[2], tangents.shape[3]
    of_row, of_pixel = np.empty((given.shape[2], n_maps), np.float32), np.empty(n_maps, np.float32)
    one = np.float32(1)
    for at in range(first, last):
        image, y = at // height, at % height
        _sum_rows(given, image, y, size, stride, of_row)
        gains, biases = of_gain[at], of_bias[at]
        gains[:] = 0
        biases[:] = 0
        for x in range(width):
            _sum_columns(of_row, x, size, stride, of_pixel)
            cells = tangents[image, y, x]
            mean, factor = local[image, y, x], factors[image, y, x]
            linear, less = of_response[image, y, x], constant[image, y, x]
            for k in range(n_maps):
                tanh = cells[k]
                value = gain[k] * tanh
                size_of = abs(value) if rectify else value
                slope = of_pixel[k] * factor + (size_of - mean) * linear - less
                if rectify:  # as of torch's absolute value, 0 at 0
                    slope = slope if value > 0 else (-slope if value < 0 else np.float32(0))
                gains[k] += slope * tanh
                slope *= gain[k] * (one - tanh * tanh)
                biases[k] += slope
                cells[k] = slope
