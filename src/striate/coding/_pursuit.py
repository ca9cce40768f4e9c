"""Codes by orthogonal matching pursuit: calls of the kernels, in double precision where rounding may matter.

Double precision also has signals and units whose squares would overflow or vanish; they are scaled by powers of two,
which changes no choice.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.coding._engine import rounded
from striate.coding._exact_path import Limits
from striate.coding._ranges import exponents
from striate.coding._special import is_large
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.threads import in_threads

__all__ = ["pursue"]

_BLOCK_BYTES = 64 << 20  # of compact codes, or of codes in double precision
_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
# Magnitudes of units and ‖y‖² of signals with which the kernels' products, up to (y·d)² ‖d‖², are in a type's range.
_MAGNITUDES = {_FLOAT32: (1e-3, 1e3), _FLOAT64: (1e-40, 1e40)}
_ENERGIES = {_FLOAT32: (1e-12, 1e12), _FLOAT64: (1e-70, 1e70)}
# The correlation with a unit, relative to the norms, at which the pursuit ends, and in float32 continues in double
# precision; relative error of a squared residual; share of a unit's squared norm outside the span of the chosen units
# from which on it is independent of them.
_PRECISION = {_FLOAT32: (1e-4, 1e-5, 1e-5), _FLOAT64: (1e-12, 0.0, 1e-10)}


class _Result(NamedTuple):
    """Codes of n signals as the kernels write them: in rows of `codes`, or, if it has no rows, of the others."""

    codes: NDArray[Any]  # (n or 0, n_components)
    supports: NDArray[np.int32]  # (n or 0, at_most): the active units of a signal, ascending
    values: NDArray[Any]
    counts: NDArray[np.int64]  # (n or 0,)

    @property
    def numbers(self) -> NDArray[Any]:
        """The values of codes in one array, (n, columns)."""
        return self.codes if len(self.codes) else self.values


class _Problem(NamedTuple):
    prepared: PreparedDictionary
    residual: float | None
    at_most: int
    recursive: bool
    positive: bool


def pursue(
    signals: NDArray[Any],
    prepared: PreparedDictionary,
    limits: Limits,
    *,
    recursive: bool,
    positive: bool,
    sparse_output: bool,
) -> Any:
    """Codes (n_samples, n_components) of finite signals, dense or as a CSR array."""
    at_most = min(prepared.n_components, prepared.n_features)
    if limits.max_nonzero is not None:
        at_most = min(at_most, limits.max_nonzero)
    problem = _Problem(prepared, limits.residual, at_most, recursive, positive)
    n, dtype = len(signals), signals.dtype
    if not sparse_output:
        result = _empty(problem, n, dtype, compact=False)
        if n and at_most:
            _solve(signals, problem, result, 0)
        return result.codes
    from scipy import sparse

    if not n or not at_most:
        return sparse.csr_array((n, prepared.n_components), dtype=dtype)
    blocks = []
    size = max(256, _BLOCK_BYTES // (16 * at_most))
    for first in range(0, n, size):
        block = signals[first : first + size]
        result = _empty(problem, len(block), dtype, compact=True)
        _solve(block, problem, result, first)
        used = np.arange(at_most) < result.counts[:, np.newaxis]
        starts = np.concatenate([[0], np.cumsum(result.counts)])
        shape = len(block), prepared.n_components
        blocks.append(sparse.csr_array((result.values[used], result.supports[used], starts), shape))
    return sparse.vstack(blocks, format="csr") if len(blocks) > 1 else blocks[0]


def _empty(problem: _Problem, n: int, dtype: np.dtype, *, compact: bool) -> _Result:
    dense, few = (0, n) if compact else (n, 0)
    return _Result(
        np.zeros((dense, problem.prepared.n_components), dtype),
        np.zeros((few, problem.at_most), np.int32),
        np.zeros((few, problem.at_most), dtype),
        np.zeros(few, np.int64),
    )


def _solve(signals: NDArray[Any], problem: _Problem, result: _Result, first: int) -> None:
    """Codes of some signals, of which the first has this number in messages."""
    dtype = signals.dtype
    left = np.arange(len(signals))
    if _is_tame(problem.prepared, dtype):
        left = left[_run(signals, problem, np.zeros(len(signals), np.int64), result) > 0]
    size = max(256, _BLOCK_BYTES // (8 * result.numbers.shape[1]))
    for start in range(0, len(left), size):
        some = left[start : start + size]
        exact = _in_double(signals[some], problem, compact=len(result.codes) == 0)
        result.numbers[some] = rounded(exact.numbers, dtype, first + some)
        if len(result.counts):
            result.supports[some], result.counts[some] = exact.supports, exact.counts


def _is_tame(prepared: PreparedDictionary, dtype: np.dtype) -> bool:
    low, high = _MAGNITUDES[dtype]
    return low < prepared.extent[0] and prepared.extent[1] < high


def _in_double(signals: NDArray[Any], problem: _Problem, *, compact: bool) -> _Result:
    """Codes in double precision, of signals and units that are scaled by powers of two."""
    of_units = exponents(problem.prepared.magnitudes)
    of_signals = exponents(np.abs(signals).max(axis=1))
    if of_units.any():
        scaled = np.ldexp(problem.prepared.components.astype(np.float64), -of_units[:, np.newaxis])
        problem = problem._replace(prepared=PreparedDictionary(scaled))
    result = _empty(problem, len(signals), _FLOAT64, compact=compact)
    with np.errstate(over="ignore", under="ignore"):
        _run(np.ldexp(signals.astype(np.float64), -of_signals[:, np.newaxis]), problem, of_signals, result)
        back = of_units[result.supports] if compact else of_units
        result.numbers[:] = np.ldexp(result.numbers, of_signals[:, np.newaxis] - back)
    return result


def _run(signals: NDArray[Any], problem: _Problem, of_signals: NDArray[Any], result: _Result) -> NDArray[np.int8]:
    """Run the kernel on signals of a type, which were divided by 2 to the power of `of_signals`.

    Returns the state of each.
    """
    dtype = signals.dtype
    if problem.positive:
        from striate.coding._positive_pursuit import compile_positive_pursuit

        kernel = compile_positive_pursuit(dtype)
    else:
        from striate.coding._pursuit_kernel import compile_pursuit

        kernel = compile_pursuit(dtype)
    from striate.kernels.simd import padded

    arrays = problem.prepared.arrays(dtype)
    panels = arrays.panels
    n, n_components = len(signals), problem.prepared.n_components
    gram = np.empty((0, 0), dtype) if is_large(problem.prepared, dtype) else arrays.padded_gram
    limits = np.full(n, -np.inf)
    if problem.residual is not None:
        with np.errstate(over="ignore", under="ignore"):
            limits = np.ldexp(problem.residual, -of_signals) ** 2
    norms = np.zeros(padded(n_components), dtype)
    norms[:n_components] = problem.prepared.squared_norms
    slack, margin, least = _PRECISION[dtype]
    ended = np.zeros(n, np.int8)
    low, high = _ENERGIES[dtype]

    def run(first: int, last: int) -> None:
        kernel(
            first, last, signals, panels, arrays.components, gram, norms, least * norms, limits, problem.at_most,
            problem.recursive, slack**2, margin, low, high, *result, ended,
        )  # fmt: skip

    in_threads(run, n, n_components * (problem.prepared.n_features + problem.at_most**2 // 2))
    return ended
