"""The Cholesky factor of the Gram matrix of some units, inside kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.kernels import inlined

__all__ = ["factorize", "solve"]


@inlined
def factorize(m: Any, gram: Any, units: Any, least: Any, factor: Any) -> Any:
    """Cholesky factor of the active Gram matrix; the first unit that depends on those before it, or −1."""
    for a in range(m):
        row = gram[units[a]]
        for b in range(a):
            total = float(row[units[b]])
            for k in range(b):
                total -= factor[a, k] * factor[b, k]
            factor[a, b] = total / factor[b, b]
        total = float(row[units[a]])
        for k in range(a):
            total -= factor[a, k] * factor[a, k]
        if not total > least * row[units[a]]:
            return a
        factor[a, a] = np.sqrt(total)
    return -1


@inlined
def solve(m: Any, factor: Any, vector: Any) -> None:
    """L Lᵀ x = v, in place."""
    for a in range(m):
        total = vector[a]
        for k in range(a):
            total -= factor[a, k] * vector[k]
        vector[a] = total / factor[a, a]
    for back in range(m):
        a = m - 1 - back
        total = vector[a]
        for k in range(a + 1, m):
            total -= factor[k, a] * vector[k]
        vector[a] = total / factor[a, a]
