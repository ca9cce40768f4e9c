"""Codes for every sparsity at once, and codes of a wanted size or error, by homotopy (LARS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.infer import METHODS
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.errors import UsageError
from striate.threads import in_threads

__all__ = ["Path", "infer_until", "regularization_path"]


@dataclass(frozen=True)
class Path:
    """The optimal codes of one signal for every sparsity; between breakpoints they are linear in it.

    Attributes
    ----------
    sparsities : float64 (n_breakpoints,)
        Falling. From the first on the code is 0; the last is where the path was ended.
    codes : ndarray (n_breakpoints, n_components)
        float32 or float64, as the signal was.
    """

    sparsities: NDArray[np.float64]
    codes: NDArray[Any]

    def at(self, sparsity: float) -> NDArray[Any]:
        """The optimal code (n_components,) for a sparsity that is not below the path's end."""
        if not sparsity >= self.sparsities[-1]:
            raise UsageError(
                f"the path ends at a sparsity of {self.sparsities[-1]:.6g}, above {sparsity}: let it end lower"
            )
        if sparsity >= self.sparsities[0]:
            return np.zeros_like(self.codes[0])
        after = int(np.searchsorted(-self.sparsities, -sparsity))
        before = after - 1
        share = (self.sparsities[before] - sparsity) / (self.sparsities[before] - self.sparsities[after])
        code: NDArray[Any] = (1 - share) * self.codes[before] + share * self.codes[after]
        return code.astype(self.codes.dtype, copy=False)


def regularization_path(
    signal: ArrayLike,
    dictionary: ArrayLike | PreparedDictionary,
    *,
    lowest: float = 0.0,
    max_nonzero: int | None = None,
    residual: float | None = None,
    positive: bool = False,
) -> Path:
    """The codes that minimize ½‖y − zD‖² + sparsity·‖z‖₁ for every sparsity, from the largest down.

    Parameters
    ----------
    signal : float (n_features,)
        float32 gives float32 codes, everything else float64; the path is followed in double precision.
    dictionary : float (n_components, n_features) or PreparedDictionary
    lowest : float, default 0
        The sparsity where the path ends, if nothing ends it before.
    max_nonzero : int, optional
        It ends before more units than these would be active.
    residual : float, optional
        It ends where ‖y − zD‖ has fallen to this norm.
    positive : bool, default False
        Codes must not be negative.

    Returns
    -------
    Path

    Raises
    ------
    UsageError
        For NaN or infinity, shapes that do not fit, numbers out of range.

    References
    ----------
    Osborne, Presnell, Turlach, IMA J. Numerical Analysis 2000. Efron, Hastie, Johnstone, Tibshirani, "Least angle
    regression", Annals of Statistics 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import regularization_path
    >>> path = regularization_path(np.array([2.0, 0.5, -3.0]), np.eye(3))
    >>> path.sparsities.round(2), path.at(1.0).round(2)
    (array([3. , 2. , 0.5, 0. ]), array([ 1.,  0., -2.]))
    """
    from striate.coding._homotopy import compile_homotopy_path

    array = np.asarray(signal)
    if array.ndim != 1:
        raise UsageError(f"a path is that of one signal, (n_features,), not of an array {array.shape}")
    prepared, signals, energies = _checked(array[np.newaxis], dictionary)
    at_most, norm = _ends(prepared, max_nonzero, residual)
    if not 0 <= lowest < np.inf:
        raise UsageError(f"lowest must be at least 0, not {lowest}")
    arrays = prepared.arrays(signals.dtype)
    levels, codes = compile_homotopy_path(signals.dtype)(
        np.ascontiguousarray(arrays.components @ signals[0]), float(energies[0]), arrays.gram, arrays.squared_norms,
        np.ones(prepared.n_components, signals.dtype), float(lowest), bool(positive), METHODS["homotopy"], at_most,
        norm,
    )  # fmt: skip
    return Path(levels, codes)


