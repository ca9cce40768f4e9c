"""The kernel of orthogonal matching pursuit, on the Gram matrix and the correlations of each signal.

The Gram matrix of the chosen units is factored as L Δ Lᵀ, one unit after another. With w_k, the products of all units
with the part of the k-th chosen unit that is orthogonal to those chosen before,

    L_kj = w_j[k] / Δ_j,    Δ_k = ‖d_k‖² − Σ_j L_kj w_j[k],    w_k = G[k] − Σ_j L_kj w_j,

the correlations q of all units with the residual become q − (q[k] / Δ_k) w_k, and the squared residual falls by
q[k]² / Δ_k. Codes are needed, and computed, only at the end. This is the batch pursuit of Rubinstein et al. (2008) with
one change: they compute q = c − G_S z from the codes in each step, which reads the rows of the Gram matrix again, where
this reads the rows w, which are close together in memory.

Orthogonal least squares (Chen, Billings, Luo 1989; `recursive` here) differs in what is chosen: q² is divided by what
is left of a unit's squared norm, which falls by w_k² / Δ_k in each step.

Roofline, for K units of p features and n active units: the correlations take 2 K p flops at three quarters of the
processor's peak. The k-th choice reads k rows of K numbers once, so that all choices take n² K flops, at two flops per
number read. Up to n·K of about 250,000 the second-level cache holds these rows, and its bandwidth is the bound. The
last choice needs neither its row nor new correlations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.coding._support import padded_length
from striate.kernels import compiled, compiler, inlined
from striate.kernels.products import BLOCK, multiply_block
from striate.kernels.pursuit import choose
from striate.kernels.simd import LANES, add_scaled, combine

__all__ = [
    "DONE",
    "DOUBTFUL",
    "OUT_OF_RANGE",
    "compile_pursuit",
    "energy_of",
    "pursuit_signature",
    "state_of",
    "write_code",
]

# States in which the code of a signal ends. A code is doubtful if rounding may have changed a choice, or whether the
# limit of the residual was reached; signals are out of range if the sum of their squares overflows or vanishes.
DONE, DOUBTFUL, OUT_OF_RANGE = range(3)


@inlined
def energy_of(signals: Any, s: Any) -> Any:
    """‖y‖² in double precision."""
    energy = 0.0
    for feature in range(signals.shape[1]):
        energy += float(signals[s, feature]) * float(signals[s, feature])
    return energy


@inlined
def state_of(signals: Any, s: Any, energy: Any, low: Any, high: Any) -> Any:
    """`DONE` for a signal that can be computed with, or is 0; else `OUT_OF_RANGE`."""
    if low <= energy <= high:
        return DONE
    for feature in range(signals.shape[1]):
        if signals[s, feature] != 0:
            return OUT_OF_RANGE
    return DONE


@inlined
def write_code(s: Any, n: Any, support: Any, code: Any, codes: Any, supports: Any, values: Any, counts: Any) -> None:
    """The code of a signal, to its row of `codes`, or of `supports` and `values`: see `_pursue`."""
    if codes.shape[0]:
        codes[s, :] = 0
        for i in range(n):
            codes[s, support[i]] = code[i]
        return
    counts[s] = n
    for i in range(n):  # sorted, as in a sparse matrix
        k = i - 1
        while k >= 0 and supports[s, k] > support[i]:
            supports[s, k + 1] = supports[s, k]
            values[s, k + 1] = values[s, k]
            k -= 1
        supports[s, k + 1] = support[i]
        values[s, k + 1] = code[i]


def _pursue(
    first: Any, last: Any, signals: Any, panels: Any, units: Any, gram: Any, norms: Any, floors: Any, limits: Any,
    at_most: Any, recursive: Any, slack: Any, margin: Any, low: Any, high: Any,
    codes: Any, supports: Any, values: Any, counts: Any, ended: Any,
) -> None:  # fmt: skip
    """Codes of the signals `first` … `last` − 1.

    They are written to `codes`, or, if it has no rows, to the rows of `supports` and `values`, which then hold the
    `counts` active units of each signal in ascending order. `norms` are the units' squared norms, and a unit depends on
    the chosen ones if no more than its number in `floors` is left of it. If `gram` has no rows, the products of a
    chosen unit with all units are computed when they are needed. `limits` are those of the squared residuals, −∞ for
    none; `slack` is the square of the relative correlation at which the pursuit ends.
    """
    n_columns = panels.shape[0] * panels.shape[2]
    n_padded = norms.shape[0]
    stride = padded_length(at_most) + LANES
    dtype = panels.dtype
    block = np.zeros((BLOCK, n_columns), dtype)
    table = np.empty((1, n_columns), dtype)  # a row of the Gram matrix
    # The w_k; rows whose distance is a power of two would share their places in the first-level cache.
    parts = np.empty((at_most, n_padded + 3 * LANES), dtype)
    distance = parts.shape[1]
    lower = np.zeros((at_most, stride), dtype)  # L
    rows = np.zeros((4, max(stride, n_columns)), dtype)
    code, per_pivot, rest, nothing = rows[0], rows[1], rows[2], rows[3]
    indices = np.zeros((2, max(stride, n_padded)), np.int32)
    support, order = indices[0], indices[1]
    flat_parts, flat_lower = parts.reshape(-1), lower.reshape(-1)
    for i in range(stride):
        order[i] = i
    for start in range(first, last, BLOCK):
        stop = min(start + BLOCK, last)
        multiply_block(signals, start, stop - start, panels, block, 0)
        for s in range(start, stop):
            energy = energy_of(signals, s)
            limit = limits[s]
            q = block[s - start]
            for j in range(n_padded):
                rest[j] = norms[j]
            n = 0
            how = state_of(signals, s, energy, low, high)
            residual = energy
            unit = -1
            if how == DONE:
                unit = choose(q, nothing, 0, rest, 0, floors, n_padded, False)
            while how == DONE and n < at_most and energy > 0:
                if abs(residual - limit) < margin * energy:
                    how = DOUBTFUL
                if residual <= limit or how == DOUBTFUL:
                    break
                if unit < 0 or float(q[unit]) ** 2 <= slack * energy * rest[unit]:
                    how = DOUBTFUL if margin > 0 else DONE
                    break
                pivot = norms[unit]
                for k in range(n):
                    lower[n, k] = parts[k, unit] * per_pivot[k]
                    pivot -= lower[n, k] * parts[k, unit]
                rest[unit] = 0
                if not pivot > floors[unit]:
                    how = DOUBTFUL if margin > 0 else DONE
                    unit = choose(q, nothing, 0, rest, 0, floors, n_padded, False)
                    continue
                for k in range(n, padded_length(n)):
                    lower[n, k] = 0
                share = np.divide(1, pivot)
                step = q[unit] * share
                support[n], per_pivot[n], code[n] = unit, share, step
                residual -= float(step) * float(q[unit])
                n += 1
                if n < at_most and residual > limit:
                    part = parts[n - 1]
                    if gram.shape[0]:
                        combine(part, gram[unit], -1, lower[n - 1], order, n - 1, flat_parts, distance, n_padded)
                    else:
                        multiply_block(units, unit, 1, panels, table, 0)
                        combine(part, table[0], -1, lower[n - 1], order, n - 1, flat_parts, distance, n_padded)
                    unit = choose(q, part, step, rest, share if recursive else 0, floors, n_padded, False)
            for k in range(n, padded_length(n)):
                code[k] = 0
            for back in range(n):  # Lᵀ z = the steps
                k = n - 1 - back
                add_scaled(code, 0, -code[k], flat_lower, k * stride, padded_length(k))
            ended[s] = how
            write_code(s, n, support, code, codes, supports, values, counts)


@compiler("float32", "float64")
def compile_pursuit(dtype: np.dtype) -> Callable[..., None]:
    """The compiled `_pursue` for float32 or float64."""
    return compiled(_pursue, pursuit_signature(dtype))


def pursuit_signature(dtype: np.dtype) -> Any:
    """The types of the arguments of `_pursue`, for float32 or float64."""
    from numba import types

    real = types.float32 if dtype == np.float32 else types.float64

    def given(element: Any, n_dimensions: int) -> Any:
        return types.Array(element, n_dimensions, "C", readonly=True)

    return types.void(
        types.int64, types.int64, given(real, 2), given(real, 3), given(real, 2), given(real, 2), given(real, 1),
        given(real, 1), given(types.float64, 1), types.int64, types.boolean, *[types.float64] * 4,
        types.Array(real, 2, "C"), types.Array(types.int32, 2, "C"), types.Array(real, 2, "C"),
        types.Array(types.int64, 1, "C"), types.Array(types.int8, 1, "C"),
    )  # fmt: skip
