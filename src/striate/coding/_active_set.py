"""The active-set kernel: exact codes by keeping the inverse of the support's Gram matrix.

For the units S that are active, with signs s, the optimum is z = M (c − λ w s), M = (D_S D_Sᵀ)⁻¹. Units whose
correlation with the residual exceeds λ w join, one after another: joining borders M, and moves z along one column of
M, as far as no other unit's sign would change; a unit whose code reaches zero on the way leaves, and M shrinks. When
all that were asked to have joined, correlations with all units are computed anew, which gives the next candidates and
the duality gap, at which it ends.

This is feature-sign search (Lee et al. 2006) with three changes: many units join between two looks at all of them;
each change of the support costs O(|S|²), not O(|S|³); and it stops at a gap, which certifies, not at a tolerance on
signs. Asif and Romberg (2010) update the inverse in the same way for homotopy.

Roofline, float32, on one core with AVX-512, whose fused multiply-adds peak at 64 flops a cycle. The correlations of a
signal with K units of p features, 2 K p flops, run at three quarters of that from packed panels, and are all that is
needed when few units are active: 144 × 256 takes 0.6 µs. A change of the support reads and writes |S|² numbers twice,
from the first-level cache up to |S| = 100. A look at all units reads |S| rows of the Gram matrix: the second-level
cache holds it up to K = 700, and beyond, with hundreds of active units, bandwidth of the third bounds everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.kernels import compiled, compiler, inlined
from striate.kernels.products import BLOCK, multiply_block
from striate.kernels.simd import LANES, add_scaled, combine, dot, largest, padded, select_above

__all__ = ["DOUBTFUL", "ENERGIES", "OUT_OF_RANGE", "OUT_OF_ROUNDS", "compile_active_set"]

# How the code of a signal ended; anything but the first is for others to judge or to finish. A gap is doubtful where
# rounding may hide that it is above the tolerance; out of range are signals whose squares a type cannot sum.
_GAP, OUT_OF_ROUNDS, _STALLED, OUT_OF_RANGE, DOUBTFUL = range(5)
ENERGIES = {np.dtype(np.float32): (1e-24, 1e24), np.dtype(np.float64): (1e-100, 1e100)}  # of signals, to compute with

_padded = inlined(padded)


@inlined
def _remove(i: Any, n: Any, inverse: Any, support: Any, code: Any, signs: Any, place: Any) -> Any:
    """Take the i-th unit out of the support of n; the last one gets its place."""
    flat = inverse.reshape(-1)
    stride = inverse.shape[1]
    width = _padded(n)
    scale = 1 / inverse[i, i]
    for row in range(n):
        if row != i:
            add_scaled(flat, row * stride, -inverse[row, i] * scale, flat, i * stride, width)
    last = n - 1
    place[support[i]] = -1
    if i != last:
        for column in range(width):
            inverse[i, column] = inverse[last, column]
        for row in range(last):
            inverse[row, i] = inverse[row, last]
        inverse[i, i] = inverse[last, last]
        support[i] = support[last]
        code[i] = code[last]
        signs[i] = signs[last]
        place[support[i]] = i
    for row in range(n):
        inverse[row, last] = 0
    for column in range(width):
        inverse[last, column] = 0
    code[last] = 0
    signs[last] = 0
    return last


@inlined
def _join(
    unit: Any, sign: Any, value: Any, n: Any, row: Any, products: Any, change: Any, inverse: Any, inverse_rows: Any,
    zeros: Any, least: Any, support: Any, code: Any, signs: Any, place: Any,
) -> Any:  # fmt: skip
    """Border the inverse by a unit, if it is not a combination of those in the support; whether it was."""
    flat = inverse.reshape(-1)
    stride = inverse.shape[1]
    width = _padded(n)
    combine(change, zeros, 1, products, inverse_rows, n, flat, stride, width)
    rest = row[unit] - dot(products, 0, change, 0, width)
    if not rest > least * row[unit]:
        return False
    scale = 1 / rest
    for other in range(n):
        add_scaled(flat, other * stride, scale * change[other], change, 0, width)
    for column in range(width):
        inverse[n, column] = -scale * change[column]
    for column in range(width, width + LANES):
        inverse[n, column] = 0
    for other in range(n):
        inverse[other, n] = -scale * change[other]
    inverse[n, n] = scale
    if n % LANES == 0:  # the rows grow by a vector
        for other in range(n):
            for column in range(n + 1, n + LANES):
                inverse[other, column] = 0
    support[n] = unit
    signs[n] = sign
    code[n] = value
    place[unit] = n
    return True


@inlined
def _infer_one(
    c: Any, q: Any, gram: Any, flat_gram: Any, weights: Any, per_weight: Any, sparsity: Any, energy: Any,
    tolerance: Any, rounding: Any, reach: Any, slack: Any, least: Any, positive: Any, eagerness: Any, max_rounds: Any,
    n_start: Any, inverse: Any, flat_inverse: Any, support: Any, inverse_rows: Any, code: Any, signs: Any,
    products: Any, change: Any, pull: Any, zeros: Any, candidates: Any, place: Any,
) -> Any:  # fmt: skip
    """One signal; the number of active units, rounds and how it ended. `code` and `support` hold the result.

    `c` are its correlations with all units, `n_start` units are in `support` and `code` to start from.
    """
    n_units = gram.shape[1]
    stride = inverse.shape[1]
    capacity = inverse.shape[0]
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
        for k in range(n, _padded(n)):
            products[k] = 0
        sign = 1 if value > 0 else -1
        if _join(
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
        # From the start's values to the optimum for its signs; units whose sign would change leave on the way.
        for i in range(n):
            row = gram[support[i]]
            total = c[support[i]] - sparsity * weights[support[i]] * signs[i]
            for k in range(n):
                total -= row[support[k]] * code[k]
            pull[i] = total
        for i in range(n, _padded(n)):
            pull[i] = 0
        while n:
            combine(change, zeros, 1, pull, inverse_rows, n, flat_inverse, stride, _padded(n))
            length = 1.0
            blocked = -1
            for i in range(n):
                if (code[i] + change[i]) * signs[i] < 0:
                    until = -code[i] / change[i]
                    if until < length:
                        length = until
                        blocked = i
            add_scaled(code, 0, length, change, 0, _padded(n))
            if blocked < 0:
                break
            for i in range(n):
                pull[i] *= 1 - length
            pull[blocked] = pull[n - 1]
            pull[n - 1] = 0
            n = _remove(blocked, n, inverse, support, code, signs, place)

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
        gap = 0.5 * residual + sparsity * norm - shrink * aligned + 0.5 * shrink * shrink * residual
        if gap <= tolerance * 0.5 * energy:
            # How wrong correlations may be: rounding · (‖y‖ + ‖z‖₁ ‖d‖) ‖d‖; it enters the gap times ‖z‖₁.
            size = norm * reach
            if gap + rounding * (np.sqrt(energy) + size) * size > tolerance * 0.5 * energy:
                return n, rounds, DOUBTFUL
            return n, rounds, _GAP
        if rounds >= max_rounds:
            return n, rounds, OUT_OF_ROUNDS
        rounds += 1

        # Rounding in the inverse shows as a slope on the support: one step of refinement.
        worst = 0.0
        for i in range(n):
            unit = support[i]
            pull[i] = seen[unit] - sparsity * weights[unit] * signs[i]
            worst = max(worst, abs(pull[i]) * per_weight[unit])
        refined = False
        if worst > 10 * slack * sparsity:
            for i in range(n, _padded(n)):
                pull[i] = 0
            combine(change, zeros, 1, pull, inverse_rows, n, flat_inverse, stride, _padded(n))
            refined = True
            for i in range(n):
                if not (code[i] + change[i]) * signs[i] > 0:
                    refined = False
            if refined:
                add_scaled(code, 0, 1, change, 0, _padded(n))

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
            for k in range(n, _padded(n)):
                products[k] = 0
            slope = c[unit] - dot(products, 0, code, 0, _padded(n))
            limit = sparsity * weights[unit]
            if (slope if positive else abs(slope)) <= limit * (1 + slack):
                continue
            sign = 1 if slope > 0 else -1
            has_joined = n < capacity and _join(
                unit, sign, zeros[0], n, row, products, change, inverse, inverse_rows, zeros, least, support, code,
                signs, place,
            )  # fmt: skip
            if not has_joined:
                # A combination of the support: exchanged for one of it, along the direction that leaves the residual
                # as it is, which lowers the norm, until a code is zero.
                combine(change, zeros, 1, products, inverse_rows, n, flat_inverse, stride, _padded(n))
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
                add_scaled(code, 0, -sign * longest, change, 0, _padded(n))
                n = _remove(leaving, n, inverse, support, code, signs, place)
                products[leaving] = products[n]
                products[n] = 0
                if not _join(
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
                add_scaled(code, 0, length * rest, flat_inverse, newest * stride, _padded(n))
                if blocked < 0:
                    break
                rest *= 1 - length
                last = n - 1
                n = _remove(blocked, n, inverse, support, code, signs, place)
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
    """Codes of the signals `first` … `last` − 1, dense into `codes`, or where that has no rows packed one
    after another into `units` and `values`, from `starts` on, `counts` of them. With `warm` the dense codes are where
    it starts. `capacity` is how many units may be active; `low` and `high` bound the energies that are computed with.
    """
    n_features = signals.shape[1]
    n_padded = gram.shape[1]
    stride = _padded(capacity) + LANES
    dtype = gram.dtype
    # Matrices of two types only: each other way to make an array costs a first call a tenth of a second of compiling.
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
    flat_gram, flat_inverse = gram.reshape(-1), inverse.reshape(-1)
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
            n, n_rounds, how = _infer_one(
                block[s - start], q, gram, flat_gram, weights, per_weight, sparsities[s],
                energy, tolerance, rounding, reach, slack, least, positive, eagerness, max_rounds, n, inverse,
                flat_inverse, support, inverse_rows, code, signs, products, change, pull, zeros, candidates, place,
            )  # fmt: skip
            rounds[s] = n_rounds
            ended[s] = how
            if dense:
                codes[s, :] = 0
                for i in range(n):
                    codes[s, support[i]] = code[i]
            else:
                counts[s] = n
                starts[s] = packed
                for i in range(n):  # sorted, as a sparse matrix has them
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
