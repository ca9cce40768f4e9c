"""The majorize-minimize memory gradient method for a batch of codes, in one kernel.

With the pools' roots sₚ = √(Σⱼ wₚⱼ zⱼ² + ε), the penalty at z' is at most Σₚ ½(sₚ'²/sₚ + sₚ): the square of a
root is concave in its argument, and a quadratic touches it from above. The energy therefore has at every z a quadratic
majorizant with the matrix ``B = DDᵀ + prediction + sparsity·diag(m)``, where mⱼ = Σₚ wₚⱼ/sₚ. A step minimizes it over
the plane of the gradient, divided by the diagonal of B, and the last move. It never raises the energy, needs no
step size, and is as fast as conjugate gradients where sₚ no longer change.

Samples are the innermost axis, one panel of `panel_product` at a time, so that the product with the Gram matrix and all
loops are over adjacent numbers, and a block is solved to its end while it stays in the cache, by one thread.

Roofline, for 512 units on a core with AVX-512 in float32: a step of a block of 64 samples is 34 Mflop of products, 0.4
ms, and a dozen passes over arrays of 128 KB in the second-level cache, 0.05 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from striate.coding.topographic._pooling import pool_block, spread_block, window_types
from striate.kernels import compiled, compiler, inlined
from striate.kernels.exponential import ratio
from striate.kernels.products import BLOCK, multiply_block

__all__ = ["compile_descent"]

_DEPENDENT = 1e-6  # two directions span no plane if their determinant is this small, relative to their lengths


@compiler("float32", "float64")
def compile_descent(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_descend`."""
    real = types.float32 if dtype == np.float32 else types.float64
    table, blocks = types.Array(real, 2, "C", readonly=True), types.Array(real, 3, "C")
    index, wide = types.int64, types.float64
    return compiled(
        _descend,
        types.void(
            index, index, table, blocks, blocks, types.Array(wide, 2, "C"), *window_types(real), index, real, real,
            real, index, index, wide, types.Array(wide, 2, "C"), types.Array(types.int64, 2, "C"),
        ),
    )  # fmt: skip


def _descend(
    first: int,
    last: int,
    gram: Any,
    linear: Any,
    codes: Any,
    squares: Any,
    rows: Any,
    row_weights: Any,
    columns: Any,
    column_weights: Any,
    n_columns: int,
    sparsity: Any,
    epsilon: Any,
    prediction: Any,
    n_steps: int,
    between_checks: int,
    tolerance: float,
    gaps: Any,
    iterations: Any,
) -> None:
    """Blocks `first` … `last` − 1, each to its end: `n_steps` steps, or fewer if all its gaps are small.

    A sample whose gap is small takes no further step, so that its codes do not depend on the others of its block.

    `gram` (n_units, n_units); `linear` and `codes` (n_blocks, n_units, lanes); `squares` (n_blocks, lanes) are the
    squared norms of the signals, with those of √prediction times their targets; `rows` … `column_weights` are windows.
    Relative gaps are computed every `between_checks` steps, and at the end, into `gaps` (n_blocks, lanes); 0 is never.
    `iterations` (n_blocks, lanes) are the steps that each sample took.
    """
    n_units, n_lanes = codes.shape[1], codes.shape[2]
    zero = epsilon - epsilon
    work = np.empty((6, n_units, n_lanes), codes.dtype)
    product, move, move_product = work[0], work[1], work[2]  # an unpacked array would not be contiguous for numba
    direction, direction_product, slopes = work[3], work[4], work[5]
    sums = np.empty((len(rows) * len(columns), n_lanes), codes.dtype)
    inverses, strip = np.empty_like(sums), np.empty((n_columns, n_lanes), codes.dtype)
    totals, moves = np.empty((5, n_lanes), codes.dtype), np.empty(n_lanes, np.int64)
    for block in range(first, last):
        z, target = codes[block], linear[block]
        _multiply(gram, z, product)
        move[:] = zero
        move_product[:] = zero
        moves[:] = 1
        step = 0
        while True:
            pool_block(z, rows, row_weights, columns, column_weights, n_columns, strip, sums)
            for pool in range(len(sums)):
                to, inverse = sums[pool], inverses[pool]
                for b in range(n_lanes):
                    to[b] = np.sqrt(to[b] + epsilon)
                    inverse[b] = ratio(sparsity, to[b])
            spread_block(inverses, rows, row_weights, columns, column_weights, n_columns, strip, slopes)
            if between_checks > 0 and (step == n_steps or step % between_checks == 0):
                _multiply(gram, z, product)  # without the rounding errors of sums of steps
                _point(z, product, target, slopes, prediction, direction)
                pool_block(direction, rows, row_weights, columns, column_weights, n_columns, strip, inverses)
                _gap(z, product, target, squares[block], sums, inverses, sparsity, epsilon, prediction, gaps[block])
                moving = 0
                for b in range(n_lanes):
                    if gaps[block, b] <= tolerance:
                        moves[b] = 0
                    moving += moves[b]
                if moving == 0:
                    break
            if step == n_steps:
                break
            step += 1
            _direct(z, product, target, slopes, gram, prediction, direction)
            _multiply(gram, direction, direction_product)
            _coefficients(direction, direction_product, move, move_product, slopes, gram, prediction, moves, totals)
            _move(totals, direction, direction_product, move, move_product, z, product)
            for b in range(n_lanes):
                iterations[block, b] += moves[b]


@inlined
def _multiply(gram: Any, codes: Any, product: Any) -> None:
    """``product = gram @ codes`` for a block (n_units, lanes), which is a panel of `multiply_block`."""
    panel = codes.reshape((1, codes.shape[0], codes.shape[1]))
    for start in range(0, len(gram), BLOCK):
        multiply_block(gram, start, min(BLOCK, len(gram) - start), panel, product, start)


