"""The certificate for codes of a path: the residual of the optimality conditions, in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["optimality", "tolerance_of"]

_BLOCK_NUMBERS = 1 << 22  # numbers in double precision per block, 32 MB
_Array = NDArray[np.float64]


def tolerance_of(dtype: np.dtype[Any]) -> float:
    """The largest residual of optimal codes, which is due to rounding."""
    return 2e-5 if dtype == np.float32 else 1e-9


def optimality(
    signals: NDArray[Any],
    codes: NDArray[Any],
    units: NDArray[Any],
    weights: _Array,
    *,
    positive: bool,
    levels: _Array | None = None,
) -> tuple[_Array, _Array, _Array]:
    """Residuals of the optimality conditions, norms of y − zD over ‖y‖, and the strength of what is left.

    With correlations q = (y − zD)Dᵀ a code is optimal for a sparsity where z = S(z + q/‖d‖², sparsity·w/‖d‖²) for all
    units d, S being the soft threshold. The residual is the largest difference of the two sides, times ‖d‖, relative
    to ‖y‖: no signal at a smaller distance has such a code as its optimum.

    Parameters
    ----------
    signals : (n, n_features)
    codes : (n, n_units)
    units : (n_units, n_features)
    weights : (n_units,)
        Finite, or infinite for a unit that is excluded.
    positive : bool
    levels : (n,), optional
        The sparsities; without them, the least for which no unit's correlation is above its bound.

    Returns
    -------
    residuals, norms, strengths : float64 (n,)
        `strengths` is the largest |q| over ‖d‖‖y‖ of units that have a weight: 0 at a path's natural end.
    """
    n = len(codes)
    exponents = np.frexp(np.abs(units).max(axis=1))[1]  # powers of two, so that nothing is rounded
    scaled = np.ldexp(units.astype(np.float64), -exponents[:, np.newaxis])
    lengths = np.linalg.norm(scaled, axis=1)
    used = (lengths > 0) & np.isfinite(weights)
    scaled, lengths, exponents, bounds = scaled[used], lengths[used], exponents[used], weights[used]
    residuals, norms, strengths = np.zeros(n), np.zeros(n), np.zeros(n)
    size = max(1, _BLOCK_NUMBERS // max(1, *units.shape))
    for first in range(0, n, size):
        rows = slice(first, first + size)
        y = np.asarray(signals[rows], np.float64)
        of_y = np.frexp(np.abs(y).max(axis=1))[1][:, np.newaxis]
        y = np.ldexp(y, -of_y)
        energy = np.linalg.norm(y, axis=1)
        with np.errstate(over="ignore", invalid="ignore"):
            z = np.ldexp(np.asarray(codes[rows], np.float64)[:, used], exponents - of_y)
            rest = y - z @ scaled
            q = rest @ scaled.T / lengths  # of units of norm 1, as are z and the bounds
            z = z * lengths
            limit = bounds / lengths
            size_of_q = np.maximum(q, 0) if positive else np.abs(q)
            if levels is None:
                relative = np.ldexp(limit, exponents.min(initial=0) - exponents)
                ratio = np.divide(size_of_q, relative, out=np.zeros_like(q), where=relative > 0)
                bound = ratio.max(axis=1, initial=0)[:, np.newaxis] * relative
            else:
                bound = np.ldexp(levels[rows][:, np.newaxis] * limit, -exponents - of_y)
            moved = z + q
            best = np.maximum(moved - bound, 0) - (0 if positive else np.maximum(-moved - bound, 0))
            wrong = np.abs(z - best).max(axis=1, initial=0)
            if positive:
                wrong = np.maximum(wrong, -z.min(axis=1, initial=0))
        wrong = np.where(np.isfinite(wrong), wrong, np.inf)
        whole = np.where(energy > 0, energy, 1)
        residuals[rows] = wrong / whole
        norms[rows] = np.linalg.norm(rest, axis=1) / whole
        strengths[rows] = np.where(bounds > 0, size_of_q, 0).max(axis=1, initial=0) / whole
    return residuals, norms, strengths
