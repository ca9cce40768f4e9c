"""Homotopy (LARS with the lasso's drops): the optimum for every sparsity, from the largest downward.

Between two breakpoints the code is linear in λ: with M the inverse Gram matrix of the active units and signs s, it
grows by M (w s) per unit of λ. A unit joins when its correlation reaches λ w, and leaves when its code reaches 0.
Osborne, Presnell, Turlach, IMA J. Numerical Analysis 2000; Efron, Hastie, Johnstone, Tibshirani, Annals of Statistics
2004; Donoho and Tsaig, IEEE Trans. Information Theory 2008.

Roofline: a breakpoint reads |S| rows of the Gram matrix, and M twice; the former dominates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.coding._solver_kernel import compile_solver, duality_gap, slopes
from striate.kernels import compiler, inlined

__all__ = ["compile_homotopy"]

_REFINEMENTS = 8  # refinements of the final code; for nearly dependent units, one is not enough


@compiler("float32", "float64")
def compile_homotopy(dtype: np.dtype) -> Callable[..., None]:
    """The compiled kernel for float32 or float64; its arguments before `codes` are `max_nonzero` and `residual`."""
    from numba import types

    return compile_solver(_follow, dtype, extra=(types.int64, types.float64))


@inlined
def _border(m: Any, row: Any, units: Any, unit: Any, least: Any, inverse: Any, work: Any) -> Any:
    """Add a unit to the inverse, unless it depends on the others; return whether it was added."""
    rest = float(row[unit])
    for a in range(m):
        total = 0.0
        for b in range(m):
            total += inverse[a, b] * float(row[units[b]])
        work[a] = total
        rest -= total * float(row[units[a]])
    if not rest > least * float(row[unit]):
        return False
    for a in range(m):
        for b in range(m):
            inverse[a, b] += work[a] * work[b] / rest
        inverse[a, m] = inverse[m, a] = -work[a] / rest
    inverse[m, m] = 1 / rest
    return True


@inlined
def _leave(place: Any, m: Any, units: Any, signs: Any, inverse: Any) -> Any:
    """Remove a unit from the inverse; the last one takes its place."""
    pivot = inverse[place, place]
    for a in range(m):
        if a != place:
            factor = inverse[a, place] / pivot
            for b in range(m):
                inverse[a, b] -= factor * inverse[place, b]
    last = m - 1
    if place != last:
        for a in range(m):
            inverse[place, a] = inverse[last, a]
        for a in range(m):
            inverse[a, place] = inverse[a, last]
        units[place] = units[last]
        signs[place] = signs[last]
    return last


@inlined
def _workspace(n_units: Any) -> Any:
    """Code, correlations and their slopes, growth, a vector; active units, signs; positions, refusals; inverse."""
    return (
        np.empty(n_units), np.empty(n_units), np.empty(n_units), np.empty(n_units), np.empty(n_units),
        np.empty(n_units, np.int64), np.empty(n_units, np.int64),
        np.empty(n_units, np.int64), np.empty(n_units, np.bool_), np.empty((n_units, n_units)),
    )  # fmt: skip


@inlined
def _walk(
    c: Any, energy: Any, gram: Any, norms: Any, weights: Any, target: Any, positive: Any, max_iterations: Any,
    max_nonzero: Any, residual: Any, workspace: Any,
) -> Any:  # fmt: skip
    """Follow the path of one signal from its largest sparsity to its end; the code is in the workspace.

    Returns the number of steps, the last sparsity, the number of active units, the squared norm of the residual if
    `residual` is given, and whether the limit was reached.
    """
    code, slope, fall, growth, work, units, signs, place, is_refused, inverse = workspace
    n_units = len(code)
    least = 1e-6 if gram.itemsize == 4 else 1e-11
    code[:] = 0
    place[:] = -1
    is_refused[:] = False
    level, joining = 0.0, -1
    for j in range(n_units):
        slope[j] = c[j]
        ratio = slope[j] / weights[j] if positive else abs(slope[j]) / weights[j]
        if ratio > level and norms[j] > 0:
            level, joining = ratio, j
    m = n_steps = 0
    just_left, left_sign = -1, 1  # it moves inward from its old bound, and may reach the other bound
    reached = False
    square = energy  # squared norm of the residual
    while level > target and n_steps < max_iterations:
        if joining >= 0:
            if _border(m, gram[joining], units, joining, least, inverse, work):
                if m >= max_nonzero:
                    break  # only here, since a unit that depends on the active ones would not have joined
                units[m] = joining
                signs[m] = 1 if slope[joining] > 0 else -1
                place[joining] = m
                m += 1
            else:
                is_refused[joining] = True  # as long as the units on which it depends are active
        n_steps += 1
        # Slopes of code and correlations as the level falls.
        for a in range(m):
            total = 0.0
            for b in range(m):
                total += inverse[a, b] * weights[units[b]] * signs[b]
            growth[a] = total
        fall[:] = 0
        for a in range(m):
            row = gram[units[a]]
            for j in range(n_units):
                fall[j] += growth[a] * row[j]
        length, joining, leaving = level - target, -1, -1
        for j in range(n_units):
            if place[j] >= 0 or is_refused[j] or not norms[j] > 0:
                continue
            closing = weights[j] - fall[j]
            if closing > 0 and not (j == just_left and left_sign > 0):
                until = (level * weights[j] - slope[j]) / closing
                if until < length:
                    length, joining = max(until, 0.0), j
            closing = weights[j] + fall[j]
            if closing > 0 and not positive and not (j == just_left and left_sign < 0):
                until = (level * weights[j] + slope[j]) / closing
                if until < length:
                    length, joining = max(until, 0.0), j
        for a in range(m):
            if growth[a] * signs[a] < 0:
                until = -code[units[a]] / growth[a]
                if until < length:
                    length, joining, leaving = max(until, 0.0), -1, a
        if residual > 0:
            # ‖r − δ Dᵀv‖² = ‖r‖² − 2 δ v·q + δ² v·Gv
            along = bend = 0.0
            for a in range(m):
                along += growth[a] * slope[units[a]]
                bend += growth[a] * fall[units[a]]
            ahead = square - 2 * length * along + length * length * bend
            if ahead <= residual * residual:
                root = along * along - bend * (square - residual * residual)
                exact = (along - np.sqrt(max(root, 0.0))) / bend if bend > 0 else length
                length, leaving = min(max(exact, 0.0), length), -1
                reached = True
            square = square - 2 * length * along + length * length * bend
        for a in range(m):
            code[units[a]] += length * growth[a]
        for j in range(n_units):
            slope[j] -= length * fall[j]
        level -= length
        just_left = -1
        if reached:
            break
        if leaving >= 0:
            unit = units[leaving]
            code[unit] = 0
            place[unit] = -1
            left_sign = signs[leaving]
            m = _leave(leaving, m, units, signs, inverse)
            if leaving < m:
                place[units[leaving]] = leaving
            just_left = unit
            is_refused[:] = False
        elif joining < 0:
            break
    return n_steps, level, m, square, reached


@inlined
def _refine(m: Any, weights: Any, target: Any, workspace: Any) -> Any:
    """Correct the active units' distance from their bounds, which is due to rounding, unless a sign would change."""
    code, slope, _, growth, work, units, signs, _, _, inverse = workspace
    for a in range(m):
        work[a] = slope[units[a]] - target * weights[units[a]] * signs[a]
    for a in range(m):
        total = 0.0
        for b in range(m):
            total += inverse[a, b] * work[b]
        growth[a] = total
        if not (code[units[a]] + total) * signs[a] > 0:
            return False
    for a in range(m):
        code[units[a]] += growth[a]
    return True


