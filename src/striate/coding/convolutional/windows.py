"""Convolutions of a batch of images of one size as matrix products with their windows.

The windows of an image at all positions of a filter are the columns of a matrix, a block of rows of positions at a
time. Correlations with all filters are then one product by BLAS, sums of filters its transpose, whose result is added
up at each place of a window.

Roofline: 16 crops of 25×25 and 64 filters of 9×9 take 2·64·81·289·16 = 48 Mflop, about a millisecond on a core with
AVX-512, and copying the windows a third of that. Codes that are nearly all 0 are added up faster coefficient by
coefficient (`PreparedFilters.reconstruct`); predicted ones are dense.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["correlate", "coverage", "products_with_windows", "synthesize", "windows_as_rows"]

_BLOCK = 1 << 20  # numbers of windows at a time: 4 MB in float32


def correlate(images: NDArray[Any], filters: NDArray[Any]) -> NDArray[Any]:
    """Correlations of images with filters, at all positions where a filter lies inside: the adjoint of `synthesize`.

    Parameters
    ----------
    images : float (n_images, channels, height, width)
    filters : float (n_maps, channels, filter_height, filter_width)

    Returns
    -------
    ndarray (n_images, n_maps, n_rows, n_columns)
    """
    n_maps, (n_rows, n_columns) = len(filters), _positions(images.shape, filters.shape)
    flat = filters.reshape(n_maps, -1)
    found = np.empty((len(images), n_maps, n_rows, n_columns), images.dtype)
    for rows, columns in _blocks(images, filters.shape):
        found[:, :, rows] = np.matmul(flat, columns).reshape(len(images), n_maps, -1, n_columns)
    return found


def synthesize(maps: NDArray[Any], filters: NDArray[Any]) -> NDArray[Any]:
    """The images that maps stand for: sums of their full convolutions with the filters.

    Parameters
    ----------
    maps : float (n_images, n_maps, n_rows, n_columns)
    filters : float (n_maps, channels, filter_height, filter_width)

    Returns
    -------
    ndarray (n_images, channels, n_rows + filter_height − 1, n_columns + filter_width − 1)
    """
    n_images, n_maps, n_rows, n_columns = maps.shape
    _, channels, height, width = filters.shape
    flat = np.ascontiguousarray(filters.reshape(n_maps, -1).T)
    images = np.zeros((n_images, channels, n_rows + height - 1, n_columns + width - 1), maps.dtype)
    for rows in _row_blocks(n_rows, n_images * flat.shape[0] * n_columns):
        part = maps[:, :, rows].reshape(n_images, n_maps, -1)
        windows = np.matmul(flat, part).reshape(n_images, channels, height, width, -1, n_columns)
        n = windows.shape[4]
        across = np.zeros((n_images, channels, height, n, images.shape[3]), maps.dtype)
        for j in range(width):
            across[..., j : j + n_columns] += windows[:, :, :, j]
        for i in range(height):
            images[:, :, rows.start + i : rows.start + i + n] += across[:, :, i]
    return images


def products_with_windows(maps: NDArray[Any], images: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """For each map, the sum of the images' windows, each times the coefficient at its position.

    For the residuals of images, this is the descent direction of the filters.

    Parameters
    ----------
    maps : float (n_images, n_maps, n_rows, n_columns)
    images : float (n_images, channels, height, width)
    shape : (n_maps, channels, filter_height, filter_width)

    Returns
    -------
    ndarray of this shape
    """
    total = np.zeros((shape[0], int(np.prod(shape[1:]))), images.dtype)
    for rows, columns in _blocks(images, shape):
        part = maps[:, :, rows].reshape(len(images), shape[0], -1)
        total += np.matmul(part, columns.swapaxes(1, 2)).sum(axis=0)
    return total.reshape(shape)


def windows_as_rows(images: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """All windows of images as patches: one a row, image by image, in order of positions.

    Returns
    -------
    ndarray (n_images · n_rows · n_columns, channels · height · width)
    """
    windows = sliding_window_view(images, (height, width), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1] * height * width)


def coverage(height: int, width: int, filter_height: int, filter_width: int) -> NDArray[np.float64]:
    """The share of the most-covered pixel's positions of a filter that cover each pixel of an image.

    Pixels near the border are covered by fewer positions, one only in the corners, so that codes explain them less
    well; these shares weight their errors.

    Returns
    -------
    float64 (height, width)
        At most 1; 1 at the pixels that the most positions cover.
    """

    def along(length: int, size: int) -> NDArray[np.float64]:
        return np.convolve(np.ones(length - size + 1), np.ones(size))

    counts = np.outer(along(height, filter_height), along(width, filter_width))
    return np.asarray(counts / counts.max())


def _positions(images_shape: tuple[int, ...], filters_shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of positions."""
    return images_shape[2] - filters_shape[2] + 1, images_shape[3] - filters_shape[3] + 1


def _row_blocks(n_rows: int, size_of_a_row: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(size_of_a_row, 1))
    return (slice(first, min(first + step, n_rows)) for first in range(0, n_rows, step))


def _blocks(images: NDArray[Any], shape: tuple[int, ...]) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Some rows of positions, and their windows, (n_images, numbers of a window, positions)."""
    n_rows, n_columns = _positions(images.shape, shape)
    length = int(np.prod(shape[1:]))
    for rows in _row_blocks(n_rows, len(images) * length * n_columns):
        # Windows of windows: one view for each place in a filter, whose rows are copied as a whole.
        seen = images[:, :, rows.start : rows.stop + shape[2] - 1]
        views = sliding_window_view(seen, (rows.stop - rows.start, n_columns), axis=(2, 3))
        yield rows, views.reshape(len(images), length, -1)
