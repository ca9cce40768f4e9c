"""Coordinate descent for the code maps of a batch of images, pulled towards predicted maps: a few rounds, for learning.

A round computes all correlations of the batch by a matrix product. At each position, the coefficient that violates its
bound most joins those that are not 0; coordinate descent then sweeps over these, with the residual kept up to date.
Proximal steps are limited by the curvature of all maps together, which is in the hundreds for smooth filters: codes
that begin dense, as an encoder's do, would take hundreds of steps to become sparse. A coefficient that is moved by
itself meets only its own norm.

Roofline, for a crop of 36×36 and 64 filters of 9×9 on one core: a round's correlations are 8 Mflop, 0.3 ms by BLAS; a
coefficient's move is two passes over its window, about 0.1 µs, for some hundreds of coefficients and three sweeps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding.convolutional._kernels import kernel_types
from striate.coding.convolutional._layout import Layout
from striate.coding.convolutional.prepared_filters import PreparedFilters
from striate.coding.convolutional.windows import correlate, synthesize
from striate.kernels import compiled, compiler
from striate.kernels.windows import add_weighted_to_window, window_product

__all__ = ["infer_batch"]

_SWEEPS = 3  # over the coefficients of a round
_SHARE = 0.3  # of the range of violations that does not join in the first round; halved in each round


def infer_batch(
    images: NDArray[Any],
    filters: PreparedFilters,
    sparsity: float,
    *,
    rounds: int,
    target: NDArray[Any],
    prediction: float,
    weights: NDArray[Any],
) -> NDArray[Any]:
    """Maps near the minimum of ½‖m ⊙ (x − Σₖ dₖ * zₖ)‖² + sparsity·Σ|z| + ½·prediction·‖z − target‖².

    Parameters
    ----------
    images : float32 or float64 (n_images, channels, height, width)
    filters : PreparedFilters
    sparsity : float
    rounds : int
    target : (n_images, n_maps, n_rows, n_columns)
        The predicted maps. Those that are nearest to them and sparse, shrunk by sparsity / prediction, are the start.
    prediction : float
        With 0, the target is only the start, shrunk by the sparsity.
    weights : (height, width)
        The squares of m.

    Returns
    -------
    ndarray (n_images, n_maps, n_rows, n_columns)
        Inactive coefficients are exactly 0.
    """
    dtype = images.dtype
    real = dtype.type
    layout, arrays = Layout.of(images.shape[1:], filters.filters.shape), filters.arrays(dtype)
    plain = filters.filters.astype(dtype, copy=False)
    threshold = real(sparsity / prediction if prediction > 0 else sparsity)
    maps = np.sign(target) * np.maximum(np.abs(target) - threshold, real(0))
    # The images as kernels need them, and the same numbers as (n_images, channels, height, width).
    rows = np.zeros((len(images), layout.height, layout.n_channels, layout.length), dtype)
    residual = rows[..., : layout.width].transpose(0, 2, 1, 3)
    residual[:] = weights * (images - synthesize(maps, plain) if maps.any() else images)
    of_rows = layout.rows_of(np.broadcast_to(weights, images.shape[1:]), dtype)
    numbers = real(sparsity), real(prediction)
    kernel, share = _compile_round(dtype), _SHARE
    for _ in range(rounds):
        kernel(
            correlate(residual, plain), target, arrays.windows, arrays.squares, of_rows, layout.n_channels, *numbers,
            real(share), _SWEEPS, maps, rows.reshape(len(images), -1, layout.length),
        )  # fmt: skip
        share *= 0.5
    return maps


@compiler("float32", "float64")
def _compile_round(dtype: np.dtype[Any]) -> Callable[..., None]:
    """The compiled `_round` for float32 or float64."""
    from numba import types

    real, read, written = kernel_types(dtype)
    return compiled(
        _round,
        types.void(
            read(real, 4), read(real, 4), read(real, 3), read(real, 3), read(real, 2), types.int64, real, real, real,
            types.int64, written(real, 4), written(real, 3),
        ),
    )  # fmt: skip


def _round(
    correlations: Any,
    target: Any,
    windows: Any,
    squares: Any,
    weights: Any,
    n_channels: int,
    sparsity: Any,
    prediction: Any,
    share: Any,
    n_sweeps: int,
    maps: Any,
    residuals: Any,
) -> None:
    """Let coefficients join, then sweep over all that are not 0; `maps` and the weighted `residuals` are updated.

    `correlations` are those of the residuals. Where a coefficient is 0, it should move if its correlation, with the
    target's pull, is above the sparsity; `share` of the range between the sparsity and the highest of an image does not
    join. `windows` are the filters and `squares` their squares, (n_maps, n_runs, whole vectors); `residuals` (n_images,
    rows, length) and `weights` (rows, length) are images in the order of `Layout`.
    """
    n_images, n_maps, n_rows, n_columns = maps.shape
    n_runs, length, row = windows.shape[1], windows.shape[2], weights.shape[1]
    size = n_runs * length
    flat_windows, flat_squares, flat_weights = windows.reshape(-1), squares.reshape(-1), weights.reshape(-1)
    zero = sparsity - sparsity
    n_positions = n_rows * n_columns
    strengths = np.empty(n_positions, maps.dtype)
    strongest = np.empty(n_positions, np.int64)
    units, positions = np.empty(n_maps * n_positions, np.int64), np.empty(n_maps * n_positions, np.int64)
    norms = np.empty(n_maps * n_positions, maps.dtype)
    for n in range(n_images):
        codes, wanted = maps[n].reshape(n_maps, n_positions), target[n].reshape(n_maps, n_positions)
        drive, residual = correlations[n].reshape(n_maps, n_positions), residuals[n].reshape(-1)
        strengths[:] = 0
        strongest[:] = -1
        highest = zero
        for k in range(n_maps):
            for p in range(n_positions):
                value = abs(drive[k, p] + prediction * wanted[k, p])
                if codes[k, p] == 0 and value > strengths[p]:
                    strengths[p] = value
                    strongest[p] = k
        for p in range(n_positions):
            highest = max(highest, strengths[p])
        limit = sparsity + share * max(highest - sparsity, zero)
        count = 0
        for p in range(n_positions):
            place = (p // n_columns) * n_channels * row + p % n_columns
            for k in range(n_maps):
                if codes[k, p] != 0 or (strongest[p] == k and strengths[p] > limit):
                    norm = window_product(flat_weights, place, row, flat_squares, k * size, length, n_runs)
                    units[count], positions[count], norms[count] = k, p, norm + prediction
                    count += 1
        for sweep in range(n_sweeps):
            for step in range(count):
                a = step if sweep % 2 == 0 else count - 1 - step
                k, p, norm = units[a], positions[a], norms[a]
                place = (p // n_columns) * n_channels * row + p % n_columns
                old = codes[k, p]
                pull = prediction * (wanted[k, p] - old) + norm * old
                product = window_product(residual, place, row, flat_windows, k * size, length, n_runs) + pull
                new = zero
                if norm > zero:
                    if product > sparsity:
                        new = (product - sparsity) / norm
                    elif product < -sparsity:
                        new = (product + sparsity) / norm
                change = new - old
                if change != 0:
                    codes[k, p] = new
                    add_weighted_to_window(
                        residual, place, row, -change, flat_windows, k * size, length, n_runs, flat_weights
                    )
