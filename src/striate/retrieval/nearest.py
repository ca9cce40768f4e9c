"""Exact nearest neighbors: among binary codes by Hamming distance, among vectors by Euclidean distance or cosine."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.retrieval._hamming_kernel import compile_scan
from striate.retrieval.codes import Codes
from striate.threads import run_ranges

__all__ = ["Metric", "Neighbors", "nearest_codes", "nearest_vectors", "unit_rows"]

Metric = Literal["euclidean", "cosine"]

_BLOCK_FLOATS = 1 << 22  # of distances, and of vectors in double precision, that exist at a time: 16 and 32 MB


class Neighbors(NamedTuple):
    """Neighbors of each query, nearest first; at equal distances the lower row comes first.

    Attributes
    ----------
    rows : int64 (n_queries, n_neighbors)
        Of the codes or vectors that were searched.
    distances : (n_queries, n_neighbors)
        Bits that differ, uint16; Euclidean distances or 1 − cosine, float64.
    """

    rows: NDArray[np.int64]
    distances: NDArray[Any]


def nearest_codes(queries: Codes, codes: Codes, n_neighbors: int) -> Neighbors:
    """The nearest binary codes, exactly.

    One pass over all codes a query, in threads over queries; beside the codes, which may be a memory map, it needs two
    bytes a code and thread.

    Parameters
    ----------
    queries : uint64 (n_queries, n_words)
    codes : uint64 (n_codes, n_words)
    n_neighbors : int
        As many as there are codes at the most.

    Returns
    -------
    Neighbors

    Raises
    ------
    UsageError
        When codes and queries differ in length, or there are not so many neighbors.
    """
    _check(queries, codes, n_neighbors)
    queries, codes = np.ascontiguousarray(queries, np.uint64), np.ascontiguousarray(codes, np.uint64)
    rows = np.empty((len(queries), n_neighbors), np.int64)
    distances = np.empty((len(queries), n_neighbors), np.uint16)
    scan = compile_scan()

    def search(first: int, last: int) -> None:
        found = np.empty(len(codes), np.uint16)
        for query in range(first, last):
            counts = np.zeros(64 * codes.shape[1] + 1, np.int64)
            scan(queries[query], codes, found, counts)
            # The distance of the last neighbor, from the histogram: nothing needs to be sorted but the neighbors.
            farthest = int(np.searchsorted(counts.cumsum(), n_neighbors))
            near = np.flatnonzero(found <= farthest)
            order = np.argsort(found[near], kind="stable")[:n_neighbors]
            rows[query] = near[order]
            distances[query] = found[near[order]]

    run_ranges(search, len(queries), size=max(1, min(16, len(queries))))
    return Neighbors(rows, distances)


def nearest_vectors(
    queries: NDArray[Any], vectors: NDArray[Any], n_neighbors: int, *, metric: Metric = "euclidean"
) -> Neighbors:
    """The nearest vectors, exactly, block by block: never more than some megabytes of distances.

    Parameters
    ----------
    queries : float (n_queries, n_features)
    vectors : float (n_vectors, n_features)
        May be a memory map.
    n_neighbors : int
        As many as there are vectors at the most.
    metric : "euclidean" or "cosine"
        The distance; 1 − cosine of the angle for "cosine", where a vector of zeros is at 1 from all.

    Returns
    -------
    Neighbors

    Raises
    ------
    UsageError
        When vectors and queries differ in length, or there are not so many neighbors.
    """
    _check(queries, vectors, n_neighbors)
    if metric not in get_args(Metric):
        raise UsageError(f'metric must be "euclidean" or "cosine", not {metric!r}')
    n_rows = max(n_neighbors, _BLOCK_FLOATS // max(1, vectors.shape[1]))
    n_queries = max(1, _BLOCK_FLOATS // n_rows)
    rows = np.empty((len(queries), n_neighbors), np.int64)
    distances = np.empty((len(queries), n_neighbors))
    for first in range(0, len(queries), n_queries):
        some = _prepared(queries[first : first + n_queries], metric)
        best_rows = np.empty((len(some), 0), np.int64)
        best = np.empty((len(some), 0))
        for start in range(0, len(vectors), n_rows):
            block = _prepared(vectors[start : start + n_rows], metric)
            found = _distances(some, block, metric)
            block_rows = np.broadcast_to(np.arange(start, start + len(block)), found.shape)
            best_rows, best = _smallest(
                np.concatenate([best_rows, block_rows], axis=1), np.concatenate([best, found], axis=1), n_neighbors
            )
        rows[first : first + n_queries], distances[first : first + n_queries] = best_rows, best
    return Neighbors(rows, distances if metric == "cosine" else np.sqrt(distances))


def unit_rows(vectors: NDArray[Any]) -> NDArray[Any]:
    """Vectors (n, n_features) divided by their lengths, in their own precision; zeros stay zeros."""
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    norms[norms == 0] = 1
    return np.asarray(vectors / norms[:, np.newaxis])


def _prepared(vectors: NDArray[Any], metric: str) -> NDArray[np.float64]:
    """In double precision, in which the difference of squares leaves enough; of unit length for the cosine."""
    exact = np.asarray(vectors, np.float64)
    return unit_rows(exact) if metric == "cosine" else exact


def _distances(queries: NDArray[np.float64], block: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    """Squared Euclidean distances, or 1 − cosine."""
    products = queries @ block.T
    if metric == "cosine":
        return np.maximum(1 - products, 0, out=products)
    squares = np.einsum("ij,ij->i", block, block)
    own = np.einsum("ij,ij->i", queries, queries)
    products *= -2
    products += squares
    products += own[:, np.newaxis]
    return np.maximum(products, 0, out=products)


def _smallest(
    rows: NDArray[np.int64], distances: NDArray[np.float64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The n smallest of each row of distances, sorted; columns are in the order of their rows."""
    n = min(n, distances.shape[1])
    limits = np.partition(distances, n - 1, axis=1)[:, n - 1]
    if np.isnan(limits).any() or np.isnan(distances.sum()):
        raise UsageError("queries or vectors contain NaN or infinity; remove these samples")
    order = np.empty((len(distances), n), np.int64)
    for query, (row, limit) in enumerate(zip(distances, limits, strict=True)):
        near = np.flatnonzero(row <= limit)  # all of the n-th's distance, so that of equals the lower rows win
        order[query] = near[np.argsort(row[near], kind="stable")[:n]]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(distances, order, axis=1)


def _check(queries: NDArray[Any], items: NDArray[Any], n_neighbors: int) -> None:
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        raise UsageError(
            f"queries of shape {queries.shape} and what is searched, of shape {items.shape}, do not fit: "
            "give two arrays with the same number of columns"
        )
    if not 1 <= n_neighbors <= len(items):
        raise UsageError(f"{n_neighbors} neighbors were asked for, of {len(items)}: ask for 1 to {len(items)}")
