from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from striate import threads
from striate.errors import UsageError
from striate.progress import Progress
from striate.recognition import CurvePoint, SoftmaxClassifier, learning_curve
from striate.recognition.learning_curve import default_label_counts, point_of_one_fit
from striate.recognition.metrics import standard_error, standard_error_of_accuracy
from striate.recognition.splits import stratified_draws

Problem = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture
def problem(rng: np.random.Generator) -> Problem:
    """Three classes about three means: easy with many labels, not with few."""
    labels = np.repeat([0, 1, 2], 220)
    features = rng.standard_normal((660, 40)) + 0.5 * rng.standard_normal((3, 40))[labels]
    order = rng.permutation(660)
    features, names = features[order], np.array(["cat", "dog", "emu"])[labels[order]]
    return features[:160], names[:160], features[160:], names[160:]


def test_points_are_draws_about_their_mean_and_more_labels_are_better(problem: Problem) -> None:
    progress = Progress()
    points = learning_curve(*problem, random_state=0, progress=progress, phase_name="curve of pixels")
    assert [point.n_labels for point in points] == [3, 9, 30, 90, 160]
    assert [len(point.accuracies) for point in points] == [5, 5, 5, 5, 1]
    means = [point.mean for point in points]
    assert means[0] < means[-1] - 0.1
    assert means[-1] > 0.8
    assert (np.diff(means[:4]) > 0).all()
    for point in points[:-1]:
        assert point.mean == pytest.approx(np.mean(point.accuracies))
        assert point.standard_error == pytest.approx(standard_error(point.accuracies))
        assert point.standard_error_is_of == "draws"
    assert points[-1].standard_error == standard_error_of_accuracy(points[-1].mean, 500)
    assert points[-1].standard_error_is_of == "test"
    assert [(record.name, record.items) for record in progress.records] == [("curve of pixels", 21)]


def test_a_point_is_what_fitting_the_drawn_samples_alone_gives(problem: Problem) -> None:
    features, labels, test_features, test_labels = problem
    scaled = [(x - features.mean(axis=0)) / features.std(axis=0) for x in (features, test_features)]
    (point,) = learning_curve(*problem, n_labels=[60], n_draws=2, random_state=7)
    generator = np.random.default_rng(7)  # the protocol: first the draws, then the folds
    accuracies = []
    draws = stratified_draws(np.unique(labels, return_inverse=True)[1], 60, 2, random_state=generator)
    seed = int(generator.integers(2**31))
    for rows in draws:
        classifier = SoftmaxClassifier(standardize=False, calibrate=False, random_state=seed)
        accuracies.append(np.mean(classifier.fit(scaled[0][rows], labels[rows]).predict(scaled[1]) == test_labels))
    np.testing.assert_allclose(point.accuracies, accuracies, atol=0.02)  # decays of equal merit


def test_the_same_seed_gives_the_same_curve(problem: Problem) -> None:
    def curve(seed: Any) -> list[CurvePoint]:
        return learning_curve(*problem, n_labels=[12, 7], n_draws=2, random_state=seed)

    assert [point.n_labels for point in curve(5)] == [12, 7]  # the order asked for
    assert curve(5) == curve(5) == curve(np.random.default_rng(5))
    assert curve(5) != curve(6)
    with threads.limit(1):
        alone = curve(5)
    with threads.limit(3):
        assert curve(5) == alone


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_precision_matters_little(problem: Problem, dtype: type) -> None:
    train, train_labels, test, test_labels = problem
    options: dict[str, Any] = {"n_labels": [30, 160], "n_draws": 2, "random_state": 0}
    expected = learning_curve(*problem, **options)
    points = learning_curve(train.astype(dtype), train_labels, test.astype(dtype), test_labels, **options)
    for point, other in zip(points, expected, strict=True):
        np.testing.assert_allclose(point.accuracies, other.accuracies, atol=0.01)


def test_one_draw_has_the_error_of_the_test(problem: Problem) -> None:
    (point,) = learning_curve(*problem, n_labels=[30], n_draws=1, random_state=0)
    assert point.standard_error_is_of == "test"
    correct = np.arange(500) < round(point.mean * 500)
    assert point_of_one_fit(30, correct) == replace(point, accuracies=(float(correct.mean()),))
    assert learning_curve(*problem, n_labels=[]) == []


@pytest.mark.parametrize(
    ("sizes", "counts"),
    [
        ([100, 100], [2, 6, 20, 60, 200]),  # 200 is all
        ([12, 13], [2, 6, 20, 25]),
        ([11, 11], [2, 6, 22]),  # 20 would say the same as 22
        ([1, 50, 2], [3, 9, 30, 53]),
        ([1, 1, 1], [3]),
        ([2, 1, 1], [3, 4]),
        ([500] * 10, [10, 30, 100, 300, 1000, 3000, 5000]),
    ],
)
def test_default_counts_show_the_shape(sizes: list[int], counts: list[int]) -> None:
    assert default_label_counts(np.repeat(np.arange(len(sizes)), sizes)) == counts


def test_impossible_requests_are_refused_in_one_sentence(problem: Problem) -> None:
    train, train_labels, test, test_labels = problem
    for n_labels in (2, 161):
        with pytest.raises(UsageError, match=f"cannot draw {n_labels} labels.*choose a number from 3 to 160"):
            learning_curve(*problem, n_labels=[30, n_labels])
    with pytest.raises(UsageError, match="at most 6000 training samples, not 6001; draw some"):
        learning_curve(np.zeros((6001, 2)), np.zeros(6001), test, test_labels)
    with pytest.raises(UsageError, match="at least two classes"):
        learning_curve(train, np.full(160, "cat"), test, test_labels)
    with pytest.raises(UsageError, match="160 training samples and 159 labels"):
        learning_curve(train, train_labels[:-1], test, test_labels)
    for n in (0, 1):
        with pytest.raises(UsageError, match=f"500 test samples and {n} labels"):
            learning_curve(train, train_labels, test, test_labels[:n])
    with pytest.raises(UsageError, match="n_draws is 0; it must be an integer of at least 1"):
        learning_curve(*problem, n_draws=0)
    with pytest.raises(UsageError, match="features have 39 columns, but those of training had 40"):
        learning_curve(train, train_labels, test[:, :-1], test_labels)
    for value, kind in ((np.nan, "NaN"), (np.inf, "infinity")):
        for features in (train, test):
            kept = features[31, 4]
            features[31, 4] = value
            with pytest.raises(UsageError, match=rf"contain {kind} \(sample 31, feature 4\)"):
                learning_curve(*problem, n_labels=[3])
            features[31, 4] = kept
