"""Codes for all sparsities, by homotopy (LARS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding._exact_path import exact_path
from striate.coding._path_arguments import (
    checked_limits,
    checked_signals,
    checked_weights,
    rounded_codes,
    warn_of_residuals,
)
from striate.coding._path_certificate import optimality, tolerance_of
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.errors import UsageError
from striate.parameters import Boolean, Real, checked

__all__ = ["Path", "regularization_path"]


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
        With correlations q = (y − zD)Dᵀ it is the largest ``‖d‖ |z − S(z + q/‖d‖², sparsity/‖d‖²)| / ‖y‖`` over the
        units d, where S is the soft threshold; about 1e-15 for codes that are exact.
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
    prepared, signals = checked_signals(one[np.newaxis], dictionary)
    of_units = checked_weights(prepared, weights)
    limits = checked_limits(of_units, max_nonzero, residual, checked("lowest", lowest, Real(low=0)))
    positive = checked("positive", positive, Boolean())
    levels, codes = exact_path(signals[0], prepared.components, of_units, limits, positive=positive)
    codes = rounded_codes(codes, signals.dtype)
    residuals, _, _ = optimality(
        np.broadcast_to(signals, (len(levels), prepared.n_features)), codes, prepared.components, of_units,
        positive=positive, levels=levels,
    )  # fmt: skip
    path = Path(levels, codes, residuals)
    if not path.converged:
        warn_of_residuals(residuals, signals.dtype, "codes of the path", stacklevel=2)
    return path
