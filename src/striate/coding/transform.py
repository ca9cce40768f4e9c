"""Codes of signals with the options of estimators: a number of active units, refitting, split signs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding._own_features import with_own_features
from striate.coding.prepared_dictionary import PreparedDictionary, as_prepared
from striate.coding.solving import infer
from striate.coding.until import infer_until
from striate.errors import UsageError
from striate.parameters import Boolean, Integer, Real, Rule
from striate.samples import is_sparse

__all__ = ["CODE_RULES", "PURSUITS", "refit", "transform"]

_ROWS = 4096  # rows in a block if signals or codes are sparse matrices
_GATHERED = 1 << 22  # numbers of active units at a time
_DEPENDENT = 1e-8  # relative size of a factor's diagonal below which the general least-squares solver is used

PURSUITS = ("omp", "orthogonal_least_squares")  # methods of `infer_until` that are not methods of `infer`

CODE_RULES: dict[str, Rule] = {
    "positive": Boolean(),
    "l2": Real(low=0),
    "max_nonzero": Integer(low=1) | None,
    "refit": Boolean(),
    "split_sign": Boolean(),
    "sparse_output": Boolean(),
}


def transform(
    signals: Any,
    dictionary: ArrayLike | PreparedDictionary,
    sparsity: float | NDArray[Any],
    *,
    positive: bool = False,
    l2: float = 0.0,
    max_nonzero: int | None = None,
    residual: float | None = None,
    refit: bool = False,
    split_sign: bool = False,
    sparse_output: bool = False,
    mask: ArrayLike | None = None,
    **options: Any,
) -> Any:
    """Codes of signals, (n_samples, n_components), or twice as many columns with `split_sign`.

    Parameters
    ----------
    signals : (n_samples, n_features)
        An array or a SciPy sparse matrix, which is made dense some rows at a time.
    dictionary : (n_components, n_features) or PreparedDictionary
    sparsity : float, (n_components,) or (n_samples, 1)
        The sparsity; with `max_nonzero`, an array has the weights of the units.
    positive : bool
    l2 : float
        Weight of ½‖z‖².
    max_nonzero : int, optional
        The number of active units of each signal, in place of a sparsity.
    residual : float, optional
        The largest ‖y − zD‖, in place of a sparsity or beside `max_nonzero`; with `l2`, the largest
        √(‖y − zD‖² + l2·‖z‖²).
    refit : bool
        Replace the values of active units by those of least squares.
    split_sign : bool
        Positive parts of all units, then negative parts.
    sparse_output : bool
        A `scipy.sparse.csr_array`.
    mask : bool (n_samples, n_features) or (n_features,), optional
        Where signals were observed.
    **options
        For `infer`: method, tolerance, max_iterations and others. With a limit, the method is one of `PURSUITS`, or
        another one, which stands for the path by homotopy.
    """
    prepared = as_prepared(dictionary)
    limited = max_nonzero is not None or residual is not None
    method = options.get("method")
    if method in PURSUITS and not limited:
        raise UsageError(f"{method} ends at a number of active units or an error: give max_nonzero or residual")
    if not limited and not refit and not split_sign:
        return infer(
            signals, prepared, sparsity, positive=positive, l2=l2, mask=mask, sparse_output=sparse_output, **options
        )
    if limited and mask is not None:
        given = "residual" if max_nonzero is None else "max_nonzero"
        raise UsageError(f"a mask is for codes of a sparsity, and {given} was given in place of one")
    given_sparse = is_sparse(signals)
    if given_sparse:
        signals = signals.tocsr()
    n = signals.shape[0]
    observed = None if mask is None else np.broadcast_to(np.asarray(mask, bool), signals.shape)
    path = prepared
    if limited and l2:
        path = PreparedDictionary(with_own_features(prepared.components.astype(np.float64), l2))
    blocks = []
    for first in range(0, max(n, 1), _ROWS):
        rows = slice(first, first + _ROWS)
        some = signals[rows].toarray() if given_sparse else signals[rows]
        seen = None if observed is None else observed[rows]
        if limited:
            weights = sparsity if np.ndim(sparsity) == 1 else None
            longer = np.pad(some, ((0, 0), (0, path.n_features - some.shape[1])))
            codes = infer_until(
                longer, path, method=method if method in PURSUITS else "homotopy", weights=weights,
                max_nonzero=max_nonzero, residual=residual, positive=positive,
                sparse_output=sparse_output and not refit and not split_sign,
            )  # fmt: skip
        else:
            codes = infer(some, prepared, sparsity, positive=positive, l2=l2, mask=seen, **options)
        if refit:
            codes = _refit(some, codes, prepared.components, positive=positive, mask=seen)
        if split_sign:
            codes = np.hstack([np.maximum(codes, 0), np.maximum(-codes, 0)])
        if sparse_output:
            from scipy import sparse

            codes = sparse.csr_array(codes)
        blocks.append(codes)
    if sparse_output:
        from scipy import sparse

        return sparse.vstack(blocks, format="csr")
    return np.concatenate(blocks)


def refit(
    signals: NDArray[Any],
    codes: NDArray[Any],
    units: NDArray[Any],
    *,
    positive: bool = False,
    mask: NDArray[np.bool_] | None = None,
) -> NDArray[Any]:
    """Codes with the same active units whose values explain the signals best: least squares, in double precision.

    Parameters
    ----------
    signals : (n_samples, n_features)
    codes : (n_samples, n_components)
    units : (n_components, n_features)
    positive : bool
        Least squares without negative values, which may be 0.
    mask : (n_samples, n_features), optional
        True for the features that count.
    """
    result = np.zeros_like(codes)
    double = np.asarray(units, np.float64)
    counts = np.count_nonzero(codes, axis=1)
    for count in np.unique(counts[counts > 0]):
        alike = np.flatnonzero(counts == count)
        step = max(1, _GATHERED // (int(count) * double.shape[1]))
        for first in range(0, len(alike), step):
            rows = alike[first : first + step]
            active = np.nonzero(codes[rows])[1].reshape(len(rows), count)
            some, of_some = np.asarray(signals[rows], np.float64), double[active]
            if mask is not None:
                some, of_some = np.where(mask[rows], some, 0), of_some * mask[rows][:, np.newaxis]
            values = _least_squares(some, of_some, positive)
            result[rows[:, np.newaxis], active] = values
    return result


_refit = refit  # `transform` has a parameter with this name


def _least_squares(signals: NDArray[Any], units: NDArray[Any], positive: bool) -> NDArray[Any]:
    """Values (n, count) for each signal in its own units, (n, count, n_features)."""
    _, count, n_features = units.shape
    values = np.full(units.shape[:2], np.nan)
    if count <= n_features:
        basis, factor = np.linalg.qr(units.transpose(0, 2, 1))
        diagonal = np.abs(factor.diagonal(axis1=1, axis2=2))
        good = diagonal.min(axis=1) > _DEPENDENT * diagonal.max(axis=1)
        along = np.einsum("nfk,nf->nk", basis[good], signals[good])
        values[good] = np.linalg.solve(factor[good], along[..., np.newaxis])[..., 0]
    for row in np.flatnonzero(np.isnan(values).any(axis=1)):
        values[row] = np.linalg.lstsq(units[row].T, signals[row], rcond=None)[0]
    if positive:
        from scipy.optimize import nnls

        for row in np.flatnonzero((values < 0).any(axis=1)):
            values[row] = nnls(units[row].T, signals[row])[0]
    return values
