"""Tasks that are reduced to ordinary ones: masks, sparsities of 0 and infinity, very large dictionaries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.coding._engine import Engine, Task
from striate.coding._own_features import with_own_features
from striate.coding.certificate import certify
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.samples import dense_rows

__all__ = ["Solved", "is_large", "needs_care", "solve_carefully", "solve_masked", "threshold_codes"]

_GRAM_BYTES = 1 << 30  # above this a dictionary's Gram matrix is never formed as a whole
_TOGETHER = 64  # signals that share a working set of units of a large dictionary
_FEATHER = 1e-9  # factor of a sparsity that replaces 0 if codes must not be negative


class Solved(NamedTuple):
    """Codes (n_samples, n_components) in double precision, and iterations (n_samples,)."""

    codes: NDArray[np.float64]
    iterations: NDArray[np.int64]


def is_large(prepared: PreparedDictionary, dtype: np.dtype) -> bool:
    """Whether the Gram matrix takes more than 1 GiB."""
    return prepared.n_components**2 * dtype.itemsize > _GRAM_BYTES


def needs_care(task: Task) -> bool:
    """Whether the engine cannot solve a task: thresholds of 0, infinity or per unit and signal; a large dictionary."""
    thresholds = task.thresholds
    return (
        (len(thresholds) > 1 and thresholds.shape[1] > 1)
        or bool((thresholds == 0).any() or np.isinf(thresholds).any())
        or is_large(task.prepared, task.dtype)
    )


def solve_masked(task: Task, mask: NDArray[np.bool_]) -> Solved:
    """Codes of signals whose features were not all observed; signals with the same mask are solved together."""
    found = Solved(np.zeros((task.n_samples, task.prepared.n_components)), np.zeros(task.n_samples, np.int64))
    components = task.prepared.components
    for samples, pattern in _groups(mask):
        if not pattern.any():
            continue  # nothing was observed: the code is 0
        signals = np.ascontiguousarray(dense_rows(task.signals, samples)[:, pattern])
        part = _part(task, samples, signals=signals)
        part = replace(part, prepared=task.prepared if pattern.all() else PreparedDictionary(components[:, pattern]))
        codes, iterations = solve_carefully(part)
        found.codes[samples], found.iterations[samples] = codes, iterations
    return found


def solve_carefully(task: Task) -> Solved:
    """Any task without a mask."""
    if not needs_care(task):
        return _by_engine(task)
    thresholds = task.thresholds
    kind = np.sign(thresholds) + np.isinf(thresholds)  # 0 free, 1 penalized, 2 excluded
    if (kind != 1).any():
        found = Solved(np.zeros((task.n_samples, task.prepared.n_components)), np.zeros(task.n_samples, np.int64))
        for samples, pattern in _groups(np.broadcast_to(kind, (task.n_samples, kind.shape[1]))):
            part = _part(task, samples)
            pattern = np.broadcast_to(pattern, task.prepared.n_components)
            codes, iterations = _without_excluded(part, pattern)
            found.codes[samples], found.iterations[samples] = codes, iterations
        return found
    if is_large(task.prepared, task.dtype):
        return _solve_large(task)
    return _by_engine(task)


def threshold_codes(task: Task) -> NDArray[Any]:
    """Correlations with the units, soft-thresholded, in the task's type: optimal for orthonormal units."""
    codes = np.empty((task.n_samples, task.prepared.n_components), task.dtype)
    units = task.prepared.components.astype(task.dtype, copy=False)
    size = max(1, (1 << 23) // units.shape[0])
    for first in range(0, task.n_samples, size):
        rows = slice(first, first + size)
        signals = dense_rows(task.signals, rows).astype(task.dtype, copy=False)
        limits = (task.thresholds[rows] if len(task.thresholds) > 1 else task.thresholds).astype(task.dtype)
        correlations = signals @ units.T
        shrunk = np.maximum((correlations if task.positive else np.abs(correlations)) - limits, 0)
        codes[rows] = np.copysign(shrunk, correlations) / (1 + task.dtype.type(task.l2))
    codes[codes == 0] = 0  # not −0
    return codes


def _by_engine(task: Task) -> Solved:
    if min(task.thresholds.shape) > 1:  # each signal has its own weights
        return _joined([_by_engine(_part(task, np.array([i]))) for i in range(task.n_samples)])
    engine = Engine(task)
    codes = engine.solve(sparse_output=False)
    return Solved(codes.astype(np.float64, copy=False), engine.iterations)


def _joined(parts: list[Solved]) -> Solved:
    return Solved(np.vstack([part.codes for part in parts]), np.concatenate([part.iterations for part in parts]))


def _groups(patterns: NDArray[Any]) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Groups of samples with equal rows, and that row."""
    if len(patterns) == 0:
        return
    different, group = np.unique(patterns, axis=0, return_inverse=True)
    for number, pattern in enumerate(different):
        yield np.flatnonzero(group.reshape(-1) == number), pattern


def _part(task: Task, samples: NDArray[np.int64], signals: Any = None) -> Task:
    """A task for some of the signals, computed in double precision: the whole task is checked and rounded later."""
    return replace(
        task,
        signals=dense_rows(task.signals, samples).astype(np.float64) if signals is None else signals.astype(np.float64),
        thresholds=task.thresholds[samples] if len(task.thresholds) > 1 else task.thresholds,
        start=None if task.start is None else dense_rows(task.start, samples),
        dtype=np.dtype(np.float64),
        tolerance=0.3 * task.tolerance,
    )


def _without_excluded(task: Task, kind: NDArray[Any]) -> Solved:
    """Signals with the same kinds of thresholds: excluded units are left out, and free units are projected away."""
    n, n_components = task.n_samples, task.prepared.n_components
    codes, iterations = np.zeros((n, n_components)), np.zeros(n, np.int64)
    units = task.prepared.components.astype(np.float64)
    thresholds = np.broadcast_to(task.thresholds, (len(task.thresholds), n_components))
    if task.positive and (kind == 0).any():
        return _with_feathers(task, kind, thresholds)
    free, bound = np.flatnonzero(kind == 0), np.flatnonzero(kind == 1)
    signals, others = dense_rows(task.signals, slice(None)), units[bound]
    if task.l2 and len(free):  # an l2 term is expressed as additional features, which the free units have as well
        units = with_own_features(units, task.l2)
        signals, others = np.hstack([signals, np.zeros((n, n_components))]), units[bound]
    inverse = np.linalg.pinv(units[free], rcond=1e-13) if len(free) else None
    if inverse is not None:
        signals_left = signals - (signals @ inverse) @ units[free]
        others_left = others - (others @ inverse) @ units[free]
    else:
        signals_left, others_left = signals, others
    if len(bound):
        start = None if task.start is None else task.start[:, bound]
        part = replace(
            task, signals=signals_left, prepared=PreparedDictionary(others_left), start=start,
            thresholds=thresholds[:, bound], l2=0.0 if len(free) else task.l2,
        )  # fmt: skip
        codes[:, bound], iterations = solve_carefully(part)
    if inverse is not None:
        codes[:, free] = (signals - codes[:, bound] @ others) @ inverse
    return Solved(codes, iterations)


def _with_feathers(task: Task, kind: NDArray[Any], thresholds: NDArray[np.float64]) -> Solved:
    """Codes that must not be negative, with free units: these get a tiny sparsity instead of 0."""
    codes = np.zeros((task.n_samples, task.prepared.n_components))
    some = np.flatnonzero(kind != 2)
    part = thresholds[:, some]
    penalized = part[part > 0]
    signals = dense_rows(task.signals, slice(None))
    units = task.prepared.components[some].astype(np.float64)
    highest = float(np.abs(signals @ units.T).max(initial=0)) or 1.0
    level = min(float(penalized.min(initial=highest)), highest)
    part = np.where(part == 0, _FEATHER * level, part)
    start = None if task.start is None else task.start[:, some]
    codes[:, some], iterations = solve_carefully(
        replace(task, prepared=PreparedDictionary(units), thresholds=part, start=start)
    )
    return Solved(codes, iterations)


def _solve_large(task: Task) -> Solved:
    """Working sets of units that some signals share: only the Gram matrix of these units is computed."""
    codes = np.zeros((task.n_samples, task.prepared.n_components))
    iterations = np.zeros(task.n_samples, np.int64)
    for first in range(0, task.n_samples, _TOGETHER):
        samples = np.arange(first, min(first + _TOGETHER, task.n_samples))
        codes[samples], iterations[samples] = _solve_together(_part(task, samples))
    return Solved(codes, iterations)


def _solve_together(task: Task) -> Solved:
    units = task.prepared.components
    n, n_components = task.n_samples, len(units)
    codes, iterations = np.zeros((n, n_components)), np.zeros(n, np.int64)
    at_work = np.zeros(n_components, bool)
    if task.start is not None:
        at_work |= (task.start != 0).any(axis=0)
        if at_work.sum() > n * task.prepared.n_features:
            at_work[:] = False  # such a start has too many units
    n_more = 2 * task.prepared.n_features
    unfinished = np.arange(n)
    while True:
        slopes = (task.signals[unfinished] - codes[unfinished] @ units) @ units.T.astype(np.float64)
        slopes -= task.l2 * codes[unfinished]
        limits = task.thresholds[unfinished] if len(task.thresholds) > 1 else task.thresholds
        excess = (slopes if task.positive else np.abs(slopes)) / limits
        excess[:, at_work] = 0
        strongest = np.argpartition(-excess, min(n_more, n_components - 1), axis=1)[:, :n_more]
        new = np.zeros(n_components, bool)
        for row, chosen in zip(excess, strongest, strict=True):
            new[chosen[row[chosen] > 1]] = True
        if not new.any():
            return Solved(codes, iterations)
        at_work |= new
        some = np.flatnonzero(at_work)
        if n > 1 and len(some) ** 2 * 8 > _GRAM_BYTES:  # the signals need too many different units
            halves = np.array_split(np.arange(n), 2)
            return _joined([_solve_together(_part(task, half)) for half in halves])
        thresholds = np.broadcast_to(task.thresholds, (len(task.thresholds), n_components))[:, some]
        start = codes[np.ix_(unfinished, some)]
        part = replace(
            task, signals=task.signals[unfinished], prepared=PreparedDictionary(units[some]),
            thresholds=_common(thresholds[unfinished] if len(thresholds) > 1 else thresholds),
            start=start if task.method != "homotopy" and start.any() else None,
        )  # fmt: skip
        found, steps = _by_engine(part)
        codes[np.ix_(unfinished, some)] = found
        iterations[unfinished] += steps
        of_them = task.thresholds[unfinished] if len(task.thresholds) > 1 else task.thresholds
        gaps = certify(
            task.signals[unfinished], codes[unfinished], units, of_them, positive=task.positive, l2=task.l2
        ).relative_gap  # fmt: skip
        unfinished = unfinished[gaps > task.tolerance]
        n_more *= 2
        if len(unfinished) == 0:
            return Solved(codes, iterations)


def _common(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """One column, if all columns are equal."""
    return thresholds[:, :1] if (thresholds == thresholds[:, :1]).all() else thresholds