def _follow(
    first: int,
    last: int,
    correlations: Any,
    energies: Any,
    gram: Any,
    norms: Any,
    weights: Any,
    sparsities: Any,
    tolerance: float,
    positive: bool,
    max_iterations: int,
    max_nonzero: int,
    residual: float,
    codes: Any,
    iterations: Any,
    converged: Any,
) -> None:
    """Follow the path of each signal to its sparsity, a number of active units or a norm of the residual.

    The path is followed in double precision for all types of the arrays, because errors of a breakpoint accumulate.
    With `residual`, `converged` refers to this norm and not to the gap.
    """
    n_units = gram.shape[0]
    workspace = _workspace(n_units)
    code, slope, units = workspace[0], workspace[1], workspace[5]
    refined = np.empty(n_units, gram.dtype)
    for s in range(first, last):
        c, target = correlations[s], sparsities[s]
        n_steps, level, m, square, reached = _walk(
            c, energies[s], gram, norms, weights, target, positive, max_iterations, max_nonzero, residual, workspace
        )
        for j in range(n_units):
            codes[s, j] = code[j]
        iterations[s] = n_steps
        if residual > 0:
            converged[s] = reached or square <= residual * residual
            continue
        best = np.inf
        for attempt in range(_REFINEMENTS + 1):
            slopes(c, gram, codes[s], slope)
            gap, _ = duality_gap(c, slope, codes[s], weights, target, energies[s], positive)
            if attempt == 0 or gap < best:
                best = gap
                for a in range(m):
                    refined[a] = codes[s, units[a]]
            converged[s] = gap <= tolerance * 0.5 * energies[s]
            if converged[s] or level > target or attempt == _REFINEMENTS:
                break
            for a in range(m):  # the rounded code, to which the slopes belong
                code[units[a]] = codes[s, units[a]]
            if not _refine(m, weights, target, workspace):
                break
            for j in range(n_units):
                codes[s, j] = code[j]
        if not converged[s]:  # rounding decides which attempt is best
            for a in range(m):
                codes[s, units[a]] = refined[a]
