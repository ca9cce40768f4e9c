"""Vector loops over a window of several images at once: products with the fields of a tile of units, and their sums.

Numbers of images that belong to the same pixel are neighbors, ``TOGETHER`` of them: two vectors. A tile is 2×2 units,
whose windows overlap but for a row and a column, so that a vector of pixels is loaded once for four units. A tile's
fields are stored pixel by pixel of the window that covers all four, four numbers for each, 0 outside of a unit's own
field.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types

from striate.kernels.vectors import Vectors, constant, loop, pointer, primitive

__all__ = ["TILE", "TOGETHER", "add_tile", "tile_outer", "tile_products"]

TILE = 2  # rows and columns of units
TOGETHER = {np.dtype(np.float32): 32, np.dtype(np.float64): 16}  # images
_UNITS = TILE * TILE
_VECTORS = 2
_Body = Callable[[Any, list[Any], list[Any]], list[Any]]


def _views(
    z: np.ndarray, z_at: int, z_row: int, x: np.ndarray, x_at: int, x_row: int, n_rows: int, n_columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the tile, (4, images), and its window of the images, (rows, columns, images)."""
    n, size = TOGETHER[x.dtype], x.itemsize
    codes = np.lib.stride_tricks.as_strided(z[z_at:], (TILE, TILE, n), (z_row * size, n * size, size))
    window = np.lib.stride_tricks.as_strided(x[x_at:], (n_rows, n_columns, n), (x_row * size, n * size, size))
    return codes, window


def _fields(f: np.ndarray, f_at: int, n_rows: int, n_columns: int) -> np.ndarray:
    return f[f_at : f_at + n_rows * n_columns * _UNITS].reshape(n_rows, n_columns, TILE, TILE)


def _tile_products(
    z: np.ndarray, z_at: int, z_row: int, x: np.ndarray, x_at: int, x_row: int, f: np.ndarray, f_at: int,
    n_rows: int, n_columns: int,
) -> None:  # fmt: skip
    """Add to the codes of a tile the products of its fields with its window."""
    codes, window = _views(z, z_at, z_row, x, x_at, x_row, n_rows, n_columns)
    codes += np.einsum("ijrc,ijb->rcb", _fields(f, f_at, n_rows, n_columns), window)


@primitive(_tile_products)
def tile_products(
    typing: Any, z: Any, z_at: Any, z_row: Any, x: Any, x_at: Any, x_row: Any, f: Any, f_at: Any, n_rows: Any,
    n_columns: Any,
) -> Any:  # fmt: skip
    """Add to the codes of a tile the products of its fields with its window."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        vectors, places, window = _pointers(context, builder, (z, x, f), arguments)

        def add(pixel: Any, fields: list[Any], sums: list[Any]) -> list[Any]:
            return list(vectors.add_outer(fields, pixel, sums))

        sums = _over_window(builder, window, [vector for place in places for vector in _loaded(vectors, place)], add)
        for u, place in enumerate(places):
            vectors.store_all(sums[u * _VECTORS : (u + 1) * _VECTORS], place)
        return context.get_dummy_value()

    return _signature(z, x, f), emit


def _add_tile(
    z: np.ndarray, z_at: int, z_row: int, x: np.ndarray, x_at: int, x_row: int, f: np.ndarray, f_at: int,
    n_rows: int, n_columns: int,
) -> None:  # fmt: skip
    """Add to the window of a tile its fields, each times its code."""
    codes, window = _views(z, z_at, z_row, x, x_at, x_row, n_rows, n_columns)
    window += np.einsum("ijrc,rcb->ijb", _fields(f, f_at, n_rows, n_columns), codes)


@primitive(_add_tile)
def add_tile(
    typing: Any, z: Any, z_at: Any, z_row: Any, x: Any, x_at: Any, x_row: Any, f: Any, f_at: Any, n_rows: Any,
    n_columns: Any,
) -> Any:  # fmt: skip
    """Add to the window of a tile its fields, each times its code."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        vectors, places, window = _pointers(context, builder, (z, x, f), arguments)
        codes = [_loaded(vectors, place) for place in places]

        def add(pixel: Any, fields: list[Any], _: list[Any]) -> list[Any]:
            sums = _loaded(vectors, pixel)
            for code, place in zip(codes, fields, strict=True):
                weight = vectors.repeat(builder.load(place))
                sums = [vectors.multiply_add(weight, code[v], sums[v]) for v in range(_VECTORS)]
            vectors.store_all(sums, pixel)
            return []

        _over_window(builder, window, [], add)
        return context.get_dummy_value()

    return _signature(z, x, f), emit


