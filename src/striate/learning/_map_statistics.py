"""The sufficient statistics of code maps for their filters: products of maps at all shifts, and of maps with images.

Only coefficients that are not 0 count. A row of them is in order of columns, so that those within reach of a
coefficient are found by walking on; each pair is met once, and added at its shift and at the opposite one. With n
active coefficients, of which m lie in a window, this takes n·m additions at scattered places of the statistics, some
nanoseconds each, and n·h·w multiplications for the products with the image: little beside finding the codes.

With a mask, the products of maps would differ from pixel to pixel. `completed` gives an image whose hidden pixels are
those of the reconstruction: its error, without a mask, is nowhere below that of the masked image, and equal for the
filters as they are, so that filters which lower it lower the masked error as well (the EM algorithm; for learning from
a stream of such bounds, Mairal, "Stochastic majorization-minimization algorithms for large-scale optimization", 2013).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding import SparseMaps
from striate.kernels import compiled, compiler

__all__ = ["active_per_position", "add_statistics", "completed", "n_positions"]


def add_statistics(
    codes: SparseMaps,
    image: NDArray[Any],
    code_products: NDArray[np.float64],
    image_products: NDArray[np.float64],
    *,
    weight: float = 1.0,
) -> None:
    """Add the statistics of one image, in place.

    Parameters
    ----------
    codes : SparseMaps
        Sorted by row, then column, as solvers return them.
    image : (channels, height, width)
    code_products : float64 (n_components, n_components, 2·height − 1, 2·width − 1)
        ``[k, l, height − 1 + s, width − 1 + t]`` is the sum over positions of the coefficient of map k times that of
        map l which lies s rows down and t columns to the right.
    image_products : float64 (n_components, channels, height, width)
        The image's windows at a map's coefficients, each times its coefficient.
    weight : float
        How much the image counts.
    """
    maps, rows, columns = (np.ascontiguousarray(axis, np.int64) for axis in codes.coordinates.T)
    starts = np.searchsorted(rows, np.arange(codes.shape[1] + 1)).astype(np.int64)
    values = np.ascontiguousarray(codes.values, np.float64)
    image = np.ascontiguousarray(image, np.float64)
    _compile()(maps, rows, columns, values, starts, image, float(weight), code_products, image_products)


def n_positions(codes: Sequence[SparseMaps]) -> int:
    """Positions of the filters in all images."""
    return sum(maps.shape[1] * maps.shape[2] for maps in codes)


def active_per_position(codes: Sequence[SparseMaps]) -> float:
    """Coefficients that are not 0 per position, over all maps."""
    return sum(len(maps.values) for maps in codes) / n_positions(codes)


def completed(
    image: NDArray[Any], mask: NDArray[np.float64], reconstruction: NDArray[Any]
) -> tuple[NDArray[np.float64], float]:
    """An image without hidden pixels, and its weight, whose error bounds that of the masked image.

    For all r, ½‖mask ⊙ (image − r)‖² ≤ ½ weight ‖completed − r‖² + a constant, with equality where r is the
    reconstruction.

    Parameters
    ----------
    image, mask, reconstruction : (channels, height, width)
    """
    squares = np.square(mask, dtype=np.float64)
    weight = float(squares.max())
    shares = squares / weight if weight > 0 else squares
    return shares * image + (1 - shares) * reconstruction, weight


@compiler()
def _compile() -> Callable[..., None]:
    from numba import types

    def read(element: Any, n_dimensions: int) -> Any:
        return types.Array(element, n_dimensions, "C", readonly=True)

    integers, reals, written = read(types.int64, 1), read(types.float64, 1), types.Array(types.float64, 4, "C")
    signature = types.void(
        integers, integers, integers, reals, integers, read(types.float64, 3), types.float64, written, written
    )
    return compiled(_add, signature)


def _add(
    maps: Any,
    rows: Any,
    columns: Any,
    values: Any,
    starts: Any,
    image: Any,
    weight: float,
    code_products: Any,
    image_products: Any,
) -> None:
    n, n_rows = len(values), len(starts) - 1
    n_channels, height, width = image_products.shape[1], image_products.shape[2], image_products.shape[3]
    for a in range(n):
        k, row, column, value = maps[a], rows[a], columns[a], weight * values[a]
        for c in range(n_channels):
            for i in range(height):
                for j in range(width):
                    image_products[k, c, i, j] += value * image[c, row + i, column + j]
        code_products[k, k, height - 1, width - 1] += value * values[a]
        for s in range(min(height, n_rows - row)):
            first = starts[row + s]
            if s == 0:
                first = a + 1
            else:
                # Bisection: the first coefficient of the row that is within reach.
                last = starts[row + s + 1]
                while first < last:
                    middle = (first + last) // 2
                    if columns[middle] <= column - width:
                        first = middle + 1
                    else:
                        last = middle
            for b in range(first, starts[row + s + 1]):
                t = columns[b] - column
                if t >= width:
                    break
                other, product = maps[b], value * values[b]
                code_products[k, other, height - 1 + s, width - 1 + t] += product
                code_products[other, k, height - 1 - s, width - 1 - t] += product
