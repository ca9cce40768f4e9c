from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from striate import model_file
from striate.errors import UsageError
from striate.retrieval import NeighborGraph, curves_against_exact, nearest_vectors
from striate.retrieval.nearest import Metric

needs_faiss = pytest.mark.skipif(find_spec("faiss") is None, reason="the extra search is not installed")


@needs_faiss
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_nearly_all_neighbors_are_found(metric: Metric, rng: np.random.Generator, tmp_path: Path) -> None:
    vectors = rng.standard_normal((30, 16))[rng.integers(0, 30, 3000)] + 0.5 * rng.standard_normal((3000, 16))
    graph = NeighborGraph(vectors[:2000], metric=metric)
    graph.add(vectors[2000:])
    exact = nearest_vectors(vectors[:200], vectors, 10, metric=metric)
    found = graph.search(vectors[:200], 10)
    assert curves_against_exact(found.rows, exact.rows).recall[-1] > 0.95
    same = found.rows[:, 0] == exact.rows[:, 0]
    np.testing.assert_allclose(found.distances[same, 0], exact.distances[same, 0], atol=2e-3)
    graph.save(tmp_path / "a.graph")
    again = NeighborGraph.load(tmp_path / "a.graph").search(vectors[:200], 10)
    np.testing.assert_array_equal(again.rows, found.rows)


@needs_faiss
def test_more_breadth_misses_fewer(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((3000, 24))
    graph = NeighborGraph(vectors, n_links=8, breadth=20)
    exact = nearest_vectors(vectors[:100], vectors, 10)
    recalls = [
        float(curves_against_exact(graph.search(vectors[:100], 10, breadth=breadth).rows, exact.rows).recall[-1])
        for breadth in (10, 300)
    ]
    assert recalls[0] < recalls[1]


@needs_faiss
def test_a_graph_of_something_else(tmp_path: Path) -> None:
    model_file.write(tmp_path / "a", {"graph": np.zeros(100, np.uint8)}, {"metric": "cosine"}, kind="neighbor_graph")
    with pytest.raises(model_file.ModelFileError, match="build it again"):
        NeighborGraph.load(tmp_path / "a")
    with pytest.raises(UsageError, match="ask for 1 to 2"):
        NeighborGraph(np.eye(2)).search(np.eye(2), 3)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UsageError, match=r"striate\[search\]"):
        NeighborGraph(np.eye(3))
