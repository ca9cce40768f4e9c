"""Kernels over binary codes: distances of one code to many, and pairs of codes that are near each other.

Roofline: a million codes of 64 bits are 8 MB, which a core reads from memory in about a millisecond; counting their
bits takes as long (one `popcnt` per word, or a table of nibbles in vector registers).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba import types
from numba.extending import intrinsic

from striate.kernels import compiled, compiler

__all__ = ["compile_join", "compile_scan"]


def _count_in_python(word: Any) -> int:
    return int(word).bit_count()


@intrinsic
def _population_count(typing: Any, word: Any) -> Any:
    """The number of bits that are 1, in one instruction."""
    return types.uint64(types.uint64), lambda context, builder, signature, arguments: builder.ctpop(arguments[0])


_n_ones: Callable[..., Any] = (
    _count_in_python if numba.config.DISABLE_JIT else _population_count  # type: ignore[attr-defined]
)


@compiler()
def compile_scan() -> Callable[..., None]:
    """The compiled `_scan`."""
    row, rows = (types.Array(types.uint64, axes, "C", readonly=True) for axes in (1, 2))
    return compiled(_scan, types.void(row, rows, types.uint16[::1], types.int64[::1]))


def _scan(query: Any, codes: Any, distances: Any, counts: Any) -> None:
    """Hamming distances of one code to all codes; adds the number of codes at each distance to `counts`."""
    n_codes, n_words = codes.shape
    if n_words == 1:
        word = query[0]
        flat = codes.reshape(-1)
        for i in range(n_codes):
            distances[i] = _n_ones(flat[i] ^ word)
    else:
        for i in range(n_codes):
            distance = 0
            for k in range(n_words):
                distance += _n_ones(codes[i, k] ^ query[k])
            distances[i] = distance
    for i in range(n_codes):
        counts[distances[i]] += 1


@compiler()
def compile_join() -> Callable[..., int]:
    """The compiled `_join`."""
    rows = types.Array(types.uint64, 2, "C", readonly=True)
    keys, order = types.uint64[::1], types.int64[::1]
    return compiled(_join, types.int64(rows, keys, order, types.int64, types.int64[::1]))


def _join(codes: Any, keys: Any, order: Any, threshold: Any, parents: Any) -> int:
    """Join codes with the same key whose distance is within the threshold; returns the number of comparisons.

    `order` sorts `keys`; `parents` is a forest whose roots are the smallest rows of their groups.
    """
    n, n_words = codes.shape
    n_compared = 0
    first = 0
    while first < n:
        last = first + 1
        while last < n and keys[order[last]] == keys[order[first]]:
            last += 1
        for a in range(first, last):
            for b in range(a + 1, last):
                i, j = order[a], order[b]
                n_compared += 1
                distance = 0
                for k in range(n_words):
                    distance += _n_ones(codes[i, k] ^ codes[j, k])
                if distance <= threshold:
                    while parents[i] != i:
                        parents[i] = parents[parents[i]]  # halves the path
                        i = parents[i]
                    while parents[j] != j:
                        parents[j] = parents[parents[j]]
                        j = parents[j]
                    if i < j:
                        parents[j] = i
                    else:
                        parents[i] = j
        first = last
    return n_compared
