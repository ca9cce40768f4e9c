from __future__ import annotations

import warnings

import numpy as np
import pytest
import sklearn.metrics

from striate.errors import UsageError
from striate.recognition.metrics import (
    accuracy,
    area_under_roc,
    confusion_matrix,
    exceeds_its_error,
    expected_calibration_error,
    mean_class_accuracy,
    standard_error,
    standard_error_of_accuracy,
)


@pytest.fixture
def answers(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Uneven classes, half of them mistaken; one predicted class never occurs."""
    labels = rng.choice(["ant", "bee", "cat"], 200, p=[0.7, 0.2, 0.1])
    return labels, np.where(rng.random(200) < 0.5, labels, rng.choice(["ant", "bee", "cat", "dog"], 200))


def test_equals_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    labels, predicted = answers
    assert accuracy(labels, predicted) == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "y_pred contains classes not in y_true"
        expected = sklearn.metrics.balanced_accuracy_score(labels, predicted)
    assert mean_class_accuracy(labels, predicted) == pytest.approx(expected)


@pytest.mark.parametrize("classes", [None, ["dog", "ant", "elk", "cat", "bee"]])
def test_confusion_equals_scikit_learn_in_any_order_of_classes(
    answers: tuple[np.ndarray, np.ndarray], classes: list[str] | None
) -> None:
    counts = confusion_matrix(*answers, classes)
    np.testing.assert_array_equal(counts, sklearn.metrics.confusion_matrix(*answers, labels=classes))
    assert counts.dtype == np.int64
    assert counts.sum() == 200


def test_no_sample_makes_an_empty_confusion() -> None:
    np.testing.assert_array_equal(confusion_matrix([], [], ["a", "b"]), np.zeros((2, 2)))


@pytest.mark.parametrize("n_levels", [4, 10**6])  # ties, and none
def test_area_under_roc_equals_scikit_learn(rng: np.random.Generator, n_levels: int) -> None:
    positive, negative = rng.integers(n_levels, size=80) / n_levels + 0.1, rng.integers(n_levels, size=130) / n_levels
    truth = np.repeat([1, 0], [80, 130])
    expected = sklearn.metrics.roc_auc_score(truth, np.concatenate([positive, negative]))
    assert area_under_roc(positive, negative) == pytest.approx(expected, abs=1e-12)
    assert area_under_roc(positive, positive) == pytest.approx(0.5, abs=1e-12)


def test_calibration_error_equals_a_slow_reference(rng: np.random.Generator) -> None:
    probabilities = rng.dirichlet([0.3, 0.3, 0.3], size=300)
    probabilities[:5] = [1, 0, 0]  # the right end of the last bin
    labels = rng.integers(3, size=300)
    expected = 0.0
    for n in range(15):
        of_bin = [
            (row.max(), row.argmax() == label)
            for row, label in zip(probabilities, labels, strict=True)
            if n / 15 <= row.max() < (n + 1) / 15 or (n == 14 and row.max() == 1)
        ]
        if of_bin:
            confidence, right = np.mean(of_bin, axis=0)
            expected += len(of_bin) / 300 * abs(right - confidence)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected, abs=1e-12)
    assert expected_calibration_error(probabilities.astype(np.float32), labels) == pytest.approx(expected, abs=1e-6)


def test_calibration_error_knows_honest_from_boastful(rng: np.random.Generator) -> None:
    probabilities = rng.dirichlet([1, 1, 1], size=20_000)
    labels = (rng.random((20_000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)  # drawn as the rows promise
    assert expected_calibration_error(probabilities, labels) < 0.015
    boasting = probabilities**4 / (probabilities**4).sum(axis=1, keepdims=True)
    assert expected_calibration_error(boasting, labels) > 0.1


def test_standard_errors_are_the_spread_of_repetitions(rng: np.random.Generator) -> None:
    repeated = rng.normal(3, 2, size=(4000, 25))
    assert np.mean([standard_error(values) for values in repeated]) == pytest.approx(
        repeated.mean(axis=1).std(), rel=0.05
    )
    assert np.isnan(standard_error([0.5]))

    measured = rng.binomial(400, 0.8, size=4000) / 400
    assert np.mean([standard_error_of_accuracy(share, 400) for share in measured]) == pytest.approx(
        measured.std(), rel=0.05
    )
    assert 0.01 < standard_error_of_accuracy(1.0, 20) < 0.1  # all right is not certainty


def test_impossible_requests_are_refused_in_one_sentence() -> None:
    for function in (accuracy, mean_class_accuracy):
        with pytest.raises(UsageError, match="3 labels and 2 predictions"):
            function([1, 2, 3], [1, 2])
        with pytest.raises(UsageError, match="at least one"):
            function([], [])
    with pytest.raises(UsageError, match="3 labels but 2 predictions"):
        confusion_matrix([1, 2, 3], [1, 2])
    for classes in ([1, 2], []):
        with pytest.raises(UsageError, match=f"label '[13]' is not among the {len(classes)} classes"):
            confusion_matrix([1, 3], [1, 1], classes)
    with pytest.raises(UsageError, match="2 labels and 3 predictions"):
        expected_calibration_error(np.full((3, 2), 0.5), np.array([0, 1]))
    with pytest.raises(UsageError, match="at least one positive and one negative"):
        area_under_roc(np.ones(3), np.ones(0))


def test_a_gain_counts_where_it_exceeds_its_standard_error(rng: np.random.Generator) -> None:
    noise = rng.normal(size=200)
    noise -= noise.mean()
    error = standard_error(noise)
    assert exceeds_its_error(noise + 1.01 * error)
    assert not exceeds_its_error(noise + 0.99 * error)
    assert not exceeds_its_error(noise - 2 * error)
    assert not exceeds_its_error(np.zeros(5))
    assert exceeds_its_error([0.5])
    assert not exceeds_its_error([])
