"""Codes with a given number of active units, or a given error."""

from __future__ import annotations

from typing import Any, Literal, get_args

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
from striate.coding._pursuit import pursue
from striate.coding._special import is_large
from striate.coding.inference import METHODS
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.errors import UsageError
from striate.parameters import Boolean, checked
from striate.threads import in_threads

__all__ = ["UntilMethod", "infer_until"]

UntilMethod = Literal["homotopy", "omp", "orthogonal_least_squares"]

_SAME_NORM = 1e-6  # relative amount by which the norm of a residual may differ from the requested one


def infer_until(
    signals: ArrayLike,
    dictionary: ArrayLike | PreparedDictionary,
    *,
    method: UntilMethod = "homotopy",
    weights: ArrayLike | None = None,
    max_nonzero: int | None = None,
    residual: float | None = None,
    positive: bool = False,
    sparse_output: bool = False,
) -> Any:
    """For each signal, a code with a number of active units, or with an error.

    Use it when you know how many units a code may have, or how exact it must be, but not the sparsity. Where both are
    given, the limit that is reached first counts.

    Parameters
    ----------
    signals : float (n_samples, n_features)
    dictionary : float (n_components, n_features) or PreparedDictionary
    method : str, default "homotopy"
        "homotopy" gives the code that is optimal, with an L1 term, at the sparsity where the limit is reached. The
        others choose one unit after another and give the least-squares code of the chosen ones, without an L1 term:
        "omp", orthogonal matching pursuit, takes the unit that has the largest correlation with the residual, relative
        to the unit's norm; "orthogonal_least_squares" takes the unit with which the residual becomes smallest. The
        latter is the pursuit that SPAMS calls `omp`. Both are several times as fast as "homotopy".
    weights : float (n_components,), optional
        For "homotopy", as for `regularization_path`.
    max_nonzero : int, optional
        The most active units, at least 0. Codes may have fewer: where units leave on the path, and where no other unit
        has a correlation with the residual.
    residual : float, optional
        The largest ‖y − zD‖. Codes by "homotopy" have this error, the others at most this. Where no code reaches it,
        the code is that of the path's end, which is the nearest.
    positive : bool, default False
        Codes must not be negative. "omp" then takes the unit with the largest positive correlation, and units whose
        values reach 0 leave again; "orthogonal_least_squares" has no such codes.
    sparse_output : bool, default False
        Return a `scipy.sparse.csr_array`.

    Returns
    -------
    ndarray or csr_array (n_samples, n_components)
        float32 for float32 signals, else float64.

    Raises
    ------
    UsageError
        If neither limit is given, for options that a method does not have, and as `regularization_path`.

    Warns
    -----
    ConvergenceWarning
        Where codes by "homotopy" are not optimal to rounding, or their error is not the one that was asked for.

    Notes
    -----
    For "homotopy", a fast path follows the Gram matrix. Every code is then certified, and where it fails, as it may for
    units that nearly depend on each other, `regularization_path` replaces it.

    The pursuits work from the Gram matrix as well. In float32, signals whose choices or limit rounding may affect are
    coded again in double precision. There, units are passed over if less than 1e-10 of their squared norm is outside
    the span of the chosen ones; errors below about 1e-7 of the signal's norm are not told apart from 0.

    References
    ----------
    Rubinstein, Zibulevsky, Elad, "Efficient implementation of the K-SVD algorithm using batch orthogonal matching
    pursuit", Technion 2008. Pati, Rezaiifar, Krishnaprasad, "Orthogonal matching pursuit", Asilomar 1993. Chen,
    Billings, Luo, "Orthogonal least squares methods and their application to non-linear system identification",
    International J. Control 1989. Bruckstein, Elad, Zibulevsky, "On the uniqueness of nonnegative sparse solutions to
    underdetermined systems of equations", IEEE Transactions on Information Theory 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import infer_until
    >>> infer_until(np.array([[2.0, 0.5, -3.0]]), np.eye(3), max_nonzero=2).round(2)
    array([[ 1.5,  0. , -2.5]])
    >>> infer_until(np.array([[2.0, 0.5, -3.0]]), np.eye(3), method="omp", max_nonzero=2)
    array([[ 2.,  0., -3.]])
    """
    if not isinstance(method, str) or method not in get_args(UntilMethod):
        raise UsageError(f"there is no method {method!r}; the methods are {', '.join(get_args(UntilMethod))}")
    if max_nonzero is None and residual is None:
        raise UsageError("say where a code is to end: give max_nonzero, residual or both; infer takes a sparsity")
    if weights is not None and method != "homotopy":
        raise UsageError(f'weights are those of an L1 term, which {method!r} does not have; method="homotopy" does')
    prepared, array = checked_signals(signals, dictionary)
    of_units = checked_weights(prepared, weights)
    limits = checked_limits(of_units, max_nonzero, residual)
    positive = checked("positive", positive, Boolean())
    sparse_output = checked("sparse_output", sparse_output, Boolean())
    if method != "homotopy":
        recursive = method == "orthogonal_least_squares"
        if positive and recursive:
            raise UsageError(f'{method} has no codes without negative values; method="omp" does')
        return pursue(array, prepared, limits, recursive=recursive, positive=positive, sparse_output=sparse_output)
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
    if sparse_output:
        from scipy import sparse

        return sparse.csr_array(codes)
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
