"""The loops over local fields: products of all fields with images, their sums, and their products with codes.

A unit has its own field at its own place. Each of these loops passes over all fields once, for `TOGETHER` images at a
time, so that a field that comes from memory serves all of them, and four units share the pixels that are loaded
(`kernels.tiles`). Roofline: 2·441 multiplications for each unit with a field of 20×20, image and pass, two thirds of
the peak of a core; 10,000 fields are 18 MB that come from the third-level cache or memory once per pass, 4 GB/s.

Images are apart from each other and so are tiles of fields: threads that take some of either give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.kernels import compiled, compiler
from striate.kernels.simd import combine
from striate.kernels.tiles import add_tile, tile_outer, tile_products

__all__ = ["compile_outer", "compile_products", "compile_step", "compile_sums", "compile_windowed"]


def _types(dtype: np.dtype) -> tuple[Any, Callable[[int], Any], Callable[[int], Any]]:
    from numba import types

    real = types.float32 if dtype == np.float32 else types.float64
    return (
        real,
        lambda n: types.Array(real, n, "C", readonly=True),
        lambda n: types.Array(real, n, "C"),
    )


@compiler("float32", "float64")
def compile_products(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_products` for float32 or float64."""
    from numba import types

    _, read, written = _types(dtype)
    return compiled(_products, types.void(types.int64, types.int64, written(4), read(5), read(5)))


