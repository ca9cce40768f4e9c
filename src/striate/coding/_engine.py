"""Solve for signals that share their units' weights, in blocks and in a chosen precision.

Signals that do not converge are finished by other solvers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding._finish import finish
from striate.coding._run import run_active_set, run_classical
from striate.coding.certificate import certify
from striate.coding.inference import METHODS
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.errors import UsageError
from striate.samples import check_finite, dense_rows, kernel_array

__all__ = ["Engine", "Task", "rounded"]

_BLOCK_BYTES = 64 << 20  # of correlations, or of compact codes, in a block
# Below this tolerance, a gap in single precision is only rounding, and double precision is used.
_SINGLE_PRECISION = 2e-5
# Magnitudes of units and sparsities whose products a type can hold.
_RANGES = {np.dtype(np.float32): (1e-12, 1e12), np.dtype(np.float64): (1e-50, 1e50)}
_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
# In single precision the classical methods continue to this share of the tolerance, since rounding may hide the rest.
_MARGIN = 0.05


@dataclass(frozen=True)
class Task:
    """The checked arguments of `infer`.

    `signals` are an array of any layout or a SciPy CSR matrix; `thresholds` are the sparsities, two-dimensional, of one
    or all signals and of one or all units.
    """

    signals: Any
    prepared: PreparedDictionary
    thresholds: NDArray[np.float64]
    dtype: np.dtype
    method: str
    positive: bool
    l2: float
    tolerance: float
    max_iterations: int
    start: Any = None

    @property
    def n_samples(self) -> int:
        return int(self.signals.shape[0])

    @property
    def is_limited(self) -> bool:
        """Whether fewer iterations than the default were asked for: then no other solver finishes."""
        return self.max_iterations < METHODS[self.method]


class Engine:
    """Solves a task whose thresholds are positive and finite, and are a weight per unit times a number per signal."""

    def __init__(self, task: Task) -> None:
        self.task = task
        n, n_components = task.n_samples, task.prepared.n_components
        thresholds = task.thresholds
        if thresholds.shape[1] == 1:
            self.weights, self.sparsities = np.ones(n_components), np.broadcast_to(thresholds[:, 0], n).copy()
        else:
            level = float(thresholds.max())
            self.weights, self.sparsities = thresholds[0] / level, np.full(n, level)
        self.iterations = np.zeros(n, np.int64)
        self.converged = np.ones(n, bool)
        self.precision = self._precision()
        self.is_extreme = not self._is_tame(_FLOAT64)

    def _precision(self) -> np.dtype:
        """float64 if float32 is not precise enough for the tolerance."""
        single = self.task.dtype == _FLOAT32 and self.task.tolerance >= _SINGLE_PRECISION
        return _FLOAT32 if single and self._is_tame(_FLOAT32) else _FLOAT64

    def _is_tame(self, dtype: np.dtype) -> bool:
        low, high = _RANGES[dtype]
        numbers = [*self.task.prepared.extent, self.sparsities.min(initial=1), self.sparsities.max(initial=1)]
        numbers += [self.weights.min(), max(1, self.task.l2)]
        return all(low < number < high for number in numbers)

    def solve(self, sparse_output: bool) -> Any:
        task = self.task
        shape = (task.n_samples, task.prepared.n_components)
        compact = sparse_output and task.start is None and task.method == "active_set" and not self.is_extreme
        if sparse_output:
            from scipy import sparse
        codes = None if sparse_output else np.empty(shape, task.dtype)
        blocks = []
        for rows in self._blocks(compact):
            block = kernel_array(dense_rows(task.signals, rows), task.dtype)
            if compact:
                blocks.append(self._compact(block, rows))
                continue
            into = np.empty((len(block), shape[1]), task.dtype) if codes is None else codes[rows]
            self._dense(block, rows, into)
            if sparse_output:
                blocks.append(sparse.csr_array(into))
        if not sparse_output:
            return codes
        return sparse.vstack(blocks, format="csr") if blocks else sparse.csr_array(shape, dtype=task.dtype)

    def _blocks(self, compact: bool) -> Iterator[slice]:
        prepared, n_samples = self.task.prepared, self.task.n_samples
        needs = min(prepared.n_features, prepared.n_components) if compact else prepared.n_components
        size = max(256, _BLOCK_BYTES // (8 * max(needs, prepared.n_features)))
        if self.task.method == "active_set" and not compact and _in_memory(self.task.signals, self.task.dtype):
            size = max(n_samples, 1)  # only the result is allocated
        for first in range(0, n_samples, size):
            yield slice(first, min(first + size, n_samples))

    def _dense(self, block: NDArray[Any], rows: slice, codes: NDArray[Any]) -> None:
        """Codes of a block, in place."""
        warm = self.task.start is not None
        if warm:
            start = dense_rows(self.task.start, rows)
            codes[:] = np.maximum(start, 0) if self.task.positive else start
        precision = self.precision
        worked = codes if precision == codes.dtype else codes.astype(precision) if warm else np.empty_like(
            codes, precision
        )  # fmt: skip
        work = block.astype(precision, copy=False)
        if self.is_extreme:
            check_finite(block, first=rows.start)
            worked[:] = 0
            left, doubtful = np.arange(len(block)), np.zeros(len(block), bool)
        elif self.task.method == "active_set":
            left, doubtful = self._active_set(work, rows, worked, warm)
        else:
            if not warm:
                worked[:] = 0
            left, doubtful = self._classical(work, rows, worked)
        if worked is not codes:
            worked[left[~np.isfinite(worked[left]).all(axis=1)]] = 0
            codes[:] = rounded(worked, self.task.dtype, rows.start + np.arange(len(codes)))
            if self.task.dtype == _FLOAT32:  # the code was rounded after the gap was computed
                sizes = self._sizes(codes)
                energies = np.einsum("ij,ij->i", work, work, dtype=np.float64)
                unsure = self._errors(energies, sizes, _FLOAT32) > _MARGIN * 0.5 * self.task.tolerance * energies
                unsure[left] = False
                left = np.append(left, np.flatnonzero(unsure))
                doubtful = np.append(doubtful, np.ones(int(unsure.sum()), bool))
        if len(left):
            codes[left] = self._settle(block, rows, left, doubtful, codes[left])

    def _active_set(
        self, block: NDArray[Any], rows: slice, codes: NDArray[Any], warm: bool, compact: Any = None
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Run the kernel on a block; return which signals are left, and which of these may have converged."""
        from striate.coding._active_set import DOUBTFUL, OUT_OF_RANGE, OUT_OF_ROUNDS

        task = self.task
        ended = run_active_set(
            block, task.prepared.arrays(block.dtype, task.l2), self.weights, self.sparsities[rows],
            tolerance=task.tolerance, positive=task.positive, max_iterations=task.max_iterations, warm=warm,
            codes=codes, iterations=self.iterations[rows], compact=compact,
        )  # fmt: skip
        left = np.flatnonzero(ended)
        if len(left) == 0:
            return left, np.zeros(0, bool)
        if (ended == OUT_OF_RANGE).any():
            check_finite(block, first=rows.start)
        self.converged[rows.start + left] = False
        if task.is_limited:
            left = left[ended[left] != OUT_OF_ROUNDS]
        return left, ended[left] == DOUBTFUL

    def _classical(
        self, block: NDArray[Any], rows: slice, codes: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Run another method on a block; see `_active_set`."""
        from striate.coding._active_set import ENERGIES

        task = self.task
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            energies = np.einsum("ij,ij->i", block, block, dtype=np.float64)
        low, high = ENERGIES[block.dtype]
        outside = ~((low <= energies) & (energies <= high))
        if outside.any():
            check_finite(block, first=rows.start)
            outside_and_not_0 = outside & block.any(axis=1)
            block = np.where(outside[:, np.newaxis], 0, block).astype(block.dtype)
            energies[outside], codes[outside] = 0, 0
        else:
            outside_and_not_0 = outside
        single = block.dtype == _FLOAT32
        iterations, converged = run_classical(
            task.method, block, energies, task.prepared.arrays(block.dtype, task.l2), self.weights,
            self.sparsities[rows], codes, tolerance=(1 - _MARGIN) * task.tolerance if single else task.tolerance,
            positive=task.positive, max_iterations=task.max_iterations,
            eigenvalue=task.prepared.largest_eigenvalue + task.l2 if task.method in ("fista", "ista") else None,
        )  # fmt: skip
        self.iterations[rows], self.converged[rows] = iterations, converged
        margin = _MARGIN if single else 1e-3
        errors = self._errors(energies, self._sizes(codes), block.dtype)
        doubtful = converged & (errors > margin * 0.5 * task.tolerance * energies)
        failed = ~converged
        if task.is_limited:
            failed &= iterations < task.max_iterations
        left = np.flatnonzero(failed | doubtful | outside_and_not_0)
        self.converged[rows.start + left] = False
        return left, doubtful[left] & ~outside[left]

    def _sizes(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        """An upper bound on ‖z‖₁ ‖d‖, (n,)."""
        with np.errstate(over="ignore"):  # infinity marks the gap as doubtful
            norms = np.abs(codes) @ self.weights.astype(codes.dtype)
            return np.asarray(norms, np.float64) * reach(self.task.prepared, self.task.l2, self.weights)

    def _errors(self, energies: NDArray[Any], sizes: NDArray[np.float64], dtype: np.dtype) -> NDArray[np.float64]:
        """Bound on the rounding error of a gap that is computed in a type, as in the active-set kernel."""
        return float(np.finfo(dtype).eps) * (np.sqrt(energies) + sizes) * sizes

    def _settle(
        self,
        block: NDArray[Any],
        rows: slice,
        left: NDArray[np.int64],
        doubtful: NDArray[np.bool_],
        codes: NDArray[Any],
    ) -> NDArray[Any]:
        """Compute the gaps of the remaining signals in double precision, and solve those above the tolerance again."""
        task = self.task
        where = rows.start + left
        signals, of_them = block[left], self._thresholds(where)
        gaps = np.full(len(left), np.inf)
        some = np.flatnonzero(doubtful)
        if len(some):
            gaps[some] = self._relative_gaps(signals[some], codes[some], of_them[some] if len(of_them) > 1 else of_them)
        bad = np.flatnonzero(gaps > task.tolerance)
        if len(bad):
            of_bad = of_them[bad] if len(of_them) > 1 else of_them
            start = codes[bad] if task.method == "active_set" or task.start is None else None
            exact = finish(
                signals[bad], task.prepared, of_bad, l2=task.l2, positive=task.positive, tolerance=task.tolerance,
                start=start,
            )  # fmt: skip
            new = rounded(exact, task.dtype, where[bad])
            new_gaps, old_gaps = (self._relative_gaps(signals[bad], z, of_bad) for z in (new, codes[bad]))
            is_better = new_gaps < old_gaps
            codes[bad[is_better]] = new[is_better]
            gaps[bad] = np.minimum(new_gaps, old_gaps)
        self.converged[where] = gaps <= task.tolerance
        return codes

    def _thresholds(self, where: NDArray[np.int64]) -> NDArray[np.float64]:
        """The task's thresholds for some of its signals."""
        of_all = self.task.thresholds
        return of_all[where] if len(of_all) > 1 else of_all

    def _relative_gaps(self, signals: Any, codes: Any, thresholds: Any) -> NDArray[np.float64]:
        task = self.task
        return certify(
            signals, codes, task.prepared, thresholds, positive=task.positive, l2=task.l2
        ).relative_gap  # fmt: skip

    def _compact(self, block: NDArray[Any], rows: slice) -> Any:
        """Codes of a block as a CSR array, packed by the kernel range by range."""
        from scipy import sparse

        precision, prepared = self.precision, self.task.prepared
        n, n_components = len(block), prepared.n_components
        capacity = prepared.arrays(precision, self.task.l2).capacity
        # The system allocates only the pages that are written to.
        units, values, counts, starts = compact = (
            np.empty(n * capacity, np.int32),
            np.empty(n * capacity, precision),
            np.zeros(n, np.int64),
            np.zeros(n, np.int64),
        )
        left, doubtful = self._active_set(
            block.astype(precision, copy=False), rows, np.empty((0, n_components), precision), False, compact
        )
        ends = np.concatenate([[0], np.cumsum(counts)])
        columns, data = np.empty(ends[-1], np.int32), np.empty(ends[-1], self.task.dtype)
        # Each thread packs the codes of a range one after another; between ranges there are gaps.
        firsts = np.flatnonzero(np.append(True, starts[1:] != starts[:-1] + counts[:-1]))
        for first, last in zip(firsts, np.append(firsts[1:], n), strict=True):
            packed = slice(starts[first], starts[first] + ends[last] - ends[first])
            columns[ends[first] : ends[last]] = units[packed]
            data[ends[first] : ends[last]] = values[packed]
        codes = sparse.csr_array((data, columns, ends), (n, n_components))
        if len(left):
            settled = self._settle(block, rows, left, doubtful, codes[left].toarray())
            others = np.setdiff1d(np.arange(n), left)
            order = np.argsort(np.concatenate([others, left]))
            codes = sparse.vstack([codes[others], sparse.csr_array(settled)], format="csr")[order]
            codes.sort_indices()
        return codes


def reach(prepared: PreparedDictionary, l2: float, weights: NDArray[Any]) -> float:
    """The largest ratio of a unit's norm to its weight."""
    return float((np.sqrt(prepared.squared_norms + l2) / weights).max())


def rounded(codes: NDArray[np.float64], dtype: np.dtype, samples: NDArray[np.int64]) -> NDArray[Any]:
    """Codes converted to a type, in which they must not overflow; `samples` are their row numbers, for the message."""
    with np.errstate(over="ignore", under="ignore"):
        result = codes.astype(dtype)
    lost = ~np.isfinite(result).all(axis=1) | (codes.any(axis=1) & ~result.any(axis=1))
    if lost.any():
        raise UsageError(
            f"the code of sample {samples[lost][0]} is too large or too small for {np.dtype(dtype).name}; "
            "bring signals and dictionary to a common scale"
        )
    return result


def _in_memory(signals: Any, dtype: np.dtype) -> bool:
    return (
        type(signals) is np.ndarray
        and signals.dtype == dtype
        and signals.flags.c_contiguous
        and signals.flags.aligned
        and not isinstance(signals, np.memmap)
    )
