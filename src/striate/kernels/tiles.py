"""Vector loops over a window of several images at once: products with the fields of a tile of units, and their sums.

Numbers of images that belong to the same pixel are neighbors, ``TOGETHER`` of them: two vectors. A tile is 2×2 units,
whose windows overlap but for a row and a column, so that a vector of pixels is loaded once for four units. A tile's
fields are stored pixel by pixel of the window that covers all four, four numbers for each, 0 outside of a unit's own
field.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from striate.kernels.vectors import Vectors, constant, loop, pointer, primitive

__all__ = ["TILE", "TOGETHER", "add_tile", "tile_outer", "tile_products"]

TILE = 2  # rows and columns of units
TOGETHER = {np.dtype(np.float32): 32, np.dtype(np.float64): 16}  # images
_UNITS = TILE * TILE
_VECTORS = 2


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
        places, at, row, flat, rows, columns, vectors = _pointers(context, builder, (z, x, f), arguments)
        width = _VECTORS * vectors.length

        def over_rows(i: Any, sums: list[Any]) -> list[Any]:
            start = builder.gep(at, [builder.mul(i, row)])
            fields = builder.gep(flat, [builder.mul(builder.mul(i, columns), constant(_UNITS))])

            def over_columns(j: Any, sums: list[Any]) -> list[Any]:
                pixel = builder.gep(start, [builder.mul(j, constant(width))])
                weights = [builder.gep(fields, [builder.add(builder.mul(j, constant(_UNITS)), constant(u))])
                           for u in range(_UNITS)]  # fmt: skip
                return vectors.add_outer(weights, pixel, sums)

            return list(loop(builder, constant(0), columns, 1, sums, over_columns))

        sums = [vector for place in places for vector in _loaded(vectors, place)]
        sums = list(loop(builder, constant(0), rows, 1, sums, over_rows))
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
        places, at, row, flat, rows, columns, vectors = _pointers(context, builder, (z, x, f), arguments)
        codes = [_loaded(vectors, place) for place in places]

        def over_rows(i: Any, _: Any) -> list[Any]:
            start = builder.gep(at, [builder.mul(i, row)])
            fields = builder.gep(flat, [builder.mul(builder.mul(i, columns), constant(_UNITS))])

            def over_columns(j: Any, _: Any) -> list[Any]:
                pixel = builder.gep(start, [builder.mul(j, constant(_VECTORS * vectors.length))])
                sums = _loaded(vectors, pixel)
                for u in range(_UNITS):
                    place = builder.gep(fields, [builder.add(builder.mul(j, constant(_UNITS)), constant(u))])
                    weight = vectors.repeat(builder.load(place))
                    sums = [vectors.multiply_add(weight, codes[u][v], sums[v]) for v in range(_VECTORS)]
                vectors.store_all(sums, pixel)
                return []

            loop(builder, constant(0), columns, 1, [], over_columns)
            return []

        loop(builder, constant(0), rows, 1, [], over_rows)
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
        places, at, row, flat, rows, columns, vectors = _pointers(context, builder, (z, x, f), arguments)
        codes = [_loaded(vectors, place) for place in places]

        def over_rows(i: Any, _: Any) -> list[Any]:
            start = builder.gep(at, [builder.mul(i, row)])
            fields = builder.gep(flat, [builder.mul(builder.mul(i, columns), constant(_UNITS))])

            def over_columns(j: Any, _: Any) -> list[Any]:
                pixel = _loaded(vectors, builder.gep(start, [builder.mul(j, constant(_VECTORS * vectors.length))]))
                for u in range(_UNITS):
                    total = builder.fmul(codes[u][0], pixel[0])
                    for v in range(1, _VECTORS):
                        total = vectors.multiply_add(codes[u][v], pixel[v], total)
                    place = builder.gep(fields, [builder.add(builder.mul(j, constant(_UNITS)), constant(u))])
                    builder.store(builder.fadd(builder.load(place), vectors.reduce(total, builder.fadd)), place)
                return []

            loop(builder, constant(0), columns, 1, [], over_columns)
            return []

        loop(builder, constant(0), rows, 1, [], over_rows)
        return context.get_dummy_value()

    return _signature(z, x, f), emit


def _signature(z: Any, x: Any, f: Any) -> Any:
    integer = types.int64
    return types.void(z, integer, integer, x, integer, integer, f, integer, integer, integer)


def _pointers(context: Any, builder: Any, kinds: Any, arguments: Any) -> tuple[Any, ...]:
    """The codes' four places; the window's, the distance of its rows; the fields'; rows, columns; and the vectors."""
    codes, codes_at, codes_row, image, image_at, image_row, flat, flat_at, rows, columns = arguments
    vectors = Vectors(context, builder, kinds[0].dtype)
    first = pointer(context, builder, kinds[0], codes, codes_at)
    width = constant(_VECTORS * vectors.length)
    below = builder.gep(first, [codes_row])
    places = [first, builder.gep(first, [width]), below, builder.gep(below, [width])]
    image = pointer(context, builder, kinds[1], image, image_at)
    return places, image, image_row, pointer(context, builder, kinds[2], flat, flat_at), rows, columns, vectors


def _loaded(vectors: Any, place: Any) -> list[Any]:
    return [vectors.load(vectors.builder.gep(place, [constant(v * vectors.length)])) for v in range(_VECTORS)]
