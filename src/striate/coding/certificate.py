"""The duality gap, which bounds a code's distance from the optimum, computed in double precision only from the code."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding._own_features import with_own_features
from striate.coding._ranges import exponents
from striate.errors import UsageError
from striate.parameters import Boolean, Real, checked
from striate.samples import check_finite, dense_rows, is_sparse

__all__ = ["Certificate", "certify"]

_BLOCK_NUMBERS = 1 << 22  # numbers in double precision per block, 32 MB


class Certificate(NamedTuple):
    """Objective and gap of each signal, float64 (n_samples,).

    Attributes
    ----------
    objective : ``½‖y − zD‖² + Σ sparsity·|z| + ½·l2·‖z‖²``.
    gap : an upper bound on the distance of the objective to its minimum.
    relative_gap : `gap` divided by ½‖y‖², the objective of an empty code; 0 where signal and code are 0.
    """

    objective: NDArray[np.float64]
    gap: NDArray[np.float64]
    relative_gap: NDArray[np.float64]


def certify(
    signals: Any,
    codes: Any,
    dictionary: Any,
    sparsity: float | ArrayLike,
    *,
    positive: bool = False,
    l2: float = 0.0,
    mask: ArrayLike | None = None,
) -> Certificate:
    """The objective of codes, and an upper bound on its distance to the minimum.

    The residual, scaled until no unit's correlation with it exceeds that unit's sparsity, is feasible for the dual
    problem max ½‖y‖² − ½‖y − θ‖², and bounds the minimum from below.

    Parameters
    ----------
    signals : (n_samples, n_features), an array or a SciPy sparse matrix
    codes : (n_samples, n_components), an array or a SciPy sparse matrix
    dictionary : (n_components, n_features) or PreparedDictionary
    sparsity : float, (n_components,), (n_samples, 1) or (n_samples, n_components)
        At least 0. A code of a unit whose sparsity is infinite has an infinite objective, unless it is 0.
    positive : bool
        Codes must not be negative; those that are have an infinite objective.
    l2 : float
        The weight of ½‖z‖², as in `infer`.
    mask : bool (n_samples, n_features) or (n_features,), optional
        True where a signal was observed; other features are left out.

    Notes
    -----
    With a unit that is not penalized, a dual point must be orthogonal to it: the residual is projected onto the
    points that are (for positive codes: onto those that have no positive product with it) before it is scaled. An `l2`
    above 0 is the same as more features, in which the signals are 0 and unit j is √l2 in the j-th.

    References
    ----------
    Kim, Koh, Lustig, Boyd, Gorinevsky, "An interior-point method for large-scale l1-regularized least squares", IEEE
    Journal of Selected Topics in Signal Processing 2007, section III.
    """
    units = _numbers(getattr(dictionary, "components", dictionary), "the dictionary")
    if is_sparse(units):
        raise UsageError("the dictionary is a sparse matrix, and a dense array is needed: give dictionary.toarray()")
    signals, codes = _numbers(signals, "signals"), _numbers(codes, "codes")
    if signals.ndim != 2 or units.ndim != 2 or codes.shape != (signals.shape[0], len(units)):
        raise UsageError(f"codes of shape {codes.shape} do not fit signals {signals.shape} and units {units.shape}")
    if signals.shape[1] != units.shape[1]:
        raise UsageError(f"signals have {signals.shape[1]} features, but the units have {units.shape[1]}")
    positive = checked("positive", positive, Boolean())
    l2 = checked("l2", l2, Real(low=0))
    n_samples, n_components = codes.shape
    thresholds = _thresholds(sparsity, n_samples, n_components)
    observed = None if mask is None else _observed(mask, signals.shape)
    units = units.astype(np.float64, copy=False)
    check_finite(units, "units of the dictionary")
    of_units = int(exponents(np.abs(units).max(initial=0)))
    scaled = np.ldexp(units, -of_units) if of_units else units
    results = np.empty((3, n_samples))
    size = max(1, _BLOCK_NUMBERS // max(n_components, units.shape[1]))
    for start in range(0, n_samples, size):
        rows = slice(start, start + size)
        y, z = (np.asarray(dense_rows(array, rows), np.float64) for array in (signals, codes))
        seen = None if observed is None else observed[rows]
        if seen is not None:
            y = np.where(seen, y, 0)
        check_finite(y, first=start)
        of_all = thresholds[rows] if len(thresholds) > 1 else thresholds
        results[:, rows] = _certify_block(y, z, scaled, of_all, positive, l2, seen, of_units)
    return Certificate(*results)


def _numbers(values: Any, name: str) -> Any:
    """An array of real numbers, or a CSR matrix of them."""
    try:
        array = values.tocsr() if is_sparse(values) else np.asarray(values)
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
    except (ValueError, TypeError, OverflowError):
        raise UsageError(f"{name}: no table of numbers; rows of one length, numbers only, are needed") from None
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{name}: real numbers are needed, not {array.dtype}")
    return array


def _thresholds(sparsity: Any, n_samples: int, n_components: int) -> NDArray[np.float64]:
    shapes = ((), (n_components,), (1, n_components), (n_samples, 1), (n_samples, n_components))
    try:
        thresholds = np.asarray(sparsity, np.float64)
    except (ValueError, TypeError, OverflowError):
        raise UsageError("sparsity is a number, or an array of them") from None
    if thresholds.shape not in (*shapes, (1,), (1, 1)):
        raise UsageError(f"sparsity of shape {thresholds.shape} does not fit codes {(n_samples, n_components)}")
    if np.isnan(thresholds).any() or (thresholds < 0).any():
        raise UsageError("sparsity must not be negative or NaN")
    return np.atleast_2d(thresholds)


def _observed(mask: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    try:
        return np.broadcast_to(np.asarray(mask, bool), shape)
    except ValueError:
        raise UsageError(f"mask is an array of True and False that fits signals {shape}") from None


def _certify_block(
    y: NDArray[np.float64],
    z: NDArray[np.float64],
    units: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    positive: bool,
    l2: float,
    observed: NDArray[np.bool_] | None,
    of_units: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Objective, gap and relative gap; `of_units` is the power of two by which the units were divided."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        # Signals are scaled by powers of two as well, if their squares would overflow or vanish.
        of_signals = exponents(np.abs(y).max(axis=1, initial=0))[:, np.newaxis]
        if of_units or of_signals.any():
            y = np.ldexp(y, -of_signals)
            z = np.ldexp(z, of_units - of_signals)
            thresholds = np.ldexp(thresholds, -of_units - of_signals)
            l2 = float(np.ldexp(l2, -2 * of_units))
        residual = y - z @ units
        if observed is not None:
            residual = np.where(observed, residual, 0)
        square = np.einsum("ij,ij->i", residual, residual)
        norm = np.where(z != 0, np.abs(z) * thresholds, 0).sum(axis=1)
        objective = 0.5 * square + norm
        if l2:
            objective += 0.5 * l2 * np.einsum("ij,ij->i", z, z)
        objective[~np.isfinite(objective) | (positive & (z < 0).any(axis=1))] = np.inf
        dual = _dual(y, z, residual, units, thresholds, positive, l2, observed)
        gap = np.maximum(objective - dual, 0)
        gap[np.isnan(gap)] = np.inf
        half_energy = 0.5 * np.einsum("ij,ij->i", y, y)
        relative = np.divide(gap, half_energy, out=np.zeros(len(y)), where=half_energy > 0)
        relative[(half_energy == 0) & (gap > 0)] = np.inf
        back = 2 * of_signals[:, 0]
        return np.ldexp(objective, back), np.ldexp(gap, back), relative


def _dual(
    y: NDArray[np.float64],
    z: NDArray[np.float64],
    residual: NDArray[np.float64],
    units: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    positive: bool,
    l2: float,
    observed: NDArray[np.bool_] | None,
) -> NDArray[np.float64]:
    """A lower bound on the minimum: ½‖y‖² − ½‖y − θ‖² for a multiple θ of the residual, made feasible."""
    free = thresholds == 0
    if free.any():
        return np.array([
            _dual_beside_free_units(
                y[i], z[i], residual[i], units if observed is None else units * observed[i],
                np.broadcast_to(thresholds[i % len(thresholds)], len(units)), positive, l2,
            )
            for i in range(len(y))
        ])  # fmt: skip
    correlation = residual @ units.T
    square = np.einsum("ij,ij->i", residual, residual)
    if l2:
        correlation -= l2 * z
        square = square + l2 * np.einsum("ij,ij->i", z, z)
    ratio = (correlation if positive else np.abs(correlation)) / thresholds
    factor = 1 / np.maximum(ratio.max(axis=1), 1)
    # ½‖y‖² − ½‖y − s r‖², in a form without cancellation for small signals.
    return np.asarray(factor * np.einsum("ij,ij->i", y, residual) - 0.5 * factor**2 * square)


def _dual_beside_free_units(
    y: NDArray[np.float64],
    z: NDArray[np.float64],
    residual: NDArray[np.float64],
    units: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    positive: bool,
    l2: float,
) -> float:
    """The same for one signal, with units whose sparsity is 0."""
    if l2:
        units = with_own_features(units, l2)
        y = np.append(y, np.zeros(len(z)))
        residual = np.append(residual, -np.sqrt(l2) * z)
    free = thresholds == 0
    if not free.any():  # only other signals have them
        point = residual
    elif positive:
        from scipy.optimize import nnls

        point = residual - nnls(units[free].T, residual)[0] @ units[free]
    else:
        basis = np.linalg.svd(units[free].T, full_matrices=False)
        left = basis.U[:, 1e-13 * basis.S.max(initial=0) < basis.S]
        point = residual - left @ (left.T @ residual)
    correlation = units[~free] @ point
    ratio = (correlation if positive else np.abs(correlation)) / thresholds[~free]
    factor = 1 / max(float(ratio.max(initial=0)), 1.0)
    return float(factor * (y @ point) - 0.5 * factor**2 * (point @ point))
