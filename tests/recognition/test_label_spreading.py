"""Labels spread over a graph, beside a dense solution."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.images import load_mnist_digits
from striate.recognition import SoftmaxClassifier, label_spreading
from striate.recognition.label_spreading import neighbor_graph, spread_labels, spreading_gain


def two_groups(n: int = 60, distance: float = 3.0, d: int = 5) -> tuple[NDArray, NDArray]:
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1], n // 2)
    return rng.normal(size=(n, d)) + distance * codes[:, None], codes


@pytest.mark.parametrize("d", [5, 90])
def test_the_graph_is_that_of_all_distances(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_spreading, "_BLOCK", 700)
    # Five directions in 90: principal coordinates keep all distances.
    points = np.random.default_rng(1).normal(size=(70, 5)) @ np.random.default_rng(2).normal(size=(5, d))
    graph = neighbor_graph(points.astype(np.float32), 6, random_state=0).toarray()
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    expected = np.zeros((70, 70))
    scale = np.sort(distances, axis=1)[:, 5]
    for i in range(70):
        for j in np.argsort(distances[i])[:6]:
            expected[i, j] = expected[j, i] = np.exp(-(distances[i, j] ** 2) / (scale[i] * scale[j]))
    np.testing.assert_allclose(graph, expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(graph, graph.T)


def test_scores_are_those_of_a_dense_solution() -> None:
    points, codes = two_groups()
    graph = neighbor_graph(points, 7)
    labels = np.full(60, -1)
    labels[[0, 1, 40]] = codes[[0, 1, 40]]
    weights = graph.toarray()
    system = np.diag((1 + 0.01) * weights.sum(axis=1)) - weights
    sources = np.zeros((60, 2))
    sources[[0, 1]] = [1 / 3, -1 / 3]
    sources[40] = [-2 / 3, 2 / 3]
    expected = np.linalg.solve(system, sources)
    np.testing.assert_allclose(spread_labels(graph, labels, 2, leak=0.01), expected, rtol=1e-5, atol=1e-8)
    with_priors = spread_labels(graph, labels, 2, leak=0.01, priors=[0.25, 0.75])
    np.testing.assert_allclose(with_priors, expected * [0.25 * 3 / 2, 0.75 * 3], rtol=1e-5, atol=1e-8)


def test_one_label_per_class_is_enough_for_two_groups() -> None:
    points, codes = two_groups(200)
    labels = np.full(200, -1)
    labels[[3, 150]] = codes[[3, 150]]
    assert np.mean(spread_labels(neighbor_graph(points), labels, 2).argmax(axis=1) == codes) > 0.97


def test_components_without_a_label_have_no_score() -> None:
    points, _ = two_groups(90, distance=0)
    points[30:60] += 1e3
    points[60:] -= 1e3
    labels = np.full(90, -1)
    labels[0], labels[5], labels[31] = 0, 1, 1
    scores = spread_labels(neighbor_graph(points, 5), labels, 2)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores[60:], 0)
    assert (scores[30:60].argmax(axis=1) == 1).all()
    lonely = sp.csr_array((3, 3))
    np.testing.assert_array_equal(spread_labels(lonely, np.array([0, 1, -1]), 2).argmax(axis=1)[:2], [0, 1])


def test_copies_are_neighbors() -> None:
    points = np.concatenate([np.zeros((20, 3)), np.ones((20, 3)), np.random.default_rng(0).normal(size=(20, 3))])
    graph = neighbor_graph(points, 5)
    assert np.isfinite(graph.data).all()
    assert graph.data.max() == 1


def test_digits_are_told_apart_better_than_by_the_classifier_alone() -> None:
    images, codes = load_mnist_digits()
    images, codes = images[::2].reshape(-1, 784), codes[::2]
    labels = np.full(len(codes), -1)
    drawn = np.concatenate([np.flatnonzero(codes == digit)[:5] for digit in range(10)])
    labels[drawn] = codes[drawn]
    graph = neighbor_graph(images, random_state=0)
    rest = labels < 0
    spread = np.mean(spread_labels(graph, labels, 10).argmax(axis=1)[rest] == codes[rest])
    classifier = SoftmaxClassifier(random_state=0).fit(images[~rest], labels[~rest])
    assert spread > np.mean(classifier.predict(images[rest]) == codes[rest]) + 0.05
    gain = spreading_gain(images, graph, labels, 10, random_state=0)
    assert gain is not None
    assert gain.helps
    # A graph of noise does not help.
    noise = neighbor_graph(np.random.default_rng(0).normal(size=(len(codes), 8)))
    gain = spreading_gain(images, noise, labels, 10, random_state=0)
    assert gain is not None
    assert not gain.helps


def test_a_class_keeps_its_only_label() -> None:
    points, codes = two_groups()
    labels = np.full(60, -1)
    labels[[0, 59]] = codes[[0, 59]]
    assert spreading_gain(points, neighbor_graph(points), labels, 2) is None


def test_mistakes() -> None:
    points, codes = two_groups()
    graph = neighbor_graph(points)
    for labels, message in (
        (codes[:-1], "does not fit"),
        (codes * 2, "must be integers"),
        (codes * 0, "class 1 has no label"),
        (codes.astype(float), "must be integers"),
    ):
        with pytest.raises(UsageError, match=message):
            spread_labels(graph, labels, 2)
    with pytest.raises(UsageError, match="priors must be 2"):
        spread_labels(graph, codes, 2, priors=[1, 0])
    with pytest.raises(UsageError, match="two samples"):
        neighbor_graph(points[:1])
    with pytest.raises(UsageError, match="NaN"):
        neighbor_graph(np.where(points > 4, np.nan, points))
