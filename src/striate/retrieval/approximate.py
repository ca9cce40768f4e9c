"""Approximate nearest neighbors among real codes, by a graph of near neighbors (the extra `search`)."""

from __future__ import annotations

from os import PathLike
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from striate import model_file, threads
from striate.errors import UsageError
from striate.lazy import needs
from striate.parameters import Choice, Integer, checked
from striate.retrieval.nearest import Metric, Neighbors, unit_rows
from striate.samples import as_samples

__all__ = ["NeighborGraph"]

KIND = "neighbor_graph"
_FIRST = 4  # bytes that name the type of graph in faiss' own format
_GRAPHS = (b"IHNf",)


class NeighborGraph:
    """A graph of near neighbors, in which a search compares a query with a small part of all vectors.

    Not needed for binary codes: a million codes of 64 bits are searched exactly in milliseconds, see `nearest_codes`.

    Parameters
    ----------
    vectors : float (n_vectors, n_features)
        The first vectors; `add` adds more.
    metric : "euclidean" or "cosine"
    n_links : int
        Number of links per vector; 16 suits codes of 32 to 128 numbers. Memory: 8 bytes per link, and the vectors.
    breadth : int
        Number of candidates while the graph is built: with more, building is slower and links are better.

    Raises
    ------
    UsageError
        If faiss is not installed.

    References
    ----------
    Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using hierarchical navigable small
    world graphs", 2016. Implemented with faiss (Douze et al. 2024), which was faster than another library in building
    and in searching, at the same recall.
    """

    def __init__(
        self, vectors: NDArray[Any], *, metric: Metric = "euclidean", n_links: int = 16, breadth: int = 80
    ) -> None:
        faiss = _faiss()
        vectors = as_samples(vectors, name="vectors")
        n_links, breadth = checked("n_links", n_links, Integer(low=2)), checked("breadth", breadth, Integer(low=1))
        self.metric = checked("metric", metric, Choice(*get_args(Metric)))
        self._graph = faiss.IndexHNSWFlat(vectors.shape[1], n_links)
        self._graph.hnsw.efConstruction = breadth
        self.add(vectors)

    def __len__(self) -> int:
        return int(self._graph.ntotal)

    def add(self, vectors: NDArray[Any]) -> None:
        """Append vectors, float (n, n_features)."""
        _faiss().omp_set_num_threads(threads.n_threads())
        self._graph.add(self._prepared(vectors))

    def search(self, queries: NDArray[Any], n_neighbors: int, *, breadth: int = 64) -> Neighbors:
        """Approximate nearest neighbors; nearly all are exact.

        Parameters
        ----------
        queries : float (n_queries, n_features)
        n_neighbors : int
        breadth : int
            Number of candidates during the search: with more, fewer neighbors are missed, and it takes longer.

        Returns
        -------
        Neighbors
            As returned by `nearest_vectors`, with float32 distances.
        """
        n_neighbors = checked("n_neighbors", n_neighbors, Integer())
        breadth = checked("breadth", breadth, Integer(low=1))
        if not 1 <= n_neighbors <= len(self):
            raise UsageError(f"{n_neighbors} neighbors were asked for, of {len(self)}: ask for 1 to {len(self)}")
        faiss = _faiss()
        faiss.omp_set_num_threads(threads.n_threads())
        parameters = faiss.SearchParametersHNSW(efSearch=max(breadth, n_neighbors))
        squares, rows = self._graph.search(self._prepared(queries), n_neighbors, params=parameters)
        squares = np.maximum(squares, 0)
        # For vectors of unit length, ‖a − b‖² = 2 (1 − cosine).
        return Neighbors(rows, squares / 2 if self.metric == "cosine" else np.sqrt(squares))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the graph to a file that detects damage."""
        content = _faiss().serialize_index(self._graph)
        model_file.write(path, {"graph": content}, {"metric": self.metric}, kind=KIND)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> NeighborGraph:
        """Read what `save` wrote; errors are those of `striate.model_file.read`."""
        arrays, header = model_file.read(path, kind=KIND)
        graph = cls.__new__(cls)
        graph.metric = header["metric"]
        if arrays["graph"][:_FIRST].tobytes() not in _GRAPHS:
            raise model_file.ModelFileError(f"{path} holds no graph that this striate knows: build it again")
        graph._graph = _faiss().deserialize_index(arrays["graph"])
        return graph

    def _prepared(self, vectors: NDArray[Any]) -> NDArray[np.float32]:
        vectors = as_samples(vectors, name="vectors", n_features=int(self._graph.d))
        single = np.ascontiguousarray(vectors, np.float32)
        return unit_rows(single) if self.metric == "cosine" else single


def _faiss() -> Any:
    with needs("faiss", "search", "approximate search needs faiss", "nearest_vectors searches exactly without it"):
        import faiss
    return faiss
