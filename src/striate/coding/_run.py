"""Calls of the kernels, with their arrays and constants, in threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding.prepared_dictionary import Arrays
from striate.threads import in_threads

__all__ = ["run_active_set", "run_classical"]

_EAGERNESS = 0.9  # share of the strongest violation: units above it join in the same round
_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_NOWHERE = {
    dtype: (np.empty(0, np.int32), np.empty(0, dtype), np.empty(0, np.int64), np.empty(0, np.int64))
    for dtype in (_FLOAT32, _FLOAT64)
}


def run_active_set(
    signals: NDArray[Any],
    arrays: Arrays,
    weights: NDArray[Any],
    sparsities: NDArray[np.float64],
    *,
    tolerance: float,
    positive: bool,
    max_iterations: int,
    warm: bool,
    codes: NDArray[Any],
    iterations: NDArray[np.int64],
    compact: tuple[NDArray[Any], ...] | None = None,
) -> NDArray[np.int8]:
    """Run the active-set kernel over all signals; return the state of each, 0 if it reached the tolerance.

    `codes` receives dense results, and with `warm` holds the start; with `compact`, `codes` has no rows.
    """
    from striate.coding._active_set import ENERGIES, compile_active_set

    gram = arrays.padded_gram
    dtype = gram.dtype
    n, (n_units, n_padded) = len(sparsities), gram.shape
    padded, inverse = np.ones(n_padded, dtype), np.ones(n_padded, dtype)
    padded[:n_units] = weights
    inverse[:n_units] = 1 / weights
    units, values, counts, starts = compact or _NOWHERE[dtype]
    ended = np.zeros(n, np.int8)
    slack, least = (1e-6, 1e-5) if dtype == _FLOAT32 else (1e-12, 1e-10)
    rounding = float(np.finfo(dtype).eps)
    reach = float((np.sqrt(arrays.squared_norms) / weights).max())
    low, high = ENERGIES[dtype]
    kernel = compile_active_set(dtype)

    def run(first: int, last: int) -> None:
        kernel(
            first, last, signals, arrays.panels, gram, padded, inverse, sparsities, tolerance, rounding, reach, slack,
            least, positive, _EAGERNESS, max_iterations, arrays.capacity, low, high, warm, codes, units, values, counts,
            starts, iterations, ended,
        )  # fmt: skip

    in_threads(run, n, n_units * signals.shape[1])
    return ended


def run_classical(
    method: str,
    signals: NDArray[Any],
    energies: NDArray[np.float64],
    arrays: Arrays,
    weights: NDArray[Any],
    sparsities: NDArray[np.float64],
    codes: NDArray[Any],
    *,
    tolerance: float,
    positive: bool,
    max_iterations: int,
    eigenvalue: float | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Run a method that works from correlations, in place, from `codes`; return the iterations and `converged`.

    `eigenvalue` is the largest one of the Gram matrix, for "fista" and "ista".
    """
    weights = weights.astype(signals.dtype)
    if method in ("fista", "ista"):
        from striate.coding._gradient import descend_to_gap

        codes[:], iterations, converged = descend_to_gap(
            signals @ arrays.components.T, energies, arrays.gram, eigenvalue or 0.0, weights, sparsities,
            tolerance=tolerance, positive=positive, max_iterations=max_iterations, start=codes,
            accelerated=method == "fista",
        )  # fmt: skip
        return iterations, converged
    correlations = arrays.correlations(signals)
    iterations, converged = np.zeros(len(signals), np.int64), np.zeros(len(signals), bool)
    kernel = _classical_kernel(method, signals.dtype)
    stops = (arrays.gram.shape[0] + 1, 0.0) if method == "homotopy" else ()

    def run(first: int, last: int) -> None:
        kernel(
            first, last, correlations, energies, arrays.gram, arrays.squared_norms, weights, sparsities,
            tolerance, positive, max_iterations, *stops, codes, iterations, converged,
        )  # fmt: skip

    in_threads(run, len(signals), arrays.components.size)
    return iterations, converged


def _classical_kernel(method: str, dtype: np.dtype) -> Callable[..., None]:
    if method == "coordinate_descent":
        from striate.coding._coordinate_descent import compile_coordinate_descent

        return compile_coordinate_descent(dtype)
    if method == "feature_sign":
        from striate.coding._feature_sign import compile_feature_sign

        return compile_feature_sign(dtype)
    if method == "homotopy":
        from striate.coding._homotopy import compile_homotopy

        return compile_homotopy(dtype)
    from striate.coding._greedy_descent import compile_greedy_descent

    return compile_greedy_descent(dtype)
