"""Codes for all sparsities, and codes with a given number of active units or error, by homotopy (LARS)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding._exact_path import Limits, exact_path
from striate.coding._path_certificate import optimality, tolerance_of
from striate.coding._special import is_large
from striate.coding.inference import METHODS
from striate.coding.prepared_dictionary import PreparedDictionary, as_prepared
from striate.errors import UsageError
from striate.parameters import Boolean, Integer, Real, checked
from striate.samples import as_samples
from striate.threads import in_threads

__all__ = ["Path", "infer_until", "regularization_path"]

_SAME_NORM = 1e-6  # relative amount by which the norm of a residual may differ from the requested one


@dataclass(frozen=True)
class Path:
    """The optimal codes of one signal for every sparsity; between breakpoints, codes are linear in the sparsity.

    Attributes
    ----------
    sparsities : float64 (n_breakpoints,)
        Falling. At the first and above, the code is 0, except for units that are never penalized; the path ends at the
        last.
    codes : ndarray (n_breakpoints, n_components)
        float32 or float64, as the signal was.
    residuals : float64 (n_breakpoints,)
        The certificate: how far each code is from satisfying the optimality conditions, relative to the signal's norm.
        With correlations q = (y − zD)Dᵀ it is the largest ‖d‖ |z − S(z + q/‖d‖², sparsity/‖d‖²)| / ‖y‖ over the units
        d, where S is the soft threshold; about 1e-15 for codes that are exact.
    """

    sparsities: NDArray[np.float64]
    codes: NDArray[Any]
    residuals: NDArray[np.float64]

    @property
    def converged(self) -> bool:
        """Whether all codes are optimal to their type's rounding: residuals of 1e-9 at most, 2e-5 for float32."""
        return bool((self.residuals <= tolerance_of(self.codes.dtype)).all())

    def at(self, sparsity: float) -> NDArray[Any]:
        """The optimal code (n_components,) for a sparsity that is not below the path's end."""
        sparsity = checked("sparsity", sparsity, Real(low=0, infinite=True))
        if not sparsity >= self.sparsities[-1]:
            raise UsageError(
                f"the path ends at a sparsity of {self.sparsities[-1]:.6g}, above {sparsity}: let it end lower"
            )
        if sparsity >= self.sparsities[0]:
            return self.codes[0].copy()
        after = int(np.searchsorted(-self.sparsities, -sparsity))
        before = after - 1
        share = (self.sparsities[before] - sparsity) / (self.sparsities[before] - self.sparsities[after])
        code: NDArray[Any] = (1 - share) * self.codes[before] + share * self.codes[after]
        return code.astype(self.codes.dtype, copy=False)


def regularization_path(
    signal: ArrayLike,
    dictionary: ArrayLike | PreparedDictionary,
    *,
    weights: ArrayLike | None = None,
    lowest: float = 0.0,
    max_nonzero: int | None = None,
    residual: float | None = None,
    positive: bool = False,
) -> Path:
    """The codes that minimize ½‖y − zD‖² + sparsity·Σ w|z| for every sparsity, from the largest down.

    Parameters
    ----------
    signal : float (n_features,)
        float32 gives float32 codes, everything else float64; the path is followed in double precision.
    dictionary : float (n_components, n_features) or PreparedDictionary
    weights : float (n_components,), optional
        The w of each unit, 1 by default. A unit of weight 0 is never penalized, and one of infinite weight is excluded.
    lowest : float, default 0
        The sparsity where the path ends, if nothing ends it before.
    max_nonzero : int, optional
        The path ends before more units than this would be active.
    residual : float, optional
        The path ends where ‖y − zD‖ has fallen to this norm.
    positive : bool, default False
        Codes must not be negative.

    Returns
    -------
    Path

    Raises
    ------
    UsageError
        For NaN or infinity, shapes that do not fit, numbers out of range.

    Warns
    -----
    ConvergenceWarning
        Where codes of the path are not optimal to rounding; see `Path.residuals`.

    Notes
    -----
    The path is followed with an orthogonal basis of the active units, so that nearly dependent units do not disturb it.
    Where units depend on each other, those that join first are used; their codes are optimal as well.

    References
    ----------
    Osborne, Presnell, Turlach, IMA J. Numerical Analysis 2000. Efron, Hastie, Johnstone, Tibshirani, Annals of
    Statistics 2004. Tibshirani, "The lasso problem and uniqueness", Electronic J. Statistics 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import regularization_path
    >>> path = regularization_path(np.array([2.0, 0.5, -3.0]), np.eye(3))
    >>> path.sparsities.round(2), path.at(1.0).round(2)
    (array([3. , 2. , 0.5, 0. ]), array([ 1.,  0., -2.]))
    """
    try:
        one = np.asarray(signal)
    except ValueError:
        raise UsageError("a path is that of one signal, (n_features,), not of rows of different lengths") from None
    if one.ndim != 1:
        raise UsageError(f"a path is that of one signal, (n_features,), not of an array {one.shape}")
    prepared, signals = _checked(one[np.newaxis], dictionary)
    of_units = _weights(prepared, weights)
    limits = _limits(of_units, max_nonzero, residual, checked("lowest", lowest, Real(low=0)))
    positive = checked("positive", positive, Boolean())
    levels, codes = exact_path(signals[0], prepared.components, of_units, limits, positive=positive)
    codes = _rounded(codes, signals.dtype)
    residuals, _, _ = optimality(
        np.broadcast_to(signals, (len(levels), prepared.n_features)), codes, prepared.components, of_units,
        positive=positive, levels=levels,
    )  # fmt: skip
    path = Path(levels, codes, residuals)
    if not path.converged:
        _warn(residuals, signals.dtype, "codes of the path", stacklevel=2)
    return path


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
    prepared, array = _checked(signals, dictionary)
    of_units = _weights(prepared, weights)
    limits = _limits(of_units, max_nonzero, residual)
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
            _warn(residuals, array.dtype, "codes", stacklevel=2)
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
        codes[row], ends[row] = _rounded(path[-1], signals.dtype), levels[-1]
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


