"""The active-set kernel: exact codes by keeping the inverse of the support's Gram matrix.

For the units S that are active, with signs s, the optimum is z = M (c − λ w s), M = (D_S D_Sᵀ)⁻¹. Units whose
correlation with the residual exceeds λ w join, one after another: joining adds a row and a column to M, and moves z
along one column of M, until another unit's sign would change; a unit whose code reaches zero on the way leaves, and M
shrinks. When all candidates have joined, the correlations with all units are computed again, which gives the next
candidates and the duality gap. The gap decides when to stop.

This is feature-sign search (Lee et al. 2006) with three changes: many units join between two rounds over all of them;
each change of the support costs O(|S|²), not O(|S|³); and it stops at a duality gap, which is a certificate, and not
at a tolerance on signs. Asif and Romberg (2010) update the inverse in the same way for homotopy.

`_infer_one` is long on purpose: split into six functions that are inlined, it took a third longer to compile and up to
8 % longer to run.

Roofline, float32, on one core with AVX-512, whose fused multiply-adds peak at 64 flops per cycle. The correlations of a
signal with K units of p features, 2 K p flops, run at three quarters of that from packed panels, and are all that is
needed when few units are active: 144 × 256 takes 0.6 µs. A change of the support reads and writes |S|² numbers twice,
from the first-level cache up to |S| = 100. A round over all units reads |S| rows of the Gram matrix: the second-level
cache holds it up to K = 700, and beyond, with hundreds of active units, bandwidth of the third bounds everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from striate.coding._solver_kernel import gap_of_sums
from striate.coding._support import join, padded_length, remove
from striate.kernels import compiled, compiler, inlined
from striate.kernels.products import BLOCK, multiply_block
from striate.kernels.simd import LANES, add_scaled, combine, dot, largest, select_above

__all__ = ["DOUBTFUL", "ENERGIES", "OUT_OF_RANGE", "OUT_OF_ROUNDS", "compile_active_set"]

# States in which the code of a signal ends; in all but the first, the caller checks or finishes the code. A gap is
# doubtful if rounding may hide that it is above the tolerance; signals are out of range if the sum of their squares
# overflows or vanishes.
_GAP, OUT_OF_ROUNDS, _STALLED, OUT_OF_RANGE, DOUBTFUL = range(5)
ENERGIES = {np.dtype(np.float32): (1e-24, 1e24), np.dtype(np.float64): (1e-100, 1e100)}  # of signals, to compute with


class _Problem(NamedTuple):
    """Arrays and constants that are the same for all signals.

    Rows of the Gram matrix are padded with zeros to whole vectors.
    """

    gram: Any  # (n_units, n_padded)
    flat_gram: Any  # the same as one row
    weights: Any  # (n_padded,)
    per_weight: Any  # their inverses
    tolerance: Any
    rounding: Any  # of one operation in the type
    reach: Any  # the largest norm of a unit divided by its weight
    slack: Any  # relative amount by which a correlation may exceed its bound
    least: Any  # share of a unit's squared norm outside the span of the support from which on it is independent
    positive: Any
    eagerness: Any  # share of the strongest violation from which on units join in the same round
    max_rounds: Any


class _Memory(NamedTuple):
    """Arrays that all signals share; `support`, `code` and `signs` hold the n active units of one signal."""

    inverse: Any  # (capacity, stride): the inverse of the support's Gram matrix
    flat_inverse: Any  # the same as one row
    inverse_rows: Any  # 0, 1, 2, …: the rows of the inverse, as `combine` takes them
    support: Any  # (stride,)
    code: Any
    signs: Any
    place: Any  # (n_padded,): position of each unit in `support`, or -1
    products: Any  # products of a unit with the support
    change: Any  # change of the code in a step
    pull: Any  # the slope of the energy along each unit of the support
    zeros: Any
    candidates: Any
    q: Any  # (n_padded,): correlations of the residual


@inlined
def _infer_one(c: Any, sparsity: Any, energy: Any, n_start: Any, problem: Any, memory: Any) -> Any:
    """Solve for one signal; return the number of active units, the rounds and the final state.

    `memory` holds the result.

    `c` are its correlations with all units; `n_start` units are in `memory.support` and `memory.code` to start from.
    """
    gram, flat_gram, weights, per_weight, tolerance, rounding, reach, slack, least, positive, eagerness, max_rounds = (
        problem
    )
    inverse, flat_inverse, inverse_rows, support, code, signs, place, products, change, pull, zeros, candidates, q = (
        memory
    )
    n_units = gram.shape[1]
    capacity, stride = inverse.shape
    n = 0
    for i in range(n_start):
        unit = support[i]
        value = code[i]
        code[i] = 0
        if n >= capacity:
            continue
        row = gram[unit]
        for k in range(n):
            products[k] = row[support[k]]
        for k in range(n, padded_length(n)):
            products[k] = 0
        sign = 1 if value > 0 else -1
        if join(
            unit,
            sign,
            value,
            n,
            row,
            products,
            change,
            inverse,
            inverse_rows,
            zeros,
            least,
            support,
            code,
            signs,
            place,
        ):
            n += 1
    if n:
        # From the start to the optimum for its signs; units whose sign would change leave on the way.
        for i in range(n):
            row = gram[support[i]]
            total = c[support[i]] - sparsity * weights[support[i]] * signs[i]
            for k in range(n):
                total -= row[support[k]] * code[k]
            pull[i] = total
        for i in range(n, padded_length(n)):
            pull[i] = 0
        while n:
            combine(change, zeros, 1, pull, inverse_rows, n, flat_inverse, stride, padded_length(n))
            length = 1.0
            blocked = -1
            for i in range(n):
                if (code[i] + change[i]) * signs[i] < 0:
                    until = -code[i] / change[i]
                    if until < length:
                        length = until
                        blocked = i
            add_scaled(code, 0, length, change, 0, padded_length(n))
            if blocked < 0:
                break
            for i in range(n):
                pull[i] *= 1 - length
            pull[blocked] = pull[n - 1]
            pull[n - 1] = 0
            n = remove(blocked, n, inverse, support, code, signs, place)

    rounds = 0
    last_gap = np.inf
    while True:
        seen = c
        if n:
            combine(q, c, -1, code, support, n, flat_gram, n_units, n_units)
            seen = q
        highest = largest(seen, per_weight, n_units, positive)
        # ‖r‖², y·r and the weighted L1 norm, in double precision.
        residual = energy
        aligned = energy
        norm = 0.0
        for i in range(n):
            value = float(code[i])
            unit = support[i]
            residual -= value * (float(c[unit]) + float(seen[unit]))
            aligned -= value * float(c[unit])
            norm += abs(value) * weights[unit]
        shrink = 1.0
        if highest > sparsity:
            shrink = sparsity / highest
        gap = gap_of_sums(residual, aligned, norm, sparsity, shrink)
        if gap <= tolerance * 0.5 * energy:
            # Error bound of the correlations: rounding · (‖y‖ + ‖z‖₁ ‖d‖) ‖d‖; it enters the gap times ‖z‖₁.
            size = norm * reach
            if gap + rounding * (np.sqrt(energy) + size) * size > tolerance * 0.5 * energy:
                return n, rounds, DOUBTFUL
            return n, rounds, _GAP
        if rounds >= max_rounds:
            return n, rounds, OUT_OF_ROUNDS
        rounds += 1

        # Rounding in the inverse leaves a slope on the support, which one step of refinement removes.
        worst = 0.0
        for i in range(n):
            unit = support[i]
            pull[i] = seen[unit] - sparsity * weights[unit] * signs[i]
            worst = max(worst, abs(pull[i]) * per_weight[unit])
        refined = False
        if worst > 10 * slack * sparsity:
            for i in range(n, padded_length(n)):
                pull[i] = 0
            combine(change, zeros, 1, pull, inverse_rows, n, flat_inverse, stride, padded_length(n))
            refined = True
            for i in range(n):
                if not (code[i] + change[i]) * signs[i] > 0:
                    refined = False
            if refined:
                add_scaled(code, 0, 1, change, 0, padded_length(n))

        threshold = max(sparsity * (1 + slack), eagerness * highest)
        n_candidates = select_above(seen, per_weight, n_units, positive, threshold, candidates)
        for a in range(1, n_candidates):  # the strongest first
            unit = candidates[a]
            strength = abs(seen[unit]) * per_weight[unit]
            b = a - 1
            while b >= 0 and abs(seen[candidates[b]]) * per_weight[candidates[b]] < strength:
                candidates[b + 1] = candidates[b]
                b -= 1
            candidates[b + 1] = unit
        n_joined = 0
        for a in range(n_candidates):
            unit = candidates[a]
            if place[unit] >= 0:
                continue
            row = gram[unit]
            for k in range(n):
                products[k] = row[support[k]]
            for k in range(n, padded_length(n)):
                products[k] = 0
            slope = c[unit] - dot(products, 0, code, 0, padded_length(n))
            limit = sparsity * weights[unit]
            if (slope if positive else abs(slope)) <= limit * (1 + slack):
                continue
            sign = 1 if slope > 0 else -1
            has_joined = n < capacity and join(
                unit, sign, zeros[0], n, row, products, change, inverse, inverse_rows, zeros, least, support, code,
                signs, place,
            )  # fmt: skip
            if not has_joined:
                # The unit is a combination of the support: it replaces a unit of the support, along the direction that
                # does not change the residual and lowers the norm, until a code is zero.
                combine(change, zeros, 1, products, inverse_rows, n, flat_inverse, stride, padded_length(n))
                longest = np.inf
                leaving = -1
                rise = float(weights[unit])
                for i in range(n):
                    move = sign * float(change[i])
                    rise -= move * signs[i] * weights[support[i]]
                    if move * signs[i] > 0 and code[i] / move < longest:
                        longest = code[i] / move
                        leaving = i
                if leaving < 0 or rise >= 0:
                    continue
                add_scaled(code, 0, -sign * longest, change, 0, padded_length(n))
                n = remove(leaving, n, inverse, support, code, signs, place)
                products[leaving] = products[n]
                products[n] = 0
                if not join(
                    unit, sign, zeros[0], n, row, products, change, inverse, inverse_rows, zeros, least, support, code,
                    signs, place,
                ):  # fmt: skip
                    return n, rounds, _STALLED
                code[n] = sign * longest
            newest = n
            n += 1
            n_joined += 1
            rest = slope - limit * sign
            while True:
                # Along the newest unit's column of the inverse the other units stay optimal.
                length = 1.0
                blocked = -1
                for i in range(n):
                    move = inverse[newest, i] * rest
                    if (code[i] + move) * signs[i] < 0 and i != newest:
                        until = -code[i] / move
                        if until < length:
                            length = until
                            blocked = i
                add_scaled(code, 0, length * rest, flat_inverse, newest * stride, padded_length(n))
                if blocked < 0:
                    break
                rest *= 1 - length
                last = n - 1
                n = remove(blocked, n, inverse, support, code, signs, place)
                if newest == last:
                    newest = blocked
        if n_joined == 0 and (not refined or gap > 0.9 * last_gap):
            return n, rounds, _STALLED
        last_gap = gap


def _infer_range(
    first: Any, last: Any, signals: Any, panels: Any, gram: Any, weights: Any,
    per_weight: Any, sparsities: Any, tolerance: Any, rounding: Any, reach: Any, slack: Any, least: Any, positive: Any,
    eagerness: Any, max_rounds: Any, capacity: Any, low: Any, high: Any, warm: Any,
    codes: Any, units: Any, values: Any, counts: Any, starts: Any, rounds: Any, ended: Any,
) -> None:  # fmt: skip
    """Codes of the signals `first` … `last` − 1.

    They are written to `codes`, or, if it has no rows, packed into `units` and `values`, where code i begins at
    `starts[i]` and has `counts[i]` entries. With `warm`, `codes` is the start. `capacity` is the largest number of
    active units; signals must have energies between `low` and `high`.
    """
    n_features = signals.shape[1]
    n_padded = gram.shape[1]
    stride = padded_length(capacity) + LANES
    dtype = gram.dtype
    # Only matrices, of two types: each other way to create an array adds a tenth of a second to the compilation.
    inverse = np.zeros((capacity, stride), dtype)
    rows = np.zeros((6, stride), dtype)
    code, signs, products, change, pull, zeros = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]
    indices = np.zeros((4, max(stride, n_padded + LANES)), np.int32)
    support, inverse_rows, candidates, place = indices[0], indices[1], indices[2], indices[3]
    for i in range(stride):
        inverse_rows[i] = i
    for unit in range(n_padded):
        place[unit] = -1
    block = np.zeros((BLOCK, panels.shape[0] * panels.shape[2]), dtype)
    q = np.zeros((1, n_padded), dtype)[0]
    problem = _Problem(
        gram, gram.reshape(-1), weights, per_weight, tolerance, rounding, reach, slack, least, positive, eagerness,
        max_rounds,
    )  # fmt: skip
    memory = _Memory(
        inverse, inverse.reshape(-1), inverse_rows, support, code, signs, place, products, change, pull, zeros,
        candidates, q,
    )  # fmt: skip
    dense = codes.shape[0] > 0
    packed = first * capacity
    for start in range(first, last, BLOCK):
        stop = min(start + BLOCK, last)
        multiply_block(signals, start, stop - start, panels, block, 0)
        for s in range(start, stop):
            energy = 0.0
            for feature in range(n_features):
                energy += float(signals[s, feature]) * float(signals[s, feature])
            if not (low <= energy <= high):
                ended[s] = _GAP
                for feature in range(n_features):
                    if signals[s, feature] != 0:
                        ended[s] = OUT_OF_RANGE
                rounds[s] = 0
                if dense:
                    codes[s, :] = 0
                else:
                    counts[s] = 0
                    starts[s] = packed
                continue
            n = 0
            if warm:
                for unit in range(codes.shape[1]):
                    if codes[s, unit] != 0 and n < capacity:
                        support[n] = unit
                        code[n] = codes[s, unit]
                        n += 1
            n, n_rounds, how = _infer_one(block[s - start], sparsities[s], energy, n, problem, memory)
            rounds[s] = n_rounds
            ended[s] = how
            if dense:
                codes[s, :] = 0
                for i in range(n):
                    codes[s, support[i]] = code[i]
            else:
                counts[s] = n
                starts[s] = packed
                for i in range(n):  # sorted, as in a sparse matrix
                    k = packed + i - 1
                    while k >= packed and units[k] > support[i]:
                        units[k + 1] = units[k]
                        values[k + 1] = values[k]
                        k -= 1
                    units[k + 1] = support[i]
                    values[k + 1] = code[i]
                packed += n
            for i in range(n):
                place[support[i]] = -1
                code[i] = 0


@compiler("float32", "float64")
def compile_active_set(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_infer_range` for float32 or float64."""
    from numba import types

    real = types.float32 if dtype == np.float32 else types.float64

    def array(element: Any, n_dimensions: int, *, constant: bool = False) -> Any:
        return types.Array(element, n_dimensions, "C", readonly=constant)

    signature = types.void(
        types.int64, types.int64, array(real, 2, constant=True), array(real, 3, constant=True),
        array(real, 2, constant=True), array(real, 1, constant=True), array(real, 1, constant=True),
        array(types.float64, 1, constant=True), *[types.float64] * 5, types.boolean, types.float64, types.int64,
        types.int64, types.float64, types.float64, types.boolean, array(real, 2), array(types.int32, 1),
        array(real, 1), array(types.int64, 1), array(types.int64, 1), array(types.int64, 1), array(types.int8, 1),
    )  # fmt: skip
    return compiled(_infer_range, signature)