def _tile_outer(
    z: np.ndarray, z_at: int, z_row: int, x: np.ndarray, x_at: int, x_row: int, f: np.ndarray, f_at: int,
    n_rows: int, n_columns: int,
) -> None:  # fmt: skip
    """Add to the fields of a tile the products of its codes with its window, summed over the images."""
    codes, window = _views(z, z_at, z_row, x, x_at, x_row, n_rows, n_columns)
    _fields(f, f_at, n_rows, n_columns)[...] += np.einsum("rcb,ijb->ijrc", codes, window)


@primitive(_tile_outer)
def tile_outer(
    typing: Any, z: Any, z_at: Any, z_row: Any, x: Any, x_at: Any, x_row: Any, f: Any, f_at: Any, n_rows: Any,
    n_columns: Any,
) -> Any:  # fmt: skip
    """Add to the fields of a tile the products of its codes with its window, summed over the images."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        vectors, places, window = _pointers(context, builder, (z, x, f), arguments)
        codes = [_loaded(vectors, place) for place in places]

        def add(pixel: Any, fields: list[Any], _: list[Any]) -> list[Any]:
            values = _loaded(vectors, pixel)
            for code, place in zip(codes, fields, strict=True):
                total = builder.fmul(code[0], values[0])
                for v in range(1, _VECTORS):
                    total = vectors.multiply_add(code[v], values[v], total)
                builder.store(builder.fadd(builder.load(place), vectors.reduce(total, builder.fadd)), place)
            return []

        _over_window(builder, window, [], add)
        return context.get_dummy_value()

    return _signature(z, x, f), emit


def _signature(z: Any, x: Any, f: Any) -> Any:
    integer = types.int64
    return types.void(z, integer, integer, x, integer, integer, f, integer, integer, integer)


class _Window(NamedTuple):
    """A tile's window: the first pixel, numbers between its rows, the tile's fields, rows and columns."""

    first: Any
    row: Any
    fields: Any
    n_rows: Any
    n_columns: Any
    width: int  # numbers of a pixel


def _pointers(context: Any, builder: Any, kinds: Any, arguments: Any) -> tuple[Vectors, list[Any], _Window]:
    """The vectors, the four places of the codes, and the window."""
    codes, codes_at, codes_row, image, image_at, image_row, flat, flat_at, rows, columns = arguments
    vectors = Vectors(context, builder, kinds[0].dtype)
    first = pointer(context, builder, kinds[0], codes, codes_at)
    width = _VECTORS * vectors.length
    below = builder.gep(first, [codes_row])
    places = [place for left in (first, below) for place in (left, builder.gep(left, [constant(width)]))]
    image = pointer(context, builder, kinds[1], image, image_at)
    fields = pointer(context, builder, kinds[2], flat, flat_at)
    return vectors, places, _Window(image, image_row, fields, rows, columns, width)


def _over_window(builder: Any, window: _Window, carried: list[Any], body: _Body) -> list[Any]:
    """Call ``body(pixel, fields, carried)`` for each pixel of a window, with the places of its four weights."""

    def over_rows(i: Any, carried: list[Any]) -> list[Any]:
        start = builder.gep(window.first, [builder.mul(i, window.row)])
        fields = builder.gep(window.fields, [builder.mul(builder.mul(i, window.n_columns), constant(_UNITS))])

        def over_columns(j: Any, carried: list[Any]) -> list[Any]:
            pixel = builder.gep(start, [builder.mul(j, constant(window.width))])
            places = [builder.gep(fields, [builder.add(builder.mul(j, constant(_UNITS)), constant(u))])
                      for u in range(_UNITS)]  # fmt: skip
            return body(pixel, places, carried)

        return list(loop(builder, constant(0), window.n_columns, 1, carried, over_columns))

    return list(loop(builder, constant(0), window.n_rows, 1, carried, over_rows))


def _loaded(vectors: Any, place: Any) -> list[Any]:
    return [vectors.load(vectors.builder.gep(place, [constant(v * vectors.length)])) for v in range(_VECTORS)]