@compiler("float32", "float64")
def compile_sums(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_sums` for float32 or float64."""
    from numba import types

    _, read, written = _types(dtype)
    return compiled(_sums, types.void(types.int64, types.int64, read(4), written(5), read(5)))


@compiler("float32", "float64")
def compile_outer(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_outer` for float32 or float64."""
    from numba import types

    _, read, written = _types(dtype)
    return compiled(_outer, types.void(types.int64, types.int64, read(4), read(5), written(5), types.int64))


def _products(first: int, last: int, codes: Any, images: Any, fields: Any) -> None:
    """``codes[first:last]``, (groups, rows, columns, together): products of windows of the images with all fields.

    `images` are (groups, channels, height, width, together), and `fields` (tile rows, tile columns, channels,
    pixels of a tile's window, 4). Tiles repeat where there are more units than fields.
    """
    n_rows, n_columns, together = codes.shape[1:]
    channels, height, width = images.shape[1:4]
    side_rows, side_columns = height - n_rows + 2, width - n_columns + 2
    flat_codes, flat_images, flat_fields = codes.reshape(-1), images.reshape(-1), fields.reshape(-1)
    length = 4 * side_rows * side_columns
    for group in range(first, last):
        codes[group] = 0
        for row in range(0, n_rows, 2):
            for column in range(0, n_columns, 2):
                at = ((group * n_rows + row) * n_columns + column) * together
                tile = (row // 2 % fields.shape[0]) * fields.shape[1] + column // 2 % fields.shape[1]
                for channel in range(channels):
                    place = (((group * channels + channel) * height + row) * width + column) * together
                    tile_products(
                        flat_codes, at, n_columns * together, flat_images, place, width * together, flat_fields,
                        (tile * channels + channel) * length, side_rows, side_columns,
                    )  # fmt: skip


def _sums(first: int, last: int, codes: Any, images: Any, fields: Any) -> None:
    """``images[first:last]``: the sums of all fields, each times its code; shapes as in `_products`."""
    n_rows, n_columns, together = codes.shape[1:]
    channels, height, width = images.shape[1:4]
    side_rows, side_columns = height - n_rows + 2, width - n_columns + 2
    flat_codes, flat_images, flat_fields = codes.reshape(-1), images.reshape(-1), fields.reshape(-1)
    length = 4 * side_rows * side_columns
    for group in range(first, last):
        images[group] = 0
        for row in range(0, n_rows, 2):
            for column in range(0, n_columns, 2):
                at = ((group * n_rows + row) * n_columns + column) * together
                tile = (row // 2 % fields.shape[0]) * fields.shape[1] + column // 2 % fields.shape[1]
                for channel in range(channels):
                    place = (((group * channels + channel) * height + row) * width + column) * together
                    add_tile(
                        flat_codes, at, n_columns * together, flat_images, place, width * together, flat_fields,
                        (tile * channels + channel) * length, side_rows, side_columns,
                    )  # fmt: skip


def _outer(first: int, last: int, codes: Any, images: Any, fields: Any, n_groups: int) -> None:
    """Tile rows ``fields[first:last]``: sums over images and places of the codes times the windows of the images."""
    n_rows, n_columns, together = codes.shape[1:]
    channels, height, width = images.shape[1:4]
    side_rows, side_columns = height - n_rows + 2, width - n_columns + 2
    flat_codes, flat_images, flat_fields = codes.reshape(-1), images.reshape(-1), fields.reshape(-1)
    length = 4 * side_rows * side_columns
    for tile_row in range(first, last):
        fields[tile_row] = 0
        for row in range(2 * tile_row, n_rows, 2 * fields.shape[0]):
            for column in range(0, n_columns, 2):
                tile = tile_row * fields.shape[1] + column // 2 % fields.shape[1]
                for group in range(n_groups):
                    at = ((group * n_rows + row) * n_columns + column) * together
                    for channel in range(channels):
                        place = (((group * channels + channel) * height + row) * width + column) * together
                        tile_outer(
                            flat_codes, at, n_columns * together, flat_images, place, width * together, flat_fields,
                            (tile * channels + channel) * length, side_rows, side_columns,
                        )  # fmt: skip


@compiler("float32", "float64")
def compile_windowed(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_windowed` for float32 or float64."""
    from numba import types

    _, read, written = _types(dtype)
    integers = types.Array(types.int64, 1, "C", readonly=True)
    places = types.Array(types.int32, 1, "C", readonly=True)
    axis = (integers, places, read(1))
    return compiled(_windowed, types.void(read(3), written(3), written(3), read(1), *axis, *axis))


def _windowed(
    source: Any, half: Any, result: Any, zeros: Any, row_starts: Any, row_places: Any, row_shares: Any,
    column_starts: Any, column_places: Any, column_shares: Any,
) -> None:  # fmt: skip
    """Sums of `source` (rows, columns, together) over windows along both axes, in `result`.

    Row i of the result is the sum of the rows ``row_places[row_starts[i] : row_starts[i + 1]]``, each times its share;
    so are columns. `half` (rows of the result, columns of the source, together) is scratch, `zeros` a row of 0.
    """
    n_columns, together = source.shape[1:]
    n = n_columns * together
    one = source.dtype.type(1)
    flat = source.reshape(-1)
    for row in range(result.shape[0]):
        low = row_starts[row]
        line = half[row].reshape(-1)
        combine(line, zeros, one, row_shares[low:], row_places[low:], row_starts[row + 1] - low, flat, n, n)
        for column in range(result.shape[1]):
            low = column_starts[column]
            combine(
                result[row, column], zeros, one, column_shares[low:], column_places[low:],
                column_starts[column + 1] - low, line, together, together,
            )  # fmt: skip


@compiler("float32", "float64")
def compile_step(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_step` for float32 or float64."""
    from numba import types

    real, read, written = _types(dtype)
    return compiled(
        _step,
        types.void(read(2), read(2), read(2), written(2), written(2), real, real, written(1), read(1), written(1)),
    )


def _step(
    slopes: Any, curvatures: Any, codes: Any, ahead: Any, new: Any, bound: Any, alpha: Any, momentum: Any, grown: Any,
    turned: Any,
) -> None:  # fmt: skip
    """One step of majorization with momentum, for codes (units, together).

    `new` receives the minimum of the majorizer at `ahead`, (bound·ahead + slope) / (bound + α·curvature), where
    `slopes` are products of the fields with the residual there. Then `ahead` moves on beyond `new` by ``momentum · (new
    − codes)``, with the momentum of each image: `grown`, or 0 where the step was against the direction of the last one.
    """
    n_units, together = codes.shape
    turned[:] = 0
    for unit in range(n_units):
        for i in range(together):
            value = (bound * ahead[unit, i] + slopes[unit, i]) / (bound + alpha * curvatures[unit, i])
            turned[i] += (ahead[unit, i] - value) * (value - codes[unit, i])
            new[unit, i] = value
    for i in range(together):
        momentum[i] = grown[i] if turned[i] <= 0 else 0
    for unit in range(n_units):
        for i in range(together):
            ahead[unit, i] = new[unit, i] + momentum[i] * (new[unit, i] - codes[unit, i])
