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

import numpy as np

from striate.kernels import compiled, compiler

__all__ = ["update_dictionary"]

_BLOCK = 32


def update_dictionary(
    components: np.ndarray, code_products: np.ndarray, signal_products: np.ndarray, *, positive: bool = False
) -> None:
    """One sweep over all units, in place; units without statistics stay.

    Parameters
    ----------
    components : (n_components, n_features)
        Rows of unit norm at the most; they end with unit norm.
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
            gradient[j, f] = value  # its own gradient is not needed again
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