@inlined
def _direct(z: Any, product: Any, target: Any, slopes: Any, gram: Any, prediction: Any, direction: Any) -> None:
    """Minus the gradient, divided by the diagonal of the majorizant's matrix."""
    for unit in range(z.shape[0]):
        diagonal = gram[unit, unit] + prediction
        code, value, goal, slope, to = z[unit], product[unit], target[unit], slopes[unit], direction[unit]
        for b in range(z.shape[1]):
            gradient = value[b] + (prediction + slope[b]) * code[b] - goal[b]
            to[b] = -ratio(gradient, diagonal + slope[b])


@inlined
def _coefficients(
    direction: Any,
    of_direction: Any,
    move: Any,
    of_move: Any,
    slopes: Any,
    gram: Any,
    prediction: Any,
    moves: Any,
    totals: Any,
) -> None:
    """`totals[0]` and `totals[1]`: the shares of direction and last move in the step that minimizes the majorizant.

    They are 0 for samples that have no more `moves`.
    """
    n_lanes = direction.shape[1]
    zero = prediction - prediction
    totals[:] = zero
    dd, dm, mm, gd, gm = totals[0], totals[1], totals[2], totals[3], totals[4]
    for unit in range(direction.shape[0]):
        diagonal = gram[unit, unit] + prediction
        d, bd, m, bm, slope = direction[unit], of_direction[unit], move[unit], of_move[unit], slopes[unit]
        for b in range(n_lanes):
            own = prediction + slope[b]
            full = bd[b] + own * d[b]
            dd[b] += d[b] * full
            dm[b] += m[b] * full
            mm[b] += m[b] * (bm[b] + own * m[b])
            downhill = d[b] * (diagonal + slope[b])  # minus the gradient
            gd[b] += downhill * d[b]
            gm[b] += downhill * m[b]
    for b in range(n_lanes):
        of_d, of_both, of_m = np.float64(dd[b]), np.float64(dm[b]), np.float64(mm[b])
        down_d, down_m = np.float64(gd[b]), np.float64(gm[b])
        determinant = of_d * of_m - of_both * of_both
        if moves[b] == 0:
            dd[b] = zero
            dm[b] = zero
        elif determinant > _DEPENDENT * of_d * of_m:
            dd[b] = zero + (down_d * of_m - down_m * of_both) / determinant
            dm[b] = zero + (down_m * of_d - down_d * of_both) / determinant
        else:
            dd[b] = zero + (down_d / of_d if of_d > 0 else 0.0)
            dm[b] = zero


@inlined
def _move(totals: Any, direction: Any, of_direction: Any, move: Any, of_move: Any, z: Any, product: Any) -> None:
    """Take the step; `product` follows without another product with the Gram matrix."""
    ahead, onward = totals[0], totals[1]
    for unit in range(z.shape[0]):
        d, bd, m, bm, code, value = (
            direction[unit], of_direction[unit], move[unit], of_move[unit], z[unit], product[unit]
        )  # fmt: skip
        for b in range(z.shape[1]):
            m[b] = ahead[b] * d[b] + onward[b] * m[b]
            bm[b] = ahead[b] * bd[b] + onward[b] * bm[b]
            code[b] += m[b]
            value[b] += bm[b]


@inlined
def _point(z: Any, product: Any, target: Any, slopes: Any, prediction: Any, result: Any) -> None:
    """The residual's correlation with each unit over the unit's slope: the code itself, at the minimum."""
    for unit in range(z.shape[0]):
        code, value, goal, slope, to = z[unit], product[unit], target[unit], slopes[unit], result[unit]
        for b in range(z.shape[1]):
            to[b] = ratio(goal[b] - value[b] - prediction * code[b], slope[b])


@inlined
def _gap(
    z: Any,
    product: Any,
    target: Any,
    squares: Any,
    roots: Any,
    of_point: Any,
    sparsity: Any,
    epsilon: Any,
    prediction: Any,
    gaps: Any,
) -> None:
    """Relative duality gaps; see `certify_topographic`, which computes them from signals and codes alone."""
    n_units, n_lanes = z.shape
    n_pools = len(roots)
    floor, weight = np.sqrt(np.float64(epsilon)), np.float64(sparsity)
    sums = np.zeros((4, n_lanes))
    aligned, length, norm, beside = sums[0], sums[1], sums[2], sums[3]
    largest = np.ones(n_lanes)
    for unit in range(n_units):
        code, value, goal = z[unit], product[unit], target[unit]
        for b in range(n_lanes):
            one = np.float64(code[b])
            aligned[b] += one * goal[b]
            length[b] += one * (np.float64(value[b]) + prediction * one)
    for pool in range(n_pools):
        root, point = roots[pool], of_point[pool]
        for b in range(n_lanes):
            norm[b] += root[b]
            largest[b] = max(largest[b], np.float64(ratio(point[b], root[b] * root[b])))
    for pool in range(n_pools):
        root, point = roots[pool], of_point[pool]
        for b in range(n_lanes):
            share = np.float64(ratio(point[b], root[b] * root[b])) / largest[b]
            beside[b] += np.sqrt(max(0.0, 1 - share))
    for b in range(n_lanes):
        factor = 1 / np.sqrt(largest[b])
        residual = squares[b] - 2 * aligned[b] + length[b]
        primal = 0.5 * residual + weight * norm[b]
        dual = factor * (squares[b] - aligned[b]) - 0.5 * factor * factor * residual + weight * floor * beside[b]
        scale = 0.5 * squares[b] + weight * floor * n_pools
        gaps[b] = max(0.0, primal - dual) / scale if scale > 0 else 0.0
