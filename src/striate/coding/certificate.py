"""How far a code is from the best: the duality gap, computed in double precision from the code alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Certificate", "certify"]

_BLOCK_NUMBERS = 1 << 22  # in double precision at a time, 32 MB


class Certificate(NamedTuple):
    """Of each signal, float64 (n_samples,).

    Attributes
    ----------
    objective : ½‖y − zD‖² + Σ sparsity·|z|.
    gap : its distance to the minimum, at most.
    relative_gap : `gap` in units of ½‖y‖², the objective of an empty code; 0 for a signal that is 0.
    """

    objective: NDArray[np.float64]
    gap: NDArray[np.float64]
    relative_gap: NDArray[np.float64]


def certify(
    signals: NDArray[Any],
    codes: Any,
    dictionary: NDArray[Any],
    sparsity: float | NDArray[Any],
    *,
    positive: bool = False,
) -> Certificate:
    """Objective and duality gap of any codes, whoever found them.

    With residual r = y − zD, the point s·r, where s ≤ 1 is the largest factor for which no unit's correlation exceeds
    its sparsity, is feasible for the dual problem max ½‖y‖² − ½‖y − θ‖², and bounds the minimum from below.

    Parameters
    ----------
    signals : (n_samples, n_features)
    codes : (n_samples, n_components), an array or a SciPy sparse array
    dictionary : (n_components, n_features)
    sparsity : float, (n_components,) or (n_samples, 1)
    positive : bool
        Codes must not be negative; those that are have an infinite objective.

    References
    ----------
    Kim, Koh, Lustig, Boyd, Gorinevsky, "An interior-point method for large-scale l1-regularized least squares", IEEE
    Journal of Selected Topics in Signal Processing 2007, section III.
    """
    units = dictionary.astype(np.float64, copy=False)
    n_samples, n_components = len(signals), len(units)
    of_all = np.broadcast_to(np.asarray(sparsity, np.float64), np.broadcast_shapes(np.shape(sparsity), (1, 1)))
    objective, gap, half_energy = np.empty(n_samples), np.empty(n_samples), np.empty(n_samples)
    size = max(1, _BLOCK_NUMBERS // max(n_components, units.shape[1]))
    for start in range(0, n_samples, size):
        rows = slice(start, start + size)
        y = np.asarray(signals[rows], np.float64)
        part = codes[rows]
        z = np.asarray(part.toarray() if hasattr(part, "toarray") else part, np.float64)
        weight = of_all[rows] if len(of_all) > 1 else of_all
        residual = y - z @ units
        correlation = residual @ units.T
        ratio = (correlation if positive else np.abs(correlation)) / weight
        highest = np.maximum(ratio.max(axis=1), 0)
        factor = 1 / np.maximum(highest, 1)
        half_energy[rows] = 0.5 * np.einsum("ij,ij->i", y, y)
        objective[rows] = 0.5 * np.einsum("ij,ij->i", residual, residual) + (np.abs(z) * weight).sum(axis=1)
        if positive:
            objective[rows][(z < 0).any(axis=1)] = np.inf
        # ½‖y‖² − ½‖y − s r‖², written so that nothing cancels for a short signal.
        dual = factor * np.einsum("ij,ij->i", y, residual) - 0.5 * factor**2 * np.einsum("ij,ij->i", residual, residual)
        gap[rows] = np.maximum(objective[rows] - dual, 0)
    relative = np.divide(gap, half_energy, out=np.zeros(n_samples), where=half_energy > 0)
    relative[(half_energy == 0) & (gap > 0)] = np.inf
    return Certificate(objective, gap, relative)
