"""Groups of similar codes, without comparing all pairs."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Integer, checked
from striate.retrieval._hamming_kernel import compile_join
from striate.retrieval.codes import Codes, as_codes, n_words

__all__ = ["near_duplicates"]


def near_duplicates(codes: Codes, n_bits: int, threshold: int) -> list[NDArray[np.int64]]:
    """Groups in which each code is within a Hamming distance of another of its group: transitive, and exact.

    Codes that differ in at most t bits agree in at least one of t + 1 parts of the code. Only codes that share a part
    are therefore compared: with balanced bits and small t, a small fraction of all pairs. Equal codes are compared
    once.

    Parameters
    ----------
    codes : uint64 (n_codes, n_words)
    n_bits : int
        Number of bits of a code.
    threshold : int
        0 finds equal codes; less than `n_bits`.

    Returns
    -------
    list of int64 (n_members,)
        Rows of groups of two or more codes, increasing; groups in the order of their first rows.

    References
    ----------
    Norouzi, Punjani, Fleet, "Fast search in Hamming space with multi-index hashing", CVPR 2012, section 2.
    """
    codes = as_codes(codes)
    if n_words(n_bits) != codes.shape[1]:
        raise UsageError(f"codes of {codes.shape[1]} words do not hold {n_bits} bits each: give their number of bits")
    n_bits, threshold = int(n_bits), checked("threshold", threshold, Integer())
    if not 0 <= threshold < n_bits:
        raise UsageError(f"a threshold of {threshold} bits does not suit codes of {n_bits}: give 0 to {n_bits - 1}")
    if not len(codes):
        return []
    distinct, inverse = np.unique(codes, axis=0, return_inverse=True)
    distinct, inverse = np.ascontiguousarray(distinct), inverse.reshape(-1)
    parents = np.arange(len(distinct))
    if threshold:
        join = compile_join()
        edges = np.linspace(0, n_bits, threshold + 2).astype(np.int64)
        for first, last in itertools.pairwise(edges.tolist()):
            keys = _part(distinct, first, last)
            join(distinct, keys, np.argsort(keys, kind="stable"), threshold, parents)
    roots = _roots(parents)[inverse]
    order = np.argsort(roots, kind="stable")
    starts = np.flatnonzero(np.diff(roots[order])) + 1
    groups = [group for group in np.split(order, starts) if len(group) > 1]
    return sorted(groups, key=lambda group: int(group[0]))


def _part(codes: Codes, first: int, last: int) -> NDArray[np.uint64]:
    """Bits first … last − 1 of each code as a number; the first 64 of them where there are more."""
    last = min(last, first + 64)
    word, shift = divmod(first, 64)
    part = codes[:, word] >> np.uint64(shift)
    if last > 64 * (word + 1):
        part |= codes[:, word + 1] << np.uint64(64 - shift)
    if last - first < 64:
        part &= np.uint64((1 << (last - first)) - 1)
    return np.ascontiguousarray(part)


def _roots(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    """The root of each node; every step halves the longest path."""
    while True:
        above = parents[parents]
        if np.array_equal(above, parents):
            return parents
        parents = above
