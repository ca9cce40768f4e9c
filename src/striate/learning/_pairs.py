"""Which samples are similar to each other, which are not, and pairs drawn from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from striate.errors import UsageError
from striate.learning._rows import Rows, chunks

__all__ = ["Known", "Related", "Relation"]


class Relation:
    """Samples in groups, and which groups are similar: samples of one group are versions of one thing.

    Parameters
    ----------
    groups : int64 (n_samples,)
        The group of each sample, numbered from 0.
    similar : int64 (n_pairs, 2)
        Pairs of groups; all samples of both are similar to each other. Samples of one group always are.
    dissimilar : int64 (n_pairs, 2), optional
        Pairs of groups; by default all that are not similar.
    """

    def __init__(
        self, groups: NDArray[np.int64], similar: NDArray[np.int64], dissimilar: NDArray[np.int64] | None = None
    ) -> None:
        self.groups = groups
        self._members = np.argsort(groups, kind="stable")
        self._counts = np.bincount(groups)
        self._firsts = np.cumsum(self._counts) - self._counts
        self._places = np.empty(len(groups), np.int64)
        self._places[self._members] = np.arange(len(groups)) - np.repeat(self._firsts, self._counts)
        self._similar = self._graph(similar, own=True)
        self._dissimilar = None if dissimilar is None else self._graph(dissimilar, own=False)

    def drawn(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """The rows, then for each a sample that is similar to it, itself where there is none.

        If dissimilar pairs were given, there is also a dissimilar sample for each.
        """
        found = [rows, self._partners(rows, self._similar, rng)]
        if self._dissimilar is not None:
            found.append(self._partners(rows, self._dissimilar, rng))
        return np.concatenate(found)

    def apart(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these samples are dissimilar, bool (n_rows, n_rows), symmetric."""
        groups = self.groups[rows]
        if self._dissimilar is not None:
            return np.asarray(self._dissimilar[groups][:, groups].toarray())
        same = groups[:, np.newaxis] == groups
        return np.asarray(~(same | self._similar[groups][:, groups].toarray()))

    def _graph(self, pairs: NDArray[np.int64], *, own: bool) -> csr_array:
        """Both directions of the pairs; groups of several samples are their own neighbors."""
        one, other = pairs.T
        alone = np.flatnonzero(self._counts > 1) if own else np.empty(0, np.int64)
        rows, columns = np.concatenate([one, other, alone]), np.concatenate([other, one, alone])
        n = len(self._counts)
        graph = csr_array((np.ones(len(rows), bool), (rows, columns)), shape=(n, n))
        graph.sum_duplicates()
        return graph

    def _partners(self, rows: NDArray[np.int64], graph: csr_array, rng: np.random.Generator) -> NDArray[np.int64]:
        """A random sample of a random neighboring group for each row; the row itself where there is none."""
        if not graph.nnz:
            return rows
        first, second = rng.random((2, len(rows)))
        groups = self.groups[rows]
        degrees = graph.indptr[groups + 1] - graph.indptr[groups]
        pick = np.minimum((first * degrees).astype(np.int64), np.maximum(degrees - 1, 0))
        chosen = graph.indices[np.minimum(graph.indptr[groups] + pick, graph.nnz - 1)].astype(np.int64)
        own = chosen == groups  # then another sample than the row
        n_others = self._counts[chosen] - own
        place = np.minimum((second * n_others).astype(np.int64), np.maximum(n_others - 1, 0))
        place += own & (place >= self._places[rows])
        return np.where(degrees > 0, self._members[self._firsts[chosen] + place], rows)


class Known(NamedTuple):
    """What a user tells about similarity: see `DrLIM.fit`."""

    labels: Any = None
    pairs: ArrayLike | None = None
    dissimilar: ArrayLike | None = None
    versions: ArrayLike | None = None


class Related:
    """Samples, and their relation once it is needed, since it may take a search for neighbors."""

    def __init__(self, rows: Rows, known: Known) -> None:
        self.rows, self.known = rows, known
        self.shape = rows.shape
        self._relation: Relation | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def relation(self, similar: str, n_neighbors: int, scaled: Callable[[NDArray[Any]], NDArray[Any]]) -> Relation:
        """Who is similar to whom: by pairs if there are any, else by labels or neighbors among scaled samples."""
        if self._relation is None:
            self._relation = self._related(similar, n_neighbors, scaled)
        return self._relation

    def _related(self, similar: str, n_neighbors: int, scaled: Callable[[NDArray[Any]], NDArray[Any]]) -> Relation:
        labels, pairs, dissimilar, versions = self.known
        n = len(self)
        if similar == "labels" and pairs is None:
            if labels is None:
                raise UsageError('DrLIM: similar="labels" requires y to be passed, but the target y is None: fit(X, y)')
            return Relation(_numbered("labels", labels, n), np.empty((0, 2), np.int64))
        groups = np.arange(n) if versions is None else _numbered("versions", versions, n)
        apart = None if dissimilar is None else groups[_checked_pairs("dissimilar pairs", dissimilar, n)]
        if pairs is not None:
            return Relation(groups, groups[_checked_pairs("pairs", pairs, n)], apart)
        firsts = np.unique(groups, return_index=True)[1]
        things = np.concatenate([scaled(self.rows[firsts[some]]) for some in chunks(len(firsts))])
        return Relation(groups, _nearest(things, n_neighbors), apart)


def _nearest(samples: NDArray[Any], n_neighbors: int) -> NDArray[np.int64]:
    """Pairs of each sample and its nearest neighbors, int64 (n_samples · n_neighbors, 2)."""
    from sklearn.neighbors import NearestNeighbors

    n = len(samples)
    n_neighbors = min(n_neighbors, n - 1)
    if n_neighbors < 1:
        return np.empty((0, 2), np.int64)
    nearest = NearestNeighbors(n_neighbors=n_neighbors).fit(samples).kneighbors(return_distance=False)
    return np.stack([np.repeat(np.arange(n), n_neighbors), nearest.ravel().astype(np.int64)], axis=1)


def _checked_pairs(name: str, pairs: ArrayLike, n_samples: int) -> NDArray[np.int64]:
    """Pairs of row numbers, int64 (n_pairs, 2).

    Raises
    ------
    UsageError
        For anything else.
    """
    try:
        array = np.asarray(pairs)
    except ValueError:
        array = np.empty(0, object)
    if not array.size and array.dtype.kind in "fiu":
        return np.empty((0, 2), np.int64)
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != 2:
        raise UsageError(f"{name} are numbers of two rows each, integers of shape (n_pairs, 2), not {_told(array)}")
    if array.min() < 0 or array.max() >= n_samples:
        raise UsageError(f"{name} go from row {array.min()} to {array.max()}, but there are {n_samples} rows, from 0")
    return array.astype(np.int64)


def _numbered(name: str, values: Any, n_samples: int) -> NDArray[np.int64]:
    """Labels of samples as numbers from 0, in the order of the sorted labels.

    Raises
    ------
    UsageError
        If there is not one for each sample, or one is NaN.
    """
    array = np.asarray(values)
    if array.shape != (n_samples,):
        raise UsageError(f"{name} are one per sample, of shape ({n_samples},), not {_told(array)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UsageError(f"{name} hold NaN or infinity")
    return np.unique(array, return_inverse=True)[1].astype(np.int64).reshape(-1)


def _told(array: NDArray[Any]) -> str:
    return f"{array.dtype} of shape {array.shape}"
