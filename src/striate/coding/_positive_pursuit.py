"""The kernel of orthogonal matching pursuit with codes that must not be negative.

Each step takes the unit with the largest positive correlation with the residual, and moves to the least-squares code
without negative values on the units that were chosen. Units whose values reach 0 on the way leave and may return. This
is the active-set method of Lawson and Hanson (1974) for non-negative least squares on units of norm 1, ended early, and
the non-negative pursuit of Bruckstein, Elad and Zibulevsky (2008).

The inverse of the Gram matrix of the active units is kept, as in the active-set kernel: joining moves the code along
one of its columns, and leaving takes O(n²). Roofline: the k-th step reads k rows of the Gram matrix once, as in
`_pursuit_kernel`, and twice the inverse, k² numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.coding._pursuit_kernel import (
    DONE,
    DOUBTFUL,
    energy_of,
    pursuit_signature,
    state_of,
    write_code,
)
from striate.coding._support import join, padded_length, remove
from striate.kernels import compiled, compiler, inlined
from striate.kernels.products import BLOCK, multiply_block
from striate.kernels.pursuit import choose
from striate.kernels.simd import LANES, add_scaled, combine

__all__ = ["compile_positive_pursuit"]


@inlined
def _step(
    newest: Any, n: Any, slope: Any, inverse: Any, support: Any, code: Any, signs: Any, place: Any, slots: Any,
    rest: Any, norms: Any,
) -> Any:  # fmt: skip
    """Move to the least-squares code after a unit joined as the last of n; return how many units remain.

    `slope` is its correlation with the residual. Units whose codes would become negative leave on the way.
    """
    flat = inverse.reshape(-1)
    stride = inverse.shape[1]
    while True:
        length = 1.0
        blocked = -1
        for i in range(n):
            move = inverse[newest, i] * slope
            if i != newest and code[i] + move <= 0:
                until = -code[i] / move
                if until < length:
                    length = until
                    blocked = i
        add_scaled(code, 0, length * slope, flat, newest * stride, padded_length(n))
        if blocked < 0:
            return n
        slope *= 1 - length
        last = n - 1
        rest[support[blocked]] = norms[support[blocked]]
        slot = slots[blocked]
        slots[blocked] = slots[last]
        slots[last] = slot
        n = remove(blocked, n, inverse, support, code, signs, place)
        if newest == last:
            newest = blocked


@inlined
def _refine(
    n: Any, q: Any, support: Any, inverse: Any, order: Any, products: Any, change: Any, zeros: Any, code: Any
) -> None:
    """Remove the correlations with the active units that rounding in the inverse has left, if no code becomes 0."""
    width = padded_length(n)
    for i in range(width):
        products[i] = q[support[i]] if i < n else 0
    combine(change, zeros, 1, products, order, n, inverse.reshape(-1), inverse.shape[1], width)
    for i in range(n):
        if not code[i] + change[i] > 0:
            return
    add_scaled(code, 0, 1, change, 0, width)


def _pursue_positive(
    first: Any, last: Any, signals: Any, panels: Any, units: Any, gram: Any, norms: Any, floors: Any, limits: Any,
    at_most: Any, recursive: Any, slack: Any, margin: Any, low: Any, high: Any,
    codes: Any, supports: Any, values: Any, counts: Any, ended: Any,
) -> None:  # fmt: skip
    """As `_pursue` of `_pursuit_kernel`, without negative codes; `recursive` is not used."""
    n_columns = panels.shape[0] * panels.shape[2]
    n_padded = norms.shape[0]
    stride = padded_length(at_most) + LANES
    dtype = panels.dtype
    block = np.zeros((BLOCK, n_columns), dtype)
    inverse = np.zeros((at_most, stride), dtype)
    rows = np.zeros((7, max(stride, n_columns)), dtype)
    code, signs, products, change, zeros, q, rest = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6]
    indices = np.zeros((5, max(stride, n_padded)), np.int32)
    support, order, place, slots, passed = indices[0], indices[1], indices[2], indices[3], indices[4]
    # Rows of the Gram matrix, that of the i-th active unit at slots[i].
    table = np.empty((at_most, n_columns), dtype)
    flat_table = table.reshape(-1)
    for i in range(stride):
        order[i] = i
    for start in range(first, last, BLOCK):
        stop = min(start + BLOCK, last)
        multiply_block(signals, start, stop - start, panels, block, 0)
        for s in range(start, stop):
            energy = energy_of(signals, s)
            c = block[s - start]
            n = 0
            n_passed = 0  # units that depend on the active ones
            before = np.inf
            how = state_of(signals, s, energy, low, high)
            for j in range(n_padded):
                rest[j] = norms[j]
            for i in range(at_most):
                slots[i] = i
            while how == DONE and energy > 0:
                combine(q, c, -1, code, slots, n, flat_table, n_columns, n_padded)
                residual = energy
                for i in range(n):
                    residual -= float(code[i]) * (float(c[support[i]]) + float(q[support[i]]))
                # The residual falls in each step, except by rounding.
                if n >= at_most or not residual < before:
                    break
                if abs(residual - limits[s]) < margin * energy:
                    how = DOUBTFUL
                if residual <= limits[s] or how == DOUBTFUL:
                    break
                before = residual
                has_joined = False
                while not has_joined and how == DONE:
                    unit = choose(q, zeros, 0, rest, 0, floors, n_padded, True)
                    if unit < 0 or float(q[unit]) ** 2 <= slack * energy * rest[unit]:
                        how = DOUBTFUL if margin > 0 else DONE
                        break
                    rest[unit] = 0
                    row = table[slots[n]]
                    if gram.shape[0]:
                        for j in range(n_padded):
                            row[j] = gram[unit, j]
                    else:
                        multiply_block(units, unit, 1, panels, table, slots[n])
                    for k in range(padded_length(n)):
                        products[k] = row[support[k]] if k < n else 0
                    has_joined = join(
                        unit, 1, zeros[0], n, row, products, change, inverse, order, zeros, floors[unit] / norms[unit],
                        support, code, signs, place,
                    )  # fmt: skip
                    if not has_joined:
                        passed[n_passed] = unit
                        n_passed += 1
                        how = DOUBTFUL if margin > 0 else DONE
                if not has_joined:
                    break
                n_before = n + 1
                n = _step(n, n_before, q[unit], inverse, support, code, signs, place, slots, rest, norms)
                if n < n_before:
                    for i in range(n_passed):
                        rest[passed[i]] = norms[passed[i]]
                    n_passed = 0
            _refine(n, q, support, inverse, order, products, change, zeros, code)
            ended[s] = how
            write_code(s, n, support, code, codes, supports, values, counts)
            for i in range(n):
                place[support[i]] = -1
                code[i] = 0


@compiler("float32", "float64")
def compile_positive_pursuit(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_pursue_positive` for float32 or float64."""
    return compiled(_pursue_positive, pursuit_signature(dtype))
