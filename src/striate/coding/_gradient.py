"""ISTA and FISTA to a given duality gap, for a batch of signals by BLAS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding._descent import Descent
from striate.coding._solver_kernel import gap_of_sums

__all__ = ["descend_to_gap"]

_BETWEEN_CHECKS = 10  # iterations between two checks of the gap; a check costs about as much as an iteration


def descend_to_gap(
    correlations: NDArray[Any],
    energies: NDArray[np.float64],
    gram: NDArray[Any],
    eigenvalue: float,
    weights: NDArray[Any],
    sparsities: NDArray[np.float64],
    *,
    tolerance: float,
    positive: bool,
    max_iterations: int,
    start: NDArray[Any],
    accelerated: bool,
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.bool_]]:
    """Iterate until each signal's gap is small; signals that have converged leave the batch.

    Parameters
    ----------
    correlations : (n_samples, n_components), float32 or float64
        Products of the signals with the units.
    energies : (n_samples,)
        Squared norms of the signals.
    gram : (n_components, n_components)
    eigenvalue : float
        The largest eigenvalue of `gram`: the step is its inverse.
    weights : (n_components,)
        Weights of the units in the L1 norm.
    sparsities : (n_samples,)
        Factors of the weights.
    tolerance : float
        Tolerance of the gap, relative to half the energy.
    start : (n_samples, n_components)
    accelerated : bool
        FISTA (Beck & Teboulle 2009) with restarts (O'Donoghue & Candès 2015), or ISTA (Daubechies et al. 2004).

    Returns
    -------
    codes : (n_samples, n_components)
    iterations : (n_samples,)
    converged : (n_samples,)
    """
    dtype, n_samples = correlations.dtype, len(correlations)
    codes = np.array(start, dtype, order="C")
    iterations = np.full(n_samples, max_iterations)
    converged = np.zeros(n_samples, bool)
    step = 1.0 / (eigenvalue * (1 + 4 * float(np.finfo(dtype).eps))) if eigenvalue > 0 else 1.0
    descent = Descent(
        codes, np.ascontiguousarray(correlations), gram, step=step, thresholds=(step * sparsities).astype(dtype),
        weights=weights, positive=positive, momentum_limit=1.0 if accelerated else 0.0,
    )  # fmt: skip
    rows = np.arange(n_samples)
    for iteration in range(max_iterations + 1):
        if iteration % _BETWEEN_CHECKS == 0 or iteration == max_iterations:
            gap = _gaps(descent.linear, descent.codes, gram, weights, energies[rows], sparsities[rows], positive)
            done = gap <= tolerance * 0.5 * energies[rows]
            codes[rows], iterations[rows[done]], converged[rows[done]] = descent.codes, iteration, True
            if done.all():
                break
            if done.any():
                rows = rows[~done]
                descent.keep(~done)
        if iteration < max_iterations:
            descent.advance()
    return codes, iterations, converged


def _gaps(
    linear: NDArray[Any],
    code: NDArray[Any],
    gram: NDArray[Any],
    weights: NDArray[Any],
    energies: NDArray[np.float64],
    sparsities: NDArray[np.float64],
    positive: bool,
) -> NDArray[np.float64]:
    """The duality gap of each row, computed only from correlations."""
    slope = linear - code @ gram
    ratio = (slope if positive else np.abs(slope)) / weights
    highest = np.maximum(ratio.max(axis=1).astype(np.float64), 0)
    factor = np.minimum(1, np.divide(sparsities, highest, out=np.ones_like(highest), where=highest > 0))
    aligned = energies - np.einsum("ij,ij->i", code, linear, dtype=np.float64)
    residual = aligned - np.einsum("ij,ij->i", code, slope, dtype=np.float64)
    norm = (np.abs(code) @ weights).astype(np.float64)
    return gap_of_sums(residual, aligned, norm, sparsities, factor)
