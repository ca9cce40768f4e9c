"""The loops of a stage over one image, maps last: filters, local statistics, normalization and pooling.

Roofline for a first stage of 64 filters of 9×9 on 143×143 (a core with AVX-512): 94 million multiplications and
additions at 32 per cycle take about 1 ms, and 1.2 million tanh, with the sums over maps, 0.9 ms while the maps are in
the cache. The maps, 4.7 MB, are written once and read once, for normalization and pooling together. One pass is not
enough, because the lower bound of the deviation is a mean over the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from striate.kernels import compiled, compiler, inlined
from striate.kernels.convolution import WIDTH, convolve_panel
from striate.kernels.smooth_shrinkage import inactive_share, smoothly_shrunk
from striate.kernels.tanh import tangent

__all__ = ["NONLINEARITIES", "compile_filter", "compile_neighborhood", "compile_pool"]

NONLINEARITIES = ("tanh", "shrink", "smooth shrink")
"""Those of `_filter`, which takes their numbers."""
_SHRINK, _SMOOTH_SHRINK = 1, 2


_index = types.int64
_row, _plane, _stack = (types.Array(types.float32, axes, "C") for axes in (1, 2, 3))
_fixed_row, _fixed_panels = (types.Array(types.float32, axes, "C", readonly=True) for axes in (1, 3))


@compiler()
def compile_filter() -> Any:
    """The compiled `_filter`."""
    return compiled(
        _filter,
        types.void(
            _index, _index, _stack, _index, _index, _fixed_panels, _index, _fixed_row, _fixed_row, _fixed_row,
            _fixed_row, _index, types.boolean, _stack, _plane, _plane,
        ),
    )  # fmt: skip


def _filter(
    first: int,
    last: int,
    maps: Any,
    height: int,
    width: int,
    panels: Any,
    at: int,
    bias: Any,
    gain: Any,
    threshold: Any,
    beta: Any,
    nonlinearity: int,
    rectify: bool,
    result: Any,
    sums: Any,
    squares: Any,
) -> None:
    """Compute rows `first` … `last` − 1 of the maps of some filters, from map `at` on, and add to the sums over maps.

    `maps` (rows, columns, n_inputs); `panels` (n_panels, height · width · n_inputs, WIDTH); bias, gain, threshold and
    beta (n_panels · WIDTH,), with gain 0 where a panel is padded; `result` (rows, columns, n_maps); `sums` and
    `squares` over maps (rows, columns).
    """
    n_columns, n_maps = result.shape[1], result.shape[2]
    n_inputs = maps.shape[2]
    row = maps.shape[1] * n_inputs
    n_numbers = panels.shape[1]
    flat_maps, flat_panels, flat_result = maps.reshape(-1), panels.reshape(-1), result.reshape(-1)
    for panel in range(len(panels)):  # the outermost loop, since a panel of a second stage takes much of the cache
        for y in range(first, last):
            convolve_panel(
                flat_result, y * n_columns * n_maps + at + panel * WIDTH, n_maps, flat_maps, y * row, n_inputs,
                width * n_inputs, row, height, flat_panels, panel * n_numbers * WIDTH, n_columns,
            )  # fmt: skip
    n = len(bias)
    share = np.empty(n, np.float32)
    if nonlinearity == _SMOOTH_SHRINK:
        for k in range(n):
            share[k] = inactive_share(threshold[k], beta[k])
    for y in range(first, last):
        for x in range(n_columns):
            cells = result[y, x, at : at + n]
            if nonlinearity == _SHRINK:
                for k in range(n):
                    value = cells[k] + bias[k]
                    low = threshold[k] if value > threshold[k] else value
                    cells[k] = gain[k] * (value - (low if low > -threshold[k] else -threshold[k]))
            elif nonlinearity == _SMOOTH_SHRINK:
                for k in range(n):
                    cells[k] = gain[k] * smoothly_shrunk(cells[k] + bias[k], threshold[k], beta[k], share[k])
            else:
                for k in range(n):
                    cells[k] = gain[k] * tangent(cells[k] + bias[k])
            if rectify:
                for k in range(n):
                    cells[k] = abs(cells[k])
            total, total_square = np.float32(0), np.float32(0)
            for k in range(n):
                total += cells[k]
                total_square += cells[k] * cells[k]
            sums[y, x] += total
            squares[y, x] += total_square


@compiler()
def compile_neighborhood() -> Any:
    """The compiled `_neighborhood`."""
    return compiled(_neighborhood, types.void(_plane, _plane, _index, _fixed_row))


def _neighborhood(sums: Any, squares: Any, n_maps: int, window: Any) -> None:
    """Sums over maps become the local mean g, sums of squares the factor 1 / max(mean σ, σ), in place.

    With m and q the means over maps of x and x², Σ w (x − g)² / n is Σ w (q − 2 g m + g²): the maps are not needed.
    """
    height, width = sums.shape
    share = np.float32(1 / n_maps)
    means = np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            means[y, x] = sums[y, x] * share
    _smooth(means, window, sums)
    for y in range(height):
        for x in range(width):
            g, m = sums[y, x], means[y, x]
            variance = squares[y, x] * share - g * (2 * m - g)
            means[y, x] = variance if variance > 0 else np.float32(0)
    _smooth(means, window, squares)
    total = 0.0
    for y in range(height):
        for x in range(width):
            squares[y, x] = np.sqrt(squares[y, x])
            total += squares[y, x]
    floor = np.float32(total / (height * width))
    for y in range(height):
        for x in range(width):
            deviation = squares[y, x] if squares[y, x] > floor else floor
            # A blank image stays 0.
            squares[y, x] = np.float32(1) / deviation if deviation > 0 else np.float32(0)


@inlined
def _smooth(values: Any, window: Any, result: Any) -> None:
    """Weighted means over a square window; at the borders, over its part inside the image."""
    height, width = values.shape
    reach = len(window) // 2
    across = np.zeros((height, width), np.float32)
    inside = np.zeros(width, np.float32)
    for k in range(len(window)):
        for x in range(max(0, reach - k), min(width, width + reach - k)):
            inside[x] += window[k]
    for y in range(height):
        row, to = values[y], across[y]
        for k in range(len(window)):
            low, high = max(0, reach - k), min(width, width + reach - k)
            shifted = row[low + k - reach : max(low, high) + k - reach]
            cells = to[low : max(low, high)]
            for x in range(len(cells)):
                cells[x] += window[k] * shifted[x]
        for x in range(width):
            to[x] /= inside[x]
    for y in range(height):
        to = result[y]
        to[:] = 0
        weight = np.float32(0)
        for k in range(max(0, reach - y), min(len(window), height + reach - y)):
            weight += window[k]
            row = across[y + k - reach]
            for x in range(width):
                to[x] += window[k] * row[x]
        for x in range(width):
            to[x] /= weight


@compiler()
def compile_pool() -> Any:
    """The compiled `_pool`."""
    return compiled(_pool, types.void(_index, _index, _stack, _plane, _plane, _index, _index, types.boolean, _stack))


def _pool(
    first: int, last: int, maps: Any, means: Any, factors: Any, size: int, stride: int, maximum: bool, result: Any
) -> None:
    """Rows `first` … `last` − 1 of pooled ``(maps − means) · factors``; `maps` (rows, columns, n_maps)."""
    n_columns, n_maps = result.shape[1], result.shape[2]
    width = (n_columns - 1) * stride + size
    share = np.float32(1 / (size * size))
    strip = np.empty((width, n_maps), np.float32)  # pooled over rows only
    for row in range(first, last):
        for k in range(size):
            y = row * stride + k
            for x in range(width):
                mean, factor = means[y, x], factors[y, x]
                if k == 0:
                    for c in range(n_maps):
                        strip[x, c] = (maps[y, x, c] - mean) * factor
                elif maximum:
                    for c in range(n_maps):
                        value = (maps[y, x, c] - mean) * factor
                        strip[x, c] = value if value > strip[x, c] else strip[x, c]
                else:
                    for c in range(n_maps):
                        strip[x, c] += (maps[y, x, c] - mean) * factor
        for column in range(n_columns):
            start = column * stride
            for c in range(n_maps):
                result[row, column, c] = strip[start, c]
            for k in range(1, size):
                if maximum:
                    for c in range(n_maps):
                        value = strip[start + k, c]
                        result[row, column, c] = value if value > result[row, column, c] else result[row, column, c]
                else:
                    for c in range(n_maps):
                        result[row, column, c] += strip[start + k, c]
            if not maximum:
                for c in range(n_maps):
                    result[row, column, c] *= share
