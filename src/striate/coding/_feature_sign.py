"""Feature-sign search: guess the signs of the active units, solve for them in closed form, correct the guess.

Lee, Battle, Raina, Ng, "Efficient sparse coding algorithms", NIPS 2006, algorithm 1, step by step: activate the unit
whose correlation with the residual is largest; solve for the active set with its signs; line search to the solution
over the points where a sign changes; drop zeros; repeat while an active unit is not optimal; repeat while an
inactive one violates its bound. Its iterations are closed-form solves, a measure of work that does not depend on the
implementation. A unit that is a combination of active ones replaces one of them: along the direction that does not
change the residual, as far as the L1 norm decreases.

Roofline: a solve factorizes |S|² numbers, |S|³/3 flops, and is bound by their latency for |S| below 50.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.coding._cholesky import factorize, solve
from striate.coding._solver_kernel import compile_solver, duality_gap, slopes
from striate.kernels import compiler, inlined

__all__ = ["compile_feature_sign"]


@compiler("float32", "float64")
def compile_feature_sign(dtype: np.dtype) -> Callable[..., None]:
    """The compiled kernel for float32 or float64."""
    return compile_solver(_search, dtype)


@inlined
def _drop(place: Any, m: Any, units: Any, signs: Any) -> Any:
    """Take a unit out of the active set, keeping the order of the others."""
    for a in range(place, m - 1):
        units[a] = units[a + 1]
        signs[a] = signs[a + 1]
    return m - 1


def _search(
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
    codes: Any,
    iterations: Any,
    converged: Any,
) -> None:
    """From the codes given, signal by signal; iterations are closed-form solves."""
    n_units = gram.shape[0]
    dtype = gram.dtype
    # Units with a smaller relative pivot count as dependent. In single precision the Gram matrix is accurate to 6e-8;
    # its factor is in double precision, because rounding in single precision would reject units that are needed.
    least = 1e-6 if gram.itemsize == 4 else 1e-10
    slack = 1e-5 if gram.itemsize == 4 else 1e-10
    slope, target = np.empty(n_units, dtype), np.empty(n_units)
    units, signs = np.empty(n_units, np.int64), np.empty(n_units, np.int64)
    factor = np.empty((n_units, n_units))
    is_refused = np.zeros(n_units, np.bool_)
    for s in range(first, last):
        c, code, sparsity, energy = correlations[s], codes[s], sparsities[s], energies[s]
        is_refused[:] = False
        converged[s] = False
        n_solves = m = 0
        for j in range(n_units):
            if code[j] != 0:
                units[m] = j
                signs[m] = 1 if code[j] > 0 else -1
                m += 1
        must_solve = m > 0
        while True:
            slopes(c, gram, code, slope)
            if not must_solve or n_solves >= max_iterations:
                gap, _ = duality_gap(c, slope, code, weights, sparsity, energy, positive)
                if gap <= tolerance * 0.5 * energy:
                    converged[s] = True
                    break
                # Activate the strongest violator.
                strongest, chosen = sparsity * (1 + slack), -1
                for j in range(n_units):
                    if code[j] == 0 and not is_refused[j]:
                        ratio = slope[j] / weights[j]
                        if not positive:
                            ratio = abs(ratio)
                        if ratio > strongest:
                            strongest, chosen = ratio, j
                if chosen < 0 and n_solves >= max_iterations:
                    break
                if chosen < 0:
                    # The gap is due to an inexact solve: repeat it once, which refines the solution.
                    if m == 0 or n_solves > 4 * n_units:
                        break
                else:
                    units[m] = chosen
                    signs[m] = 1 if slope[chosen] > 0 else -1
                    m += 1
            if n_solves >= max_iterations:
                break
            n_solves += 1
            dependent = factorize(m, gram, units, least, factor)
            if dependent >= 0:
                # Exchange along the direction that does not change the residual.
                unit = units[dependent]
                for a in range(dependent):
                    target[a] = gram[unit, units[a]]
                solve(dependent, factor, target)
                change = signs[dependent] * float(weights[unit])
                for a in range(dependent):
                    change -= float(target[a]) * signs[a] * float(weights[units[a]])
                direction = -1.0 if change > 0 else 1.0  # change of the dependent unit's code
                if code[unit] == 0 and direction * signs[dependent] < 0:
                    is_refused[unit] = True
                    m = _drop(dependent, m, units, signs)
                    continue
                length, blocked = np.inf, -1
                if code[unit] * direction < 0:
                    length, blocked = abs(float(code[unit])), dependent
                for a in range(dependent):
                    move = -direction * float(target[a])
                    if code[units[a]] * move < 0 and -code[units[a]] / move < length:
                        length, blocked = -code[units[a]] / move, a
                if blocked < 0:  # due to rounding nothing limits the exchange, and it is not made
                    is_refused[unit] = True
                    code[unit] = 0
                    m = _drop(dependent, m, units, signs)
                    continue
                code[unit] += direction * length
                for a in range(dependent):
                    code[units[a]] -= direction * length * target[a]
                code[units[blocked]] = 0
                m = _drop(blocked, m, units, signs)
                must_solve = True
                continue
            # In residual form: the step to the optimum for these signs, which also corrects earlier rounding.
            for a in range(m):
                target[a] = slope[units[a]] - sparsity * weights[units[a]] * signs[a]
            solve(m, factor, target)
            # The objective along the step: its quadratic part has slope and bend, its L1 part kinks at sign changes.
            slope_at_0 = bend = 0.0
            for a in range(m):
                slope_at_0 -= float(target[a]) * float(slope[units[a]])
                bend += float(target[a]) * (float(slope[units[a]]) - sparsity * float(weights[units[a]]) * signs[a])
            best_length, best_value = 1.0, np.inf
            for candidate in range(m + 1):
                length = 1.0
                if candidate < m:
                    if target[candidate] == 0:
                        continue
                    length = -float(code[units[candidate]]) / float(target[candidate])
                    if not 0 < length < 1:
                        continue
                value = length * slope_at_0 + 0.5 * length * length * bend
                is_allowed = True
                for a in range(m):
                    at = float(code[units[a]]) + length * float(target[a])
                    if a == candidate:
                        at = 0.0
                    if positive and at < 0:
                        is_allowed = False
                    value += sparsity * float(weights[units[a]]) * abs(at)
                if is_allowed and value < best_value:
                    best_length, best_value = length, value
            must_solve = best_length != 1.0
            kept = 0
            for a in range(m):
                unit = units[a]
                old, move = code[unit], target[a]
                new = old + best_length * move
                if best_length != 1.0 and move != 0 and -float(old) / float(move) == best_length:
                    new = old - old
                if positive and new < 0:
                    new = old - old
                if old * new < 0 or signs[a] * new < 0:
                    must_solve = True
                code[unit] = new
                if new != 0:
                    units[kept] = unit
                    signs[kept] = 1 if new > 0 else -1
                    kept += 1
            m = kept
        iterations[s] = n_solves
