"""Cyclic coordinate descent on working sets: robust for any dictionary, and fast for most.

Outer loop: correlations of all units with the residual give the duality gap, which decides when to stop, and screen
units: a unit j with |s q_j| + ‖d_j‖·√(2 gap) < λ w_j is 0 at the optimum, and is left out from then on (gap-safe
sphere; Ndiaye, Fercoq, Gramfort, Salmon, JMLR 2017). The working set is the support and the strongest violators.
Inner loop: sweeps over the Gram matrix of the working set, extrapolated every five sweeps (Anderson acceleration;
Bertrand and Massias, AISTATS 2021), without which strongly correlated units take thousands of sweeps. If this does not
converge, for example because active units are nearly dependent and sweeps move slowly along directions that hardly
change the residual, the optimum of the active units is computed in closed form, as in feature-sign search.

Roofline: a sweep over m units costs at most 2 m² flops in the first-level cache (m ≤ 100) or the second; a round over
all units reads |S| rows of the Gram matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.coding._cholesky import factorize, solve
from striate.coding._solver_kernel import compile_solver, duality_gap, slopes
from striate.kernels import compiler, inlined

__all__ = ["compile_coordinate_descent"]

_DEPTH = 5  # sweeps that an extrapolation combines
_SWEEPS = 200  # on one working set, before the next round over all units
_CHANGES = 20  # closed-form steps, each with a factorization; for about 100 units they take as long as those sweeps


@compiler("float32", "float64")
def compile_coordinate_descent(dtype: np.dtype) -> Callable[..., None]:
    """The compiled kernel for float32 or float64."""
    return compile_solver(_descend, dtype)


@inlined
def _sweep(m: Any, gram: Any, norms: Any, thresholds: Any, code: Any, slope: Any, positive: Any) -> None:
    """Move each unit of the working set once to its optimum, with the others fixed."""
    for j in range(m):
        if norms[j] > 0:
            b = slope[j] + norms[j] * code[j]
            new = b - b
            if b > thresholds[j]:
                new = (b - thresholds[j]) / norms[j]
            elif b < -thresholds[j] and not positive:
                new = (b + thresholds[j]) / norms[j]
            change = new - code[j]
            if change != 0:
                code[j] = new
                for k in range(m):
                    slope[k] -= change * gram[j, k]


@inlined
def _value(m: Any, thresholds: Any, correlations: Any, code: Any, slope: Any) -> Any:
    """The objective without the constant ½‖y‖²."""
    total = 0.0
    for j in range(m):
        value = float(code[j])
        total += abs(value) * float(thresholds[j]) - 0.5 * value * (float(correlations[j]) + float(slope[j]))
    return total


@inlined
def _extrapolate(
    m: Any, past: Any, gram: Any, thresholds: Any, correlations: Any, code: Any, slope: Any, positive: Any, trial: Any,
    trial_slope: Any,
) -> None:  # fmt: skip
    """Replace the code by the combination of the last sweeps that would have moved least, if it is better."""
    system = np.zeros((_DEPTH, _DEPTH))
    largest = 0.0
    for a in range(_DEPTH):
        for b in range(a + 1):
            total = 0.0
            for j in range(m):
                total += float(past[a + 1, j] - past[a, j]) * float(past[b + 1, j] - past[b, j])
            system[a, b] = system[b, a] = total
        largest = max(largest, system[a, a])
    if not largest > 0:
        return
    shares = np.ones(_DEPTH)
    for a in range(_DEPTH):
        system[a, a] += 1e-10 * largest
    for a in range(_DEPTH):  # elimination without pivots: the matrix is positive definite
        for b in range(a + 1, _DEPTH):
            factor = system[b, a] / system[a, a]
            for c in range(a, _DEPTH):
                system[b, c] -= factor * system[a, c]
            shares[b] -= factor * shares[a]
    total = 0.0
    for back in range(_DEPTH):
        a = _DEPTH - 1 - back
        for b in range(a + 1, _DEPTH):
            shares[a] -= system[a, b] * shares[b]
        shares[a] /= system[a, a]
        total += shares[a]
    if not abs(total) > 0:
        return
    for j in range(m):
        value = 0.0
        for a in range(_DEPTH):
            value += shares[a] / total * float(past[a + 1, j])
        if positive and value < 0:
            value = 0.0
        trial[j] = value
        trial_slope[j] = correlations[j]
    for k in range(m):
        if trial[k] != 0:
            for j in range(m):
                trial_slope[j] -= trial[k] * gram[k, j]
    if _value(m, thresholds, correlations, trial, trial_slope) < _value(m, thresholds, correlations, code, slope):
        for j in range(m):
            code[j] = trial[j]
            slope[j] = trial_slope[j]


@inlined
def _settle(
    m: Any, gram: Any, thresholds: Any, correlations: Any, code: Any, slope: Any, active: Any, factor: Any, move: Any,
    least: Any,
) -> None:  # fmt: skip
    """Move the active units to their optimum for their present signs; those that reach 0 on the way leave.

    These are the steps of feature-sign search, each up to the first change of a sign. If the active units are
    dependent, the step goes along a direction that does not change the residual and lowers the L1 norm.
    """
    for _ in range(_CHANGES):
        n = 0
        for j in range(m):
            if code[j] != 0:
                active[n] = j
                n += 1
        dependent = factorize(n, gram, active, least, factor)
        for a in range(n):
            unit = active[a]
            if dependent < 0:
                move[a] = float(slope[unit]) - (1.0 if code[unit] > 0 else -1.0) * float(thresholds[unit])
            else:
                move[a] = -float(gram[active[dependent], unit]) if a < dependent else 0.0
        solve(n if dependent < 0 else dependent, factor, move)
        if dependent >= 0:
            move[dependent] = 1.0
        uphill = 0.0
        for a in range(n):
            unit = active[a]
            uphill += move[a] * ((1.0 if code[unit] > 0 else -1.0) * float(thresholds[unit]) - float(slope[unit]))
        if dependent >= 0 and uphill > 0:
            uphill = -uphill
            for a in range(n):
                move[a] = -move[a]
        if not uphill < 0:
            return
        bend = 0.0
        length, first = np.inf, -1
        for a in range(n):
            row, value = gram[active[a]], float(code[active[a]])
            total = 0.0
            for b in range(n):
                total += move[b] * float(row[active[b]])
            bend += move[a] * total
            if value * move[a] < 0 and -value / move[a] < length:
                length, first = -value / move[a], active[a]
        if bend > 0 and -uphill < length * bend:
            length, first = -uphill / bend, -1
        if not length < np.inf:
            return
        for a in range(n):
            code[active[a]] += length * move[a]
        if first >= 0:
            code[first] = 0
        slopes(correlations[:m], gram, code[:m], slope[:m])
        if first < 0:
            return


def _descend(
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
    """From the codes given, signal by signal; iterations are sweeps over a working set."""
    n_units = gram.shape[0]
    dtype = gram.dtype
    slope = np.empty(n_units, dtype)
    units = np.empty(n_units, np.int64)
    is_screened = np.zeros(n_units, np.bool_)
    sub_gram = np.empty((n_units, n_units), dtype)
    sub_norms, sub_thresholds, sub_weights = (
        np.empty(n_units, dtype),
        np.empty(n_units, dtype),
        np.empty(n_units, dtype),
    )
    sub_correlations, sub_code, sub_slope = np.empty(n_units, dtype), np.empty(n_units, dtype), np.empty(n_units, dtype)
    trial, trial_slope = np.empty(n_units, dtype), np.empty(n_units, dtype)
    past = np.empty((_DEPTH + 1, n_units), dtype)
    least = 1e-5 if gram.itemsize == 4 else 1e-10
    active, move = np.empty(n_units, np.int64), np.empty(n_units)
    factor_of_active = np.empty((n_units, n_units))
    for s in range(first, last):
        c, code, sparsity, energy = correlations[s], codes[s], sparsities[s], energies[s]
        is_screened[:] = False
        converged[s] = False
        for j in range(n_units):
            if not norms[j] > 0:
                code[j] = 0  # sweeps leave it out, so that a nonzero start would keep its L1 norm
        n_sweeps = 0
        share = 0.3  # share of the range of violations that does not join yet
        while True:
            slopes(c, gram, code, slope)
            gap, factor = duality_gap(c, slope, code, weights, sparsity, energy, positive)
            if gap <= tolerance * 0.5 * energy:
                converged[s] = True
                break
            if n_sweeps >= max_iterations:
                break
            radius = np.sqrt(2 * max(gap, 0.0))
            highest = 0.0
            for j in range(n_units):
                q = float(slope[j]) if positive else abs(float(slope[j]))
                if code[j] == 0 and factor * abs(q) + np.sqrt(float(norms[j])) * radius < sparsity * weights[j]:
                    is_screened[j] = True
                if not is_screened[j] and norms[j] > 0:
                    highest = max(highest, q / weights[j])
            limit = sparsity + share * max(highest - sparsity, 0.0)
            share *= 0.5
            m = 0
            for j in range(n_units):
                q = float(slope[j]) if positive else abs(float(slope[j]))
                if code[j] != 0 or (not is_screened[j] and norms[j] > 0 and q / weights[j] >= limit):
                    units[m] = j
                    m += 1
            if m == 0:
                break
            square = sub_gram.reshape(-1)[: m * m].reshape(m, m)
            for a in range(m):
                row = gram[units[a]]
                for b in range(m):
                    square[a, b] = row[units[b]]
                sub_norms[a] = norms[units[a]]
                sub_weights[a] = weights[units[a]]
                sub_thresholds[a] = sparsity * weights[units[a]]
                sub_correlations[a] = c[units[a]]
                sub_code[a] = code[units[a]]
                sub_slope[a] = slope[units[a]]
            is_done = False
            for sweep in range(1, _SWEEPS + 1):
                if n_sweeps >= max_iterations:
                    break
                for a in range(m):
                    past[(sweep - 1) % (_DEPTH + 1), a] = sub_code[a]
                _sweep(m, square, sub_norms, sub_thresholds, sub_code, sub_slope, positive)
                n_sweeps += 1
                if sweep % (_DEPTH + 1) == _DEPTH:
                    for a in range(m):
                        past[_DEPTH, a] = sub_code[a]
                    _extrapolate(
                        m, past, square, sub_thresholds, sub_correlations, sub_code, sub_slope, positive, trial,
                        trial_slope,
                    )  # fmt: skip
                    inner, _ = duality_gap(
                        sub_correlations[:m], sub_slope[:m], sub_code[:m], sub_weights[:m], sparsity, energy, positive
                    )
                    if inner <= max(0.1 * gap, 0.3 * tolerance * 0.5 * energy):
                        is_done = True
                        break
            if not is_done and n_sweeps < max_iterations:
                _settle(
                    m, square, sub_thresholds, sub_correlations, sub_code, sub_slope, active, factor_of_active, move,
                    least,
                )  # fmt: skip
            for a in range(m):
                code[units[a]] = sub_code[a]
        iterations[s] = n_sweeps
