"""The duality gap inside kernels, from what coordinate methods keep: codes, correlations, and those of the residual."""

from __future__ import annotations

from typing import Any

import numba

from striate.kernels import FAST_MATH

__all__ = ["duality_gap", "slopes"]

_inner = numba.njit(nogil=True, fastmath=FAST_MATH)


@_inner
def slopes(correlations: Any, gram: Any, code: Any, result: Any) -> None:
    """``c − G z``: correlations of all units with the residual."""
    n = len(code)
    for j in range(n):
        result[j] = correlations[j]
    for k in range(n):
        value = code[k]
        if value != 0:
            for j in range(n):
                result[j] -= value * gram[k, j]


@_inner
def duality_gap(
    correlations: Any, slope: Any, code: Any, weights: Any, sparsity: Any, energy: Any, positive: Any
) -> Any:
    """The gap and the factor that makes the residual feasible; sums in double precision.

    ‖r‖² = ‖y‖² − z·(c + q) and y·r = ‖y‖² − z·c, so that signals themselves are not needed.
    """
    residual = aligned = energy
    norm = highest = 0.0
    for j in range(len(code)):
        q = float(slope[j])
        weight = float(weights[j])
        ratio = q / weight
        if not positive and ratio < 0:
            ratio = -ratio
        if ratio > highest:
            highest = ratio
        if code[j] != 0:
            value = float(code[j])
            residual -= value * (float(correlations[j]) + q)
            aligned -= value * float(correlations[j])
            norm += abs(value) * weight
    factor = 1.0
    if highest > sparsity:
        factor = sparsity / highest
    return 0.5 * residual + sparsity * norm - factor * aligned + 0.5 * factor * factor * residual, factor