def infer_until(
    signals: ArrayLike,
    dictionary: ArrayLike | PreparedDictionary,
    *,
    max_nonzero: int | None = None,
    residual: float | None = None,
    positive: bool = False,
) -> NDArray[Any]:
    """For each signal, the optimal code of the sparsity at which it has a wanted number of active units, or error.

    For those who know how many units a code may have, or how exact it must be, and not a sparsity. Where both are
    given, what comes first ends the path.

    Parameters
    ----------
    signals : float (n_samples, n_features)
    dictionary : float (n_components, n_features) or PreparedDictionary
    max_nonzero : int, optional
        Active units at the most, from 0; where the path lets units leave, it may end with fewer.
    residual : float, optional
        ‖y − zD‖ at the most. Where the units cannot explain a signal so well, its code is the path's end, which
        explains it best.
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

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import infer_until
    >>> infer_until(np.array([[2.0, 0.5, -3.0]]), np.eye(3), max_nonzero=2).round(2)
    array([[ 1.5,  0. , -2.5]])
    """
    from striate.coding._homotopy import compile_homotopy

    if max_nonzero is None and residual is None:
        raise UsageError("say where a code is to end: give max_nonzero, residual or both; infer takes a sparsity")
    array = np.asarray(signals)
    if array.ndim != 2:
        raise UsageError(f"signals are an array (n_samples, n_features), not one of shape {array.shape}")
    prepared, array, energies = _checked(array, dictionary)
    at_most, norm = _ends(prepared, max_nonzero, residual)
    arrays = prepared.arrays(array.dtype)
    n, n_components = len(array), prepared.n_components
    codes = np.zeros((n, n_components), array.dtype)
    correlations = array @ arrays.components.T
    kernel = compile_homotopy(array.dtype)
    weights, sparsities = np.ones(n_components, array.dtype), np.zeros(n)
    iterations, reached = np.zeros(n, np.int64), np.zeros(n, bool)

    def run(first: int, last: int) -> None:
        kernel(
            first, last, correlations, energies, arrays.gram, arrays.squared_norms, weights, sparsities, 0.0,
            bool(positive), METHODS["homotopy"], at_most, norm, codes, iterations, reached,
        )  # fmt: skip

    in_threads(run, n, n_components * prepared.n_features)
    return codes


def _checked(
    signals: NDArray[Any], dictionary: ArrayLike | PreparedDictionary
) -> tuple[PreparedDictionary, NDArray[Any], NDArray[np.float64]]:
    """The dictionary, the signals in a solver's type, and their energies."""
    prepared = dictionary if isinstance(dictionary, PreparedDictionary) else PreparedDictionary(dictionary)
    if signals.shape[1] != prepared.n_features:
        raise UsageError(f"signals have {signals.shape[1]} features, but the dictionary is for {prepared.n_features}")
    if signals.dtype.kind not in "fiub":
        raise UsageError(f"signals are real numbers, not {signals.dtype}")
    dtype = np.dtype(np.float32 if signals.dtype in (np.float16, np.float32) else np.float64)
    signals = np.ascontiguousarray(signals, dtype)
    energies = np.einsum("ij,ij->i", signals, signals, dtype=np.float64)
    if not np.isfinite(energies).all():
        raise UsageError(
            f"signals hold NaN or infinity, first in sample {int(np.flatnonzero(~np.isfinite(energies))[0])}; "
            "remove or mend it"
        )
    return prepared, signals, energies


def _ends(prepared: PreparedDictionary, max_nonzero: int | None, residual: float | None) -> tuple[int, float]:
    """What the kernel takes for both; more units than there are, and a norm of 0, end nothing."""
    if max_nonzero is not None and max_nonzero < 0:
        raise UsageError(f"max_nonzero must be at least 0, not {max_nonzero}")
    if residual is not None and not 0 < residual < np.inf:
        raise UsageError(f"residual is a norm above 0, not {residual}")
    return prepared.n_components + 1 if max_nonzero is None else int(max_nonzero), residual or 0.0
