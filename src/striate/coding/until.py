"""Codes with a given number of active units, or a given error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding._exact_path import Limits, exact_path
from striate.coding._path_arguments import (
    checked_limits,
    checked_signals,
    checked_weights,
    rounded_codes,
    warn_of_residuals,
)
from striate.coding._path_certificate import optimality, tolerance_of
from striate.coding._special import is_large
from striate.coding.inference import METHODS
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.errors import UsageError
from striate.parameters import Boolean, checked
from striate.threads import in_threads

__all__ = ["infer_until"]

_SAME_NORM = 1e-6  # relative amount by which the norm of a residual may differ from the requested one


def infer_until(
    signals: ArrayLike,
    dictionary: ArrayLike | PreparedDictionary,
    *,
    weights: ArrayLike | None = None,
    max_nonzero: int | None = None,
    residual: float | None = None,
    positive: bool = False,
) -> NDArray[Any]:
    """For each signal, the optimal code at the sparsity where it reaches a number of active units or an error.

    Use it when you know how many units a code may have, or how exact it must be, but not the sparsity. Where both are
    given, the limit that is reached first counts.

    Parameters
    ----------
    signals : float (n_samples, n_features)
    dictionary : float (n_components, n_features) or PreparedDictionary
    weights : float (n_components,), optional
        As for `regularization_path`.
    max_nonzero : int, optional
        The most active units, at least 0; where units leave on the path, it may end with fewer.
    residual : float, optional
        The largest ‖y − zD‖. Where no code reaches it, the code is that of the path's end, which is the nearest.
    positive : bool, default False
        Codes must not be negative.

    Returns
    -------
    ndarray (n_samples, n_components)
        float32 for float32 signals, else float64.

    Raises
    ------
    UsageError
        If neither is given, and as `regularization_path`.

    Warns
    -----
    ConvergenceWarning
        Where codes are not optimal to rounding, or their error is not the one that was asked for.

    Notes
    -----
    A fast path follows the Gram matrix. Every code is then certified, and where it fails, as it may for units that
    nearly depend on each other, `regularization_path` replaces it.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import infer_until
    >>> infer_until(np.array([[2.0, 0.5, -3.0]]), np.eye(3), max_nonzero=2).round(2)
    array([[ 1.5,  0. , -2.5]])
    """
    if max_nonzero is None and residual is None:
        raise UsageError("say where a code is to end: give max_nonzero, residual or both; infer takes a sparsity")
    prepared, array = checked_signals(signals, dictionary)
    of_units = checked_weights(prepared, weights)
    limits = checked_limits(of_units, max_nonzero, residual)
    positive = checked("positive", positive, Boolean())
    codes = _first_codes(array, prepared, of_units, limits, positive)
    wrong = _is_wrong(array, codes, prepared, of_units, limits, positive)
    if wrong.any():
        rest = array[wrong]
        codes[wrong], ends = _exact_codes(rest, prepared, of_units, limits, positive)
        still = _is_wrong(rest, codes[wrong], prepared, of_units, limits, positive, ends)
        if still.any():
            residuals, _, _ = optimality(
                rest[still], codes[wrong][still], prepared.components, of_units, positive=positive, levels=ends[still]
            )
            warn_of_residuals(residuals, array.dtype, "codes", stacklevel=2)
    return codes


def _first_codes(
    signals: NDArray[Any], prepared: PreparedDictionary, weights: NDArray[np.float64], limits: Limits, positive: bool
) -> NDArray[Any]:
    """Codes by the fast path, for the units that are not excluded; zeros where the exact path is needed."""
    codes = np.zeros((len(signals), prepared.n_components), signals.dtype)
    used = np.isfinite(weights)
    # Units without a penalty, and Gram matrices that do not fit into memory, need the exact path.
    if (weights > 0).all() and used.any() and not is_large(prepared, signals.dtype):
        some = prepared if used.all() else PreparedDictionary(prepared.components[used])
        codes[:, used] = _followed(signals, some, weights[used], limits, positive)
    return codes


def _exact_codes(
    signals: NDArray[Any], prepared: PreparedDictionary, weights: NDArray[np.float64], limits: Limits, positive: bool
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The last codes of exact paths, (n, n_components), and their sparsities (n,)."""
    codes, ends = np.zeros((len(signals), prepared.n_components), signals.dtype), np.zeros(len(signals))
    for row, signal in enumerate(signals):
        levels, path = exact_path(signal, prepared.components, weights, limits, positive=positive)
        codes[row], ends[row] = rounded_codes(path[-1], signals.dtype), levels[-1]
    return codes, ends


def _followed(
    signals: NDArray[Any], prepared: PreparedDictionary, weights: NDArray[np.float64], limits: Limits, positive: bool
) -> NDArray[Any]:
    """Codes by the compiled path, which is inexact where the Gram matrix is ill-conditioned."""
    from striate.coding._homotopy import compile_homotopy

    n, n_components = len(signals), prepared.n_components
    codes = np.zeros((n, n_components), signals.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # codes that are not finite fail their certificate
        arrays = prepared.arrays(signals.dtype)
        energies = np.einsum("ij,ij->i", signals, signals, dtype=np.float64)
        correlations = signals @ arrays.components.T
    kernel = compile_homotopy(signals.dtype)
    bounds, sparsities = weights.astype(signals.dtype), np.zeros(n)
    iterations, reached = np.zeros(n, np.int64), np.zeros(n, bool)
    at_most = n_components + 1 if limits.max_nonzero is None else limits.max_nonzero

    def run(first: int, last: int) -> None:
        kernel(
            first, last, correlations, energies, arrays.gram, arrays.squared_norms, bounds, sparsities, 0.0, positive,
            METHODS["homotopy"], at_most, limits.residual or 0.0, codes, iterations, reached,
        )  # fmt: skip

    in_threads(run, n, n_components * prepared.n_features)
    return codes


def _is_wrong(
    signals: NDArray[Any],
    codes: NDArray[Any],
    prepared: PreparedDictionary,
    weights: NDArray[np.float64],
    limits: Limits,
    positive: bool,
    ends: NDArray[np.float64] | None = None,
) -> NDArray[np.bool_]:
    """Which codes are not optimal for any sparsity, or not at the end of the path that was requested; (n,).

    `ends` are the sparsities where exact paths ended. They cannot be computed from the code alone if norms of units
    differ so much that the bound of a short unit is below the rounding of a long one's correlation. Such codes may
    have fewer active units than requested if several join at once.
    """
    tolerance = tolerance_of(signals.dtype)
    residuals, norms, strengths = optimality(
        signals, codes, prepared.components, weights, positive=positive, levels=ends
    )
    wrong = ~(residuals <= tolerance)
    is_end = strengths <= 0.05 * tolerance if ends is None else ends == 0
    active = np.count_nonzero(codes, axis=1)
    if limits.max_nonzero is not None:
        wrong |= active > limits.max_nonzero
        is_end |= active == limits.max_nonzero if ends is None else True
    if limits.residual is not None:
        exponents = np.frexp(np.abs(signals).max(axis=1))[1]
        whole = np.linalg.norm(np.ldexp(signals.astype(np.float64), -exponents[:, np.newaxis]), axis=1)
        asked = np.ldexp(limits.residual, -exponents) / np.where(whole > 0, whole, 1)
        rounding = max(_SAME_NORM, 10 * tolerance) * asked + 0.05 * tolerance
        is_end |= norms <= asked + rounding
        wrong |= (norms < asked - rounding) & (active > np.count_nonzero(weights == 0))
    return wrong | ~is_end
