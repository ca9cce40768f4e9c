"""Coordinate descent on a working set that grows.

Round: one pass over all coefficients gives the duality gap, which decides when to stop, and for each position the
coefficient that violates its bound most. Those that violate it by more than a share of the largest violation, which is
halved every round, join the coefficients that are not 0. Coordinate descent then moves the working set until its own
violations are small beside that of the round, or until it has taken as long as the pass and they are not large.

The sparsities begin at a multiple of those that were asked for, at which few coefficients are active, and become lower
whenever the codes are nearly optimal: fewer coefficients then join that leave again.

Where the gap does not become smaller, as it may at low sparsities, where about as many coefficients are active as
there are pixels, working sets are solved more and more exactly.

Descent is local, as in dicodile (Moreau, Gramfort, "DICODILE", 2019), whose segments sleep and wake in the same way:
a segment sleeps when neither it nor a neighbor has moved a coefficient by more than the target. Within awake segments,
however, all coefficients are visited in turn, because finding the best one costs as much as moving many.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.coding.convolutional._conjugate import polish
from striate.coding.convolutional._problem import Gap, Problem
from striate.coding.convolutional._sums import run_in_threads, stripes_by_parity
from striate.coding.convolutional._working_set import WorkingSet

__all__ = ["Descended", "descend"]

_SHARE = 0.3  # of the range of violations that does not join in the first round
_LOOSE, _STRICT = 0.3, 0.03  # targets of the descent, relative to the largest violation
_LOWER = 0.3  # the first level, relative to that at which all codes are 0, and each level relative to the one before
_NEARLY = 0.05  # gap, relative to the objective, at which the next level begins
_SLOW = 0.8  # a gap that is more than this share of that of the round before calls for conjugate gradients
_SWEEPS = 3  # of a stripe in a row, while it is in the cache
_LONGEST = 30  # times the work of a pass that a descent may take
_MOST_DOUBLINGS = 6  # of the work on a working set, every second round without progress
_PATIENCE = 60  # rounds without progress, after which rounding must be the reason
_OVERHEAD = 1500  # multiplications that take as long as the waiting of a coefficient's move
_LEAST = {4: 1e-6, 8: 1e-14}  # moves of this share of the sparsity are rounding; by bytes of a number


class Descended(NamedTuple):
    """Coefficients, their gap, and the number of passes over all coefficients."""

    working: WorkingSet
    gap: Gap
    iterations: int


def descend(problem: Problem, working: WorkingSet, tolerance: float, max_iterations: int) -> Descended:
    """From a working set to one whose gap is at most ``tolerance`` · ½‖m⊙x‖², if rounding allows it."""
    goal, least = tolerance * problem.half_energy, _LEAST[problem.dtype.itemsize]
    level = 1.0 if len(working) else np.inf  # sparsities are times this, until the codes there are nearly optimal
    share, best, waited = _SHARE, np.inf, 0  # `best` is the gap when it was last lower by a tenth
    last, allowed = np.inf, 0.0  # the gap of the round before; the violation at which it would be at the goal
    for iteration in range(1, max_iterations + 1):
        limit = 1 + 0.5 * allowed if level == 1 else max(1.0, _LOWER * level)
        plain = problem.evaluate(working, limit if np.isfinite(level) else 1.0)
        level = min(level, max(1.0, _LOWER * plain.highest))
        gap = plain.at(level)
        while level > 1 and gap.gap <= _NEARLY * gap.objective:
            level, share, last = max(1.0, _LOWER * level), _SHARE, np.inf
            gap = plain.at(level)
        if level == 1:
            best, waited = (gap.gap, 0) if gap.gap < 0.9 * best else (best, waited + 1)
            if gap.gap <= goal or waited > _PATIENCE:
                break
        if iteration == max_iterations or not np.isfinite(gap.highest):
            break
        violation = max(gap.highest - 1, 0.0)
        allowed = min(_allowed(gap, goal if level == 1 else _NEARLY * gap.objective), 0.5 * violation)
        joins = 1 + max(share * violation, 0.5 * allowed)
        working = working.extended(problem.strengths, problem.strongest, level * joins)
        share *= 0.5
        floor = max(0.3 * allowed, least)
        effort = 2 ** min(waited // 2, _MOST_DOUBLINGS)
        targets = max(_STRICT / effort * violation, floor), max(_LOOSE / effort * violation, floor)
        if not _move(problem, working, level, *targets, effort) and gap.gap > _SLOW * last:
            polish(problem, working, level)
        last = gap.gap
    return Descended(working, plain, iteration)


def _allowed(gap: Gap, goal: float) -> float:
    """The violation at which a code that is otherwise optimal would have the wanted gap.

    For such a code, m⊙x and r have the product ‖r‖² + Σ λ|z|, so that a factor of 1 − t leaves the gap
    t Σ λ|z| + ½ t² ‖r‖².
    """
    root = np.sqrt(gap.norm**2 + 2 * gap.square * goal) + gap.norm
    t = min(2 * goal / root, 0.5) if root > 0 else 0.5
    return float(t / (1 - t))


def _move(problem: Problem, working: WorkingSet, level: float, strict: float, loose: float, effort: int) -> bool:
    """Descend to the strict target if this takes no longer than `effort` passes over all coefficients, or to the loose.

    Return whether the strict one was reached.
    """
    from striate.coding.convolutional._kernels import compile_descent

    if not len(working):
        return True
    kernel, arrays = compile_descent(problem.dtype), problem.arrays
    layout = problem.layout
    shift = max(5, int(layout.filter_width - 1).bit_length())  # a window reaches into the next segment at most
    awake = np.ones((layout.n_stripes, (layout.n_columns - 1 >> shift) + 1), bool)
    moved = np.zeros(awake.shape, problem.dtype)
    swept = np.zeros(layout.n_stripes, np.int64)
    norms, thresholds = problem.norms_of(working), problem.thresholds * problem.dtype.type(level)
    per_move = 2 * arrays.windows[0].size + _OVERHEAD
    target = strict
    while awake.any():
        moved[:] = 0
        for stripes in stripes_by_parity(layout):
            stripes = stripes[awake[stripes].any(axis=1)]
            arguments = (
                stripes, layout.stripe_height, shift, problem.residual, problem.weights, arrays.windows,
                thresholds, problem.positive, working.starts, working.columns, working.places, working.maps,
                norms, working.values, awake, problem.dtype.type(target), _SWEEPS, moved, swept,
            )  # fmt: skip
            work = _SWEEPS * per_move * len(working) / layout.n_stripes * len(stripes)
            run_in_threads(kernel, arguments, len(stripes), work, problem.n_threads)
        spent = float(swept.sum()) * per_move / problem.scan_work
        if spent > _LONGEST * effort:
            return False
        target = strict if spent < effort else loose
        awake = _woken(moved > target)
    return target == strict


def _woken(restless: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The segments that moved, and those next to them."""
    awake = restless.copy()
    awake[1:] |= restless[:-1]
    awake[:-1] |= restless[1:]
    sideways = awake.copy()
    sideways[:, 1:] |= awake[:, :-1]
    sideways[:, :-1] |= awake[:, 1:]
    return sideways
