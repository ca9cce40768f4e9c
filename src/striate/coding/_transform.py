"""From signals to codes as estimators give them: of a wanted size, fitted again, with signs apart, in blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.infer import infer
from striate.coding.path import infer_until
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.parameters import Boolean, Integer, Rule
from striate.samples import is_sparse

__all__ = ["CODE_RULES", "refit", "transform"]

_ROWS = 4096  # at a time, where rows are taken from a sparse matrix or given as one
_GATHERED = 1 << 22  # numbers of active units at a time
_DEPENDENT = 1e-8  # of a factor's diagonal, from which on least squares take the general way

CODE_RULES: dict[str, Rule] = {
    "positive": Boolean(),
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
    max_nonzero: int | None = None,
    refit: bool = False,
    split_sign: bool = False,
    sparse_output: bool = False,
    **options: Any,
) -> Any:
    """Codes of signals, (n_samples, n_components), or twice as many columns with `split_sign`.

    Parameters
    ----------
    signals : (n_samples, n_features)
        An array or a SciPy sparse matrix, of which some rows at a time are made dense.
    dictionary : (n_components, n_features) or PreparedDictionary
    sparsity : float, (n_components,) or (n_samples, 1)
        Without `max_nonzero`; with it, an array for the units is their weights.
    positive : bool
    max_nonzero : int, optional
        In place of a sparsity, active units of each signal.
    refit : bool
        Replace the values of active units by those of least squares.
    split_sign : bool
        Positive parts of all units, then negative parts.
    sparse_output : bool
        A `scipy.sparse.csr_array`.
    **options
        For `infer`: method, tolerance, max_iterations and others.
    """
    prepared = dictionary if isinstance(dictionary, PreparedDictionary) else PreparedDictionary(dictionary)
    given_sparse = is_sparse(signals)
    if not (given_sparse or sparse_output or max_nonzero is not None or refit or split_sign):
        return infer(signals, prepared, sparsity, positive=positive, **options)
    if sparse_output and not (given_sparse or max_nonzero is not None or refit or split_sign):
        return infer(signals, prepared, sparsity, positive=positive, sparse_output=True, **options)
    if given_sparse:
        signals = signals.tocsr()
    n = signals.shape[0]
    of_signals = np.ndim(sparsity) == 2 and np.shape(sparsity)[0] == n
    start = options.pop("start", None)
    blocks = []
    for first in range(0, max(n, 1), _ROWS):
        rows = slice(first, first + _ROWS)
        some = signals[rows].toarray() if given_sparse else signals[rows]
        if max_nonzero is not None:
            weights = sparsity if np.ndim(sparsity) == 1 else None
            codes = infer_until(some, prepared, weights=weights, max_nonzero=max_nonzero, positive=positive)
        else:
            level = sparsity[rows] if of_signals else sparsity  # type: ignore[index]
            begin = None if start is None else start[rows]
            codes = infer(some, prepared, level, positive=positive, start=begin, **options)
        if refit:
            codes = _refit(some, codes, prepared.components, positive=positive)
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


def refit(signals: NDArray[Any], codes: NDArray[Any], units: NDArray[Any], *, positive: bool = False) -> NDArray[Any]:
    """Codes with the same active units whose values explain the signals best: least squares, in double precision.

    Parameters
    ----------
    signals : (n_samples, n_features)
    codes : (n_samples, n_components)
    units : (n_components, n_features)
    positive : bool
        Least squares without negative values, which may be 0.
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
            values = _least_squares(np.asarray(signals[rows], np.float64), double[active], positive)
            result[rows[:, np.newaxis], active] = values
    return result


_refit = refit  # `transform` has a parameter of that name


def _least_squares(signals: NDArray[Any], units: NDArray[Any], positive: bool) -> NDArray[Any]:
    """Of each signal in its own units, (n, count, n_features): values (n, count)."""
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
