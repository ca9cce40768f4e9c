"""Shared code of the kernels of the classical solvers: their signature, their compilation and the duality gap.

They work from the Gram matrix and the correlations with the units, from which the gap is computed as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.kernels import compiled, inlined

__all__ = ["compile_solver", "duality_gap", "gap_of_sums", "slopes"]


def compile_solver(kernel: Callable[..., None], dtype: np.dtype, *, extra: tuple[Any, ...] = ()) -> Callable[..., None]:
    """A solver's kernel for float32 or float64; `extra` are the types of its own arguments before the codes.

    The arguments are first, last, correlations, energies, gram, norms, weights, sparsities, tolerance, positive,
    max_iterations; those of the solver; codes, iterations, converged. Arrays that are only read may be read-only.
    """
    from numba import types

    real = types.float32 if dtype == np.float32 else types.float64

    def given(element: Any, n_dimensions: int) -> Any:
        return types.Array(element, n_dimensions, "C", readonly=True)

    signature = types.void(
        types.int64, types.int64, given(real, 2), given(types.float64, 1), given(real, 2), given(real, 1),
        given(real, 1), given(types.float64, 1), types.float64, types.boolean, types.int64, *extra,
        types.Array(real, 2, "C"), types.Array(types.int64, 1, "C"), types.Array(types.boolean, 1, "C"),
    )  # fmt: skip
    return compiled(kernel, signature)


@inlined
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


@inlined
def gap_of_sums(residual: Any, aligned: Any, norm: Any, sparsity: Any, factor: Any) -> Any:
    """The duality gap from ‖r‖², y·r, ‖z‖₁ and the factor that makes the residual feasible; of numbers or of arrays.

    It is the objective ½‖r‖² + λ‖z‖₁ less the dual ½‖y‖² − ½‖y − factor·r‖².
    """
    return 0.5 * residual + sparsity * norm - factor * aligned + 0.5 * factor * factor * residual


@inlined
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
    return gap_of_sums(residual, aligned, norm, sparsity, factor), factor
