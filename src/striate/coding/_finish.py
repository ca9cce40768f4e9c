"""Codes of signals for which a method did not converge: in double precision, rescaled, by several solvers in turn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding._own_features import with_own_features
from striate.coding._ranges import exponents
from striate.coding._run import run_active_set, run_classical
from striate.coding.certificate import certify
from striate.coding.prepared_dictionary import Arrays, PreparedDictionary

__all__ = ["finish"]

_CHAIN = ("active_set", "coordinate_descent", "feature_sign", "homotopy")
_ITERATIONS = {"active_set": 1_000, "coordinate_descent": 2_000, "feature_sign": 10_000, "homotopy": 10_000}
_TAME = 20  # units between 2⁻²⁰ and 2²⁰ are left as they are
_SMALLEST = 1e-60  # sparsity, where signals and units are near 1


def finish(
    signals: NDArray[Any],
    prepared: PreparedDictionary,
    thresholds: NDArray[np.float64],
    *,
    l2: float,
    positive: bool,
    tolerance: float,
    start: NDArray[Any] | None,
) -> NDArray[np.float64]:
    """Codes (n_samples, n_components) in double precision, by the solver that comes closest to the optimum.

    Extreme signals and units are scaled to magnitudes near 1 by powers of two, which causes no rounding.
    """
    signals = signals.astype(np.float64)
    of_signals = exponents(np.abs(signals).max(axis=1, initial=0), tame=0)
    of_units = exponents(prepared.magnitudes, tame=0)
    if np.abs(of_units).max() > _TAME:
        arrays = Arrays(np.ldexp(prepared.components.astype(np.float64), -of_units[:, np.newaxis]), _lift(l2, of_units))
    else:
        of_units[:] = 0
        arrays = prepared.arrays(np.dtype(np.float64), l2)
    weights, sparsities = _factors(thresholds, of_signals, of_units)
    scaled = np.ldexp(signals, -of_signals[:, np.newaxis])
    back = of_signals[:, np.newaxis] - of_units
    with np.errstate(over="ignore", under="ignore"):
        codes = np.zeros((len(signals), len(of_units)))
        if start is not None:
            codes = np.nan_to_num(np.ldexp(start.astype(np.float64), -back), posinf=0, neginf=0)
    best, gaps = codes, _gaps(scaled, codes, arrays, weights, sparsities, positive)
    energies = np.einsum("ij,ij->i", scaled, scaled)
    for method in _CHAIN:
        left = np.flatnonzero(gaps > 0.3 * tolerance)
        if len(left) == 0:
            break
        found = best[left].copy()
        _run(method, scaled[left], energies[left], arrays, weights, sparsities[left], found, positive, 0.2 * tolerance)
        found[~np.isfinite(found).all(axis=1)] = 0
        found_gaps = _gaps(scaled[left], found, arrays, weights, sparsities[left], positive)
        is_better = found_gaps < gaps[left]
        best[left[is_better]], gaps[left[is_better]] = found[is_better], found_gaps[is_better]
    with np.errstate(over="ignore", under="ignore"):
        codes = np.ldexp(best, back)
    codes[best.any(axis=1) & ~codes.any(axis=1)] = np.nan  # too small for any type
    return codes


def _factors(
    thresholds: NDArray[np.float64], of_signals: NDArray[Any], of_units: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The thresholds of scaled signals and units: weights of the units, times one number per signal."""
    with np.errstate(over="ignore", under="ignore"):
        if thresholds.shape[1] == 1:
            weights, sparsities = np.ones(len(of_units)), np.broadcast_to(thresholds[:, 0], len(of_signals))
        else:
            level = thresholds.max()
            weights, sparsities = thresholds[0] / level, np.full(len(of_signals), level)
        exponent = np.frexp(weights)[1] - of_units
        highest = int(exponent.max())
        weights = np.ldexp(weights, -of_units - highest)
        sparsities = np.ldexp(sparsities, highest - of_signals)
    return np.maximum(weights, _SMALLEST), np.clip(sparsities, _SMALLEST, 1 / _SMALLEST)


def _lift(l2: float, of_units: NDArray[Any]) -> float | NDArray[np.float64]:
    with np.errstate(over="ignore", under="ignore"):
        return np.minimum(np.ldexp(l2, -2 * of_units), 1 / _SMALLEST) if l2 else 0.0


def _gaps(
    signals: NDArray[np.float64],
    codes: NDArray[np.float64],
    arrays: Arrays,
    weights: NDArray[np.float64],
    sparsities: NDArray[np.float64],
    positive: bool,
) -> NDArray[np.float64]:
    units = arrays.components
    if np.max(arrays.l2) > 0:
        units = with_own_features(units, arrays.l2)
        signals = np.hstack([signals, np.zeros((len(signals), len(units)))])
    of_all = sparsities[:, np.newaxis]
    thresholds = of_all if (weights == 1).all() else of_all * weights
    return certify(signals, codes, units, thresholds, positive=positive).relative_gap


def _run(
    method: str,
    signals: NDArray[np.float64],
    energies: NDArray[np.float64],
    arrays: Arrays,
    weights: NDArray[np.float64],
    sparsities: NDArray[np.float64],
    codes: NDArray[np.float64],
    positive: bool,
    tolerance: float,
) -> None:
    """Run one solver in place, starting from `codes`."""
    if method == "active_set":
        run_active_set(
            signals, arrays, weights, sparsities, tolerance=tolerance, positive=positive,
            max_iterations=_ITERATIONS[method], warm=bool(codes.any()), codes=codes,
            iterations=np.zeros(len(signals), np.int64),
        )  # fmt: skip
    else:
        run_classical(
            method, signals, energies, arrays, weights, sparsities, codes, tolerance=tolerance, positive=positive,
            max_iterations=_ITERATIONS[method],
        )  # fmt: skip
