"""Exact nearest neighbors: among binary codes by Hamming distance, among vectors by Euclidean distance or cosine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Choice, Integer, checked
from striate.retrieval._hamming_kernel import compile_scan
from striate.retrieval.codes import Codes, as_codes
from striate.samples import as_samples, check_finite
from striate.threads import run_ranges

__all__ = ["Metric", "Neighbors", "nearest_codes", "nearest_vectors", "unit_rows"]

Metric = Literal["euclidean", "cosine"]

_BLOCK_FLOATS = 1 << 22  # distances, and numbers of vectors, in memory at a time: 16 and 32 MB
_CENTER_ROWS = 1000  # vectors whose median is the center
_ROUNDING = float(np.finfo(np.float64).eps)
_LARGE, _SMALL = 1e140, 1e-140  # squares of numbers between these neither overflow nor underflow


class Neighbors(NamedTuple):
    """Neighbors of each query, nearest first; at equal distances the lower row comes first.

    Attributes
    ----------
    rows : int64 (n_queries, n_neighbors)
        Rows of the codes or vectors that were searched.
    distances : (n_queries, n_neighbors)
        Hamming distances, uint16; or Euclidean distances or 1 − cosine, float64.
    """

    rows: NDArray[np.int64]
    distances: NDArray[Any]


def nearest_codes(queries: Codes, codes: Codes, n_neighbors: int) -> Neighbors:
    """The nearest binary codes, exactly.

    One pass over all codes per query, with queries divided among threads. Besides the codes, which may be a memory map,
    it needs two bytes of memory per code and thread.

    Parameters
    ----------
    queries : uint64 (n_queries, n_words)
    codes : uint64 (n_codes, n_words)
    n_neighbors : int
        At most the number of codes.

    Returns
    -------
    Neighbors

    Raises
    ------
    UsageError
        If codes and queries differ in length, or there are fewer codes than `n_neighbors`.
    """
    queries, codes = as_codes(queries, name="queries"), as_codes(codes)
    n_neighbors = _checked_number(queries, codes, n_neighbors)
    rows = np.empty((len(queries), n_neighbors), np.int64)
    distances = np.empty((len(queries), n_neighbors), np.uint16)
    scan = compile_scan()

    def search(first: int, last: int) -> None:
        found = np.empty(len(codes), np.uint16)
        for query in range(first, last):
            counts = np.zeros(64 * codes.shape[1] + 1, np.int64)
            scan(queries[query], codes, found, counts)
            # The histogram gives the distance of the last neighbor, so that only the neighbors are sorted.
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
    """The nearest vectors, exactly, in blocks with at most some megabytes of distances.

    Parameters
    ----------
    queries : (n_queries, n_features)
        Finite real numbers.
    vectors : (n_vectors, n_features)
        Finite real numbers; may be a memory map.
    n_neighbors : int
        At most the number of vectors.
    metric : "euclidean" or "cosine"
        The distance. "cosine" is 1 − cosine of the angle; a vector of zeros has distance 1 to all others.

    Returns
    -------
    Neighbors

    Raises
    ------
    UsageError
        If vectors and queries are not tables of finite real numbers or differ in length, or if there are fewer vectors
        than `n_neighbors`.

    Notes
    -----
    Matrix products of centered vectors are used only to choose candidates: all vectors that can be neighbors, given the
    bound on rounding errors. Returned distances are computed from differences of the given numbers in double precision
    (for 64-bit integers, from integer differences). They are therefore exact also far from the origin, where a
    difference of squares would lose all digits.
    """
    metric = checked("metric", metric, Choice(*get_args(Metric)))
    queries, vectors = _table(queries, "queries"), _table(vectors, "vectors")
    n_neighbors = _checked_number(queries, vectors, n_neighbors)
    prepare = _preparation(queries, vectors, metric)
    n_columns = max(1, vectors.shape[1] + 2)
    n_rows = min(len(vectors), max(n_neighbors, _BLOCK_FLOATS // n_columns))
    n_queries = max(1, min(_BLOCK_FLOATS // n_rows, _BLOCK_FLOATS // n_columns))
    rows = np.empty((len(queries), n_neighbors), np.int64)
    distances = np.empty((len(queries), n_neighbors))
    center = _center(vectors, prepare)
    for first in range(0, len(queries), n_queries):
        some = queries[first : first + n_queries]
        check_finite(np.asarray(some), "queries", first=first)
        search = _Search(prepare(some, True), center, n_neighbors, metric)
        for start in range(0, len(vectors), n_rows):
            block = np.asarray(vectors[start : start + n_rows])
            if first == 0:
                check_finite(block, "vectors", first=start)
            search.look_at(prepare(block, False), start)
        for query, (found, at) in enumerate(zip(search.rows, search.distances, strict=True), start=first):
            rows[query], distances[query] = found, at
    return Neighbors(rows, distances)


class _Search:
    """The nearest vectors so far, per query.

    Parameters
    ----------
    queries : float64 or int64 (n_queries, n_features)
    center : (n_features,)
        Of the same dtype as the queries.
    n : int
        Number of neighbors.
    metric : str
        "cosine" is computed as half the squared distance of vectors of unit length.
    """

    def __init__(self, queries: NDArray[Any], center: NDArray[Any], n: int, metric: str) -> None:
        self.queries, self.center, self.n, self.metric = queries, center, n, metric
        self.rows = [np.empty(0, np.int64) for _ in queries]
        self.distances = [np.empty(0) for _ in queries]
        self._centered = _differences(queries, center)

    def look_at(self, block: NDArray[Any], start: int) -> None:
        """Update the nearest with a block of vectors, the first of which is row `start`."""
        for query, near in enumerate(self._candidates(block)):
            found = self._distances(block[near], self.queries[query])
            found = np.concatenate([self.distances[query], found])
            rows = np.concatenate([self.rows[query], near + start])
            order = np.argsort(found, kind="stable")[: self.n]  # candidates are in the order of their rows
            self.rows[query], self.distances[query] = rows[order], found[order]

    def _candidates(self, block: NDArray[Any]) -> list[NDArray[np.int64]]:
        """Rows of the block that may be neighbors, increasing, per query."""
        queries, vectors = self._centered, _differences(block, self.center)
        largest = max(np.abs(queries).max(initial=0), np.abs(vectors).max(initial=0))
        if len(block) <= self.n or np.isinf(largest):
            return [np.arange(len(block))] * len(queries)
        scale = 1.0
        if largest and not _SMALL < largest < _LARGE:
            scale = float(np.ldexp(1.0, -int(np.clip(np.frexp(largest)[1], -1000, 1000))))
            queries, vectors = queries * scale, vectors * scale
        own, squares = (np.einsum("ij,ij->i", rows, rows) for rows in (queries, vectors))
        # ‖q − v‖² = ‖q‖² + ‖v‖² − 2 q·v is wrong by less than this share of ‖q‖² + ‖v‖², centering included.
        share = 2 * (block.shape[1] + 16) * _ROUNDING
        lowest = queries @ vectors.T
        lowest *= -2
        lowest += (1 - share) * squares
        lowest += (1 - share) * own[:, np.newaxis]
        nearest = np.argpartition(lowest, self.n - 1, axis=1)[:, : self.n]
        highest = np.take_along_axis(lowest, nearest, axis=1) + 2 * share * (squares[nearest] + own[:, np.newaxis])
        limits = highest.max(axis=1)
        result = []
        for query, limit in enumerate(limits):
            if len(self.distances[query]) == self.n:
                limit = min(limit, self._square(self.distances[query][-1] * (1 + 4 * share), scale))
            result.append(np.flatnonzero(lowest[query] <= limit + 1e-290))
        return result

    def _square(self, distance: float, scale: float) -> float:
        """A squared Euclidean distance of scaled vectors."""
        scaled = distance * scale
        if self.metric == "cosine":
            return 2 * scaled * scale
        return scaled * scaled if scaled < _LARGE else np.inf

    def _distances(self, vectors: NDArray[Any], query: NDArray[Any]) -> NDArray[np.float64]:
        differences = _differences(vectors, query)
        if self.metric == "euclidean":
            lengths = _lengths(differences)
            infinite = np.isinf(lengths)
            if infinite.any():  # the distance may be finite where a square or a difference is not
                with np.errstate(over="ignore"):
                    lengths[infinite] = 4 * _lengths(_differences(vectors[infinite] / 4, query / 4))
            return lengths
        halves = 0.5 * np.einsum("ij,ij->i", differences, differences)
        # Distances of vectors of equal direction can be above 0 only by rounding.
        halves[halves <= ((vectors.shape[1] ** 0.5 + 8) * _ROUNDING) ** 2] = 0
        return np.asarray(halves)


def _lengths(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean lengths of rows, of any finite size."""
    with np.errstate(over="ignore", under="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    extreme = ~((lengths > _SMALL) & (lengths < _LARGE))
    if extreme.any():
        some = rows[extreme]
        exponents = np.frexp(np.abs(some).max(axis=1, initial=0))[1]
        scaled = np.ldexp(some, -exponents[:, np.newaxis])
        with np.errstate(over="ignore"):
            lengths[extreme] = np.ldexp(np.sqrt(np.einsum("ij,ij->i", scaled, scaled)), exponents)
    return np.asarray(lengths)


def _differences(rows: NDArray[Any], row: NDArray[Any]) -> NDArray[np.float64]:
    """Each row minus `row`; integers are subtracted as integers."""
    with np.errstate(over="ignore"):
        return np.asarray(rows - row, np.float64)


def unit_rows(vectors: NDArray[Any]) -> NDArray[Any]:
    """Vectors (n, n_features) divided by their lengths, in their own precision; zeros stay zeros."""
    with np.errstate(over="ignore", under="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)
    limits = np.finfo(vectors.dtype)
    extreme = ~((squares > limits.tiny / limits.eps) & (squares < limits.max))
    if extreme.any():
        some = vectors[extreme]
        exponents = np.frexp(np.abs(some).max(axis=1, initial=0))[1]
        vectors = vectors.copy()
        vectors[extreme] = np.ldexp(some, -exponents[:, np.newaxis])
        squares[extreme] = np.einsum("ij,ij->i", vectors[extreme], vectors[extreme])
    norms = np.sqrt(squares)
    norms[norms == 0] = 1
    return np.asarray(vectors / norms[:, np.newaxis])


def _preparation(
    queries: NDArray[Any], vectors: NDArray[Any], metric: str
) -> Callable[[NDArray[Any], bool], NDArray[Any]]:
    """The function that converts given rows (and whether they are queries) to rows whose distances are computed."""
    if metric == "cosine":
        return _directions
    if _is_wide(queries, vectors):
        return lambda rows, _: np.asarray(rows).astype(np.int64)
    return lambda rows, _: np.asarray(rows, np.float64)


def _directions(rows: NDArray[Any], asks: bool) -> NDArray[np.float64]:
    """Rows of unit length; rows of zeros get an extra dimension, at a right angle to all others."""
    result = np.zeros((len(rows), rows.shape[1] + 2))
    result[:, :-2] = unit_rows(np.asarray(rows, np.float64))
    result[~result.any(axis=1), -1 if asks else -2] = 1
    return result


def _center(vectors: NDArray[Any], prepare: Callable[[NDArray[Any], bool], NDArray[Any]]) -> NDArray[Any]:
    """The upper median of each feature, which is one of its values, and robust against outliers."""
    sample = np.asarray(vectors[np.linspace(0, len(vectors) - 1, min(len(vectors), _CENTER_ROWS)).astype(np.int64)])
    sample = np.where(np.isfinite(sample), sample, sample.dtype.type(0))  # others raise an error later
    return np.asarray(np.sort(prepare(sample, False), axis=0)[len(sample) // 2])


def _is_wide(queries: NDArray[Any], vectors: NDArray[Any]) -> bool:
    """Whether these are integers beyond double precision, such as nanoseconds since 1970.

    Their differences must fit into signed 64-bit integers.
    """
    if any(table.dtype.kind not in "iu" or table.dtype.itemsize < 8 for table in (queries, vectors)):
        return False
    tables = [table for table in (queries, vectors) if table.size]
    low, high = min(int(table.min()) for table in tables), max(int(table.max()) for table in tables)
    return max(-low, high) > 1 << 53 and high - low < 1 << 63


def _table(values: Any, name: str) -> NDArray[Any]:
    """Rows of real numbers; arrays are not copied, so that a memory map is read block by block."""
    plain = isinstance(values, np.ndarray) and not np.ma.isMaskedArray(values)
    if plain and values.ndim == 2 and values.dtype.kind in "fiu":
        return np.asarray(values)
    return as_samples(values, name=name, finite=False)


def _checked_number(queries: NDArray[Any], items: NDArray[Any], n_neighbors: object) -> int:
    if queries.shape[1] != items.shape[1]:
        raise UsageError(
            f"queries of shape {queries.shape} and what is searched, of shape {items.shape}, do not fit: "
            "give two arrays with the same number of columns"
        )
    n: int = checked("n_neighbors", n_neighbors, Integer())
    if not 1 <= n <= len(items):
        raise UsageError(f"{n} neighbors were asked for, of {len(items)}: ask for 1 to {len(items)}")
    return n
