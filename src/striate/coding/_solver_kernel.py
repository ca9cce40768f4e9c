"""What the kernels of the classical solvers share: how they are called and compiled, and the duality gap.

They work from correlations with the units and the Gram matrix; the gap comes from what they keep.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from striate.kernels import FAST_MATH, compiled

__all__ = ["compile_solver", "duality_gap", "inner", "slopes"]

# first, last, correlations, energies, gram, norms, weights, sparsities, tolerance, positive, max_iterations; a solver's
# own; codes, iterations, converged
_SIGNATURE = (
    "void(int64, int64, {real}[:, ::1], float64[::1], {real}[:, ::1], {real}[::1], {real}[::1], float64[::1], float64, "
    "boolean, int64, {extra}{real}[:, ::1], int64[::1], boolean[::1])"
)

# For functions that kernels call.
inner = numba.njit(nogil=True, fastmath=FAST_MATH)


def compile_solver(kernel: Callable[..., None], dtype: np.dtype, *, extra: str = "") -> Callable[..., None]:
    """A solver's kernel for float32 or float64; `extra` are the types of what it takes before the codes."""
    return compiled(kernel, _SIGNATURE.format(real=dtype.name, extra=extra))


@inner
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


@inner
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
