"""ISTA and FISTA to a given duality gap, for a batch of signals by BLAS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding._accelerated_step import accelerated_step

__all__ = ["descend_to_gap"]

_BETWEEN_LOOKS = 10  # iterations; a look costs about as much as one of them


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
    """Iterate until each signal's gap is small; signals that are finished leave the batch.

    Parameters
    ----------
    correlations : (n_samples, n_components), float32 or float64
        Products of the signals with the units.
    energies : (n_samples,)
        Squared norms of the signals.
    gram : (n_components, n_components)
    eigenvalue : float
        The largest of `gram`: the step is its inverse.
    weights : (n_components,)
        Of the units in the L1 norm.
    sparsities : (n_samples,)
        Factors of the weights.
    tolerance : float
        Of the gap, relative to half the energy.
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
    real = dtype.type
    codes = np.array(start, dtype, order="C")
    iterations = np.full(n_samples, max_iterations)
    converged = np.zeros(n_samples, bool)
    step = 1.0 / (eigenvalue * (1 + 4 * float(np.finfo(dtype).eps))) if eigenvalue > 0 else 1.0
    advance = accelerated_step(dtype)
    rows = np.arange(n_samples)
    linear, code, point = np.ascontiguousarray(correlations), codes.copy(), codes.copy()
    spare, age = np.empty_like(code), np.ones(n_samples)
    for iteration in range(max_iterations + 1):
        if iteration % _BETWEEN_LOOKS == 0 or iteration == max_iterations:
            gap = _gaps(linear, code, gram, weights, energies[rows], sparsities[rows], positive)
            done = gap <= tolerance * 0.5 * energies[rows]
            codes[rows], iterations[rows[done]], converged[rows[done]] = code, iteration, True
            if done.all():
                break
            if done.any():
                left = ~done
                rows, linear, code, point, age = rows[left], linear[left], code[left], point[left], age[left]
                spare = np.empty_like(code)
        if iteration == max_iterations:
            break
        product = point @ gram
        advance(
            point, product, linear, code, spare, age, (step * sparsities[rows]).astype(dtype), weights,
            real(step), real(0), real(0 if positive else 1), real(0), 1.0 if accelerated else 0.0,
        )  # fmt: skip
        point, spare = spare, point
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
    """The duality gap of each row, from correlations alone."""
    slope = linear - code @ gram
    ratio = (slope if positive else np.abs(slope)) / weights
    highest = np.maximum(ratio.max(axis=1).astype(np.float64), 0)
    factor = np.minimum(1, np.divide(sparsities, highest, out=np.ones_like(highest), where=highest > 0))
    aligned = energies - np.einsum("ij,ij->i", code, linear, dtype=np.float64)
    residual = aligned - np.einsum("ij,ij->i", code, slope, dtype=np.float64)
    norm = (np.abs(code) @ weights).astype(np.float64)
    return 0.5 * residual + sparsities * norm - factor * aligned + 0.5 * factor**2 * residual
