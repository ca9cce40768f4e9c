"""Block-coordinate descent over the units of a dictionary, from sufficient statistics.

With A = Σ zᵀz and B = Σ zᵀy the error of all samples so far is ½ tr(DᵀA D) − tr(DᵀB). Unit j, with the others fixed,
has its minimum on the unit ball at the projection of d_j + (b_j − a_j D) / A_jj (Mairal, Bach, Ponce, Sapiro, "Online
learning for matrix factorization and sparse coding", JMLR 2010, algorithm 2).

Roofline: a sweep costs 2 K² p flops. Unit by unit it is K products of a vector with D, which read D from the cache K
times. In blocks of 32 units the products with units outside the block are one BLAS product, and only those inside are
done one after another: the result is the same to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.errors import UsageError
from striate.kernels import compiled, compiler
from striate.threads import in_threads

__all__ = [
    "add_products",
    "first_dictionary",
    "normalize_rows",
    "replacements",
    "update_dictionary",
    "worst_reconstructed",
]

_BLOCK = 32


def first_dictionary(
    signals: np.ndarray, n_components: int, *, start: Any, positive: bool, rng: np.random.Generator
) -> np.ndarray:
    """The first dictionary: `start`, or signals drawn at random; rows of unit norm, or of zeros.

    Parameters
    ----------
    signals : (n_samples, n_features)
    n_components : int
    start : array-like (n_components, n_features), optional
    positive : bool
        Take absolute values.
    rng : Generator

    Raises
    ------
    UsageError
        For a start of another shape, or with numbers that are not finite.
    """
    shape = n_components, signals.shape[1]
    if start is not None:
        try:
            components = np.array(start, dtype=signals.dtype)
        except (ValueError, TypeError, OverflowError):
            components = np.empty(0, signals.dtype)
        if components.shape != shape or not np.isfinite(components).all():
            raise UsageError(f"start must be {shape[0]} units of {shape[1]} finite numbers, not {components.shape}")
    else:
        drawn = rng.permutation(len(signals))[:n_components]
        components = rng.standard_normal(shape).astype(signals.dtype)
        # One signal per unit, or noise where there are too few; a little noise on all makes equal units differ.
        scale = np.sqrt(np.square(signals[drawn], dtype=np.float64).mean()) or 1.0
        components[: len(drawn)] = signals[drawn] + 0.01 * scale * components[: len(drawn)]
    if positive:
        components = np.abs(components)
    norms = np.linalg.norm(components, axis=1, keepdims=True)
    return np.ascontiguousarray(components / np.where(norms > 0, norms, 1))


def add_products(total: np.ndarray, left: np.ndarray, right: np.ndarray, keep: float) -> None:
    """``total = keep · total + left @ right``, in place, with one block of rows per thread."""
    new = np.empty_like(total)

    def rows(first: int, last: int) -> None:
        np.matmul(left[first:last], right, out=new[first:last])

    in_threads(rows, len(left), left.shape[1] * right.shape[1])
    if keep != 1:
        total *= total.dtype.type(keep)
    total += new


def normalize_rows(dictionary: np.ndarray) -> None:
    """Divide rows by their norms, in place; rows of zeros stay."""
    norms = np.sqrt(np.einsum("ij,ij->i", dictionary, dictionary))
    dictionary /= np.maximum(norms, 1e-12)[:, np.newaxis]


def worst_reconstructed(
    signals: np.ndarray, reconstructed: np.ndarray, n: int, *, weights: np.ndarray | None = None
) -> np.ndarray:
    """Indices of the `n` signals with the largest errors, without those whose error or weight is 0."""
    errors = np.square(signals - reconstructed).sum(axis=1)
    if weights is not None:
        errors = errors * (weights > 0)
    worst = np.argsort(-errors, kind="stable")[:n]
    return worst[errors[worst] > 0]


def replacements(
    unused: np.ndarray,
    signals: np.ndarray,
    reconstructed: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    positive: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """New values for units that no signal uses: the signals with the largest errors.

    Parameters
    ----------
    unused : int (n_unused,)
        Numbers of units.
    signals, reconstructed : (n_samples, n_features)
    weights : (n_samples,), optional
        Signals of weight 0 are not taken.
    positive : bool
        Take the positive parts of signals.

    Returns
    -------
    units : int (n_replaced,)
        Those of the unused units for which there is a signal.
    rows : (n_replaced, n_features)
        The new units, of unit norm.
    """
    worst = worst_reconstructed(signals, reconstructed, unused.size, weights=weights)
    rows = np.maximum(signals[worst], 0) if positive else signals[worst]
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    good = norms[:, 0] > 0
    return unused[: worst.size][good], rows[good] / norms[good]


def update_dictionary(
    components: np.ndarray, code_products: np.ndarray, signal_products: np.ndarray, *, positive: bool = False
) -> None:
    """One sweep over all units, in place; units without statistics do not change.

    Parameters
    ----------
    components : (n_components, n_features)
        Rows with a norm of at most 1; their norm is 1 after the sweep.
    code_products : (n_components, n_components)
        A.
    signal_products : (n_components, n_features)
        B.
    positive : bool
        Keep units non-negative.
    """
    kernel = _compile(components.dtype)
    for start in range(0, len(components), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(components)))
        gradient = signal_products[rows] - code_products[rows] @ components
        kernel(components[rows], gradient, np.ascontiguousarray(code_products[rows, rows]), positive)


@compiler("float32", "float64")
def _compile(dtype: np.dtype) -> Callable[..., None]:
    matrix = f"{dtype.name}[:, ::1]"
    return compiled(_update_block, f"void({matrix}, {matrix}, {matrix}, boolean)")


def _update_block(units: np.ndarray, gradient: np.ndarray, products: np.ndarray, positive: bool) -> None:
    """The units of a block, one after another; `gradient` starts as b − aD and follows what changes in the block."""
    n, n_features = units.shape
    for j in range(n):
        curvature = products[j, j]
        if not curvature > 0:
            continue
        square = 0.0
        for f in range(n_features):
            value = units[j, f] + gradient[j, f] / curvature
            if positive and value < 0:
                value = value - value
            gradient[j, f] = value  # the gradient of unit j is not needed again
            square += value * value
        if not square > 0:
            continue
        scale = 1 / np.sqrt(square)
        for f in range(n_features):
            new = gradient[j, f] * scale
            gradient[j, f] = new - units[j, f]
            units[j, f] = new
        for k in range(j + 1, n):
            share = products[k, j]
            if share != 0:
                for f in range(n_features):
                    gradient[k, f] -= share * gradient[j, f]