def _checked(signals: Any, dictionary: ArrayLike | PreparedDictionary) -> tuple[PreparedDictionary, NDArray[Any]]:
    """The dictionary, and the signals in a solver's type."""
    prepared = as_prepared(dictionary)
    return prepared, as_samples(signals, n_features=prepared.n_features)


def _weights(prepared: PreparedDictionary, weights: ArrayLike | None) -> NDArray[np.float64]:
    if weights is None:
        return np.ones(prepared.n_components)
    wanted = f"weights are {prepared.n_components} numbers of at least 0, one for each unit; infinity excludes a unit"
    try:
        array = np.array(weights, np.float64)
    except (ValueError, TypeError, OverflowError):
        raise UsageError(wanted) from None
    if array.shape != (prepared.n_components,):
        raise UsageError(f"{wanted}: their shape is {array.shape}")
    if not (array >= 0).all():
        raise UsageError(f"{wanted}: that of unit {int(np.argmin(array >= 0))} is {array[np.argmin(array >= 0)]}")
    return array


def _limits(
    weights: NDArray[np.float64], max_nonzero: int | None, residual: float | None, lowest: float = 0.0
) -> Limits:
    if max_nonzero is not None:
        max_nonzero = checked("max_nonzero", max_nonzero, Integer(low=0))
        if max_nonzero < (n_free := np.count_nonzero(weights == 0)):
            raise UsageError(
                f"max_nonzero is {max_nonzero}, below the {n_free} units of weight 0, which are active everywhere"
            )
    if residual is not None:
        residual = checked("residual", residual, Real(above=0))
    return Limits(lowest, max_nonzero, residual)


def _rounded(codes: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        rounded: NDArray[Any] = codes.astype(dtype)
    if not np.isfinite(rounded).all():
        raise UsageError(f"codes are beyond what {dtype} can hold; scale the signals down, or the dictionary up")
    if (codes.any(axis=-1) & ~rounded.any(axis=-1)).any():
        raise UsageError(f"codes are too small for {dtype}; scale the signals up, or the dictionary down")
    return rounded


def _warn(residuals: NDArray[np.float64], dtype: np.dtype[Any], what: str, *, stacklevel: int) -> None:
    from sklearn.exceptions import ConvergenceWarning

    advice = "give signals in float64" if dtype == np.float32 else "end paths earlier, or scale the features alike"
    warnings.warn(
        f"{what} are not optimal to rounding, or do not have the error that was asked for; the largest residual of the "
        f"optimality conditions is {residuals.max():.1g}, where {tolerance_of(dtype):g} is wanted; {advice}",
        ConvergenceWarning,
        stacklevel=stacklevel + 1,
    )
