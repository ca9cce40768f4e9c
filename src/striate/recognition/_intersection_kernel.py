"""Sums of minima of all pairs of rows, the computation behind histogram intersection.

Roofline: n₁ n₂ d minima and additions, 16 of each per instruction with AVX-512, from tiles that stay in the cache:
3,060 histograms of 12,600 bins with each other are 1.2·10¹¹, about four seconds on one core.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from striate.kernels import compiled, compiler
from striate.threads import run_ranges

__all__ = ["sums_of_minima"]

_TILE = 16  # rows per side of a tile, whose bins stay in the cache
_BINS = 1024


def sums_of_minima(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """``Σ_k min(first[i, k], second[j, k])`` for all i and j, (n_first, n_second)."""
    first, second = (np.ascontiguousarray(rows, np.float32) for rows in (first, second))
    result = np.zeros((len(first), len(second)), np.float32)
    kernel = _compile()
    run_ranges(lambda low, high: kernel(low, high, first, second, result), len(first), size=_TILE)
    return result


@compiler()
def _compile() -> Any:
    rows = types.Array(types.float32, 2, "C", readonly=True)
    return compiled(_add_minima, types.void(types.int64, types.int64, rows, rows, types.float32[:, ::1]))


def _add_minima(low: int, high: int, first: Any, second: Any, result: Any) -> None:
    n, n_bins = second.shape
    for start in range(0, n_bins, _BINS):
        stop = min(start + _BINS, n_bins)
        for j_start in range(0, n, _TILE):
            for i in range(low, high):
                a = first[i, start:stop]
                for j in range(j_start, min(j_start + _TILE, n)):
                    b = second[j, start:stop]
                    total = np.float32(0)
                    for k in range(len(a)):
                        total += a[k] if a[k] < b[k] else b[k]
                    result[i, j] += total
