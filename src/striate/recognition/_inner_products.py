"""Inner products of pairs of rows, whose bits depend on the two rows alone.

A product of matrices may sum in another order when there are more rows. Here each pair is summed in the same order
whatever else is computed, in float64: samples that are nearly the same, as successive frames of a video, differ by
less than sums in float32 are off.

Roofline: for one new row, each stored feature is read once, so that memory bounds it: 1,000 rows of 10,000 features
are 40 MB, about 4 ms. Many new rows at once are taken in tiles that stay in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from striate.kernels import compiled, compiler
from striate.threads import in_threads

__all__ = ["inner_products"]

_BLOCK = 1024  # features, of which a tile of rows takes 64 kB
_TILE = 16  # new rows


def inner_products(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """``Σ_k first[i, k] · second[j, k]`` for all i and j, float64 (n_first, n_second).

    It is symmetric: exchanging the two rows of a pair gives the same bits.
    """
    result = np.zeros((len(first), len(second)))
    kernel = _compile()
    in_threads(lambda low, high: kernel(low, high, first, second, result), len(second), first.size)
    return result


@compiler()
def _compile() -> Any:
    rows = types.Array(types.float32, 2, "C", readonly=True)
    return compiled(_add_products, types.void(types.int64, types.int64, rows, rows, types.float64[:, ::1]))


def _add_products(low: int, high: int, first: Any, second: Any, result: Any) -> None:
    n, n_features = first.shape
    for i_start in range(0, n, _TILE):
        for start in range(0, n_features, _BLOCK):
            stop = min(start + _BLOCK, n_features)
            for j in range(low, high):
                b = second[j, start:stop]
                for i in range(i_start, min(i_start + _TILE, n)):
                    a = first[i, start:stop]
                    total = 0.0
                    for k in range(len(a)):
                        total += np.float64(a[k]) * np.float64(b[k])
                    result[i, j] += total
