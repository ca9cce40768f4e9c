"""Support vectors against scikit-learn's, and whether the kernel that the samples need is found."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC

from striate.experiments.recognition.baselines.tuned_svm import CONSTANTS, WIDTHS, Scaling, Setting, TunedSVM


def rings(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two classes, one around the other, that no line separates."""
    labels = np.arange(n) % 2
    angle, radius = 2 * np.pi * rng.random(n), 1 + labels + 0.1 * rng.normal(size=n)
    return (radius * np.array([np.cos(angle), np.sin(angle)])).T.astype(np.float32), labels


@pytest.mark.parametrize("width", [None, 0.7])
def test_predicts_as_scikit_learn_does(width: float | None, rng: np.random.Generator) -> None:
    rows = rng.normal(size=(12, 5)).astype(np.float32)
    labels = np.arange(12) % 4
    others = rng.normal(size=(50, 5)).astype(np.float32)
    squared = np.square(rows[:, np.newaxis] - rows).sum(axis=2)[np.triu_indices(12, 1)]
    # Kernels are divided by the mean of their diagonal, which is 1 for a Gaussian one: a constant is multiplied by it.
    one = SVC(C=3.0 / float(np.square(rows).sum(axis=1).mean()), kernel="linear")
    if width is not None:
        one = SVC(C=3.0, gamma=float(1 / (2 * width**2 * np.median(squared))))
    expected = OneVsRestClassifier(one).fit(rows.astype(np.float64), labels)
    machine = TunedSVM(few=Setting(width, 3.0)).fit(rows, labels)
    np.testing.assert_array_equal(machine.predict(others), expected.predict(others.astype(np.float64)))


def test_finds_that_a_line_does_not_separate_rings(rng: np.random.Generator) -> None:
    machine = TunedSVM().fit(*rings(rng, 60))
    assert machine.setting_.width is not None
    rows, labels = rings(rng, 200)
    assert np.mean(machine.predict(rows) == labels) > 0.95


def test_takes_the_first_of_equals_and_that_of_few_labels_without_a_choice(rng: np.random.Generator) -> None:
    labels = np.arange(40) % 2
    rows = (np.array([-1, 1])[labels] + 0.1 * rng.normal(size=40)).astype(np.float32)[:, np.newaxis]
    assert TunedSVM().fit(rows, labels).setting_ == Setting(WIDTHS[0], CONSTANTS[0])  # with all, all are right
    few, few_labels = rings(rng, 18)
    assert TunedSVM(few=Setting(None, 1.0)).fit(few, few_labels).setting_ == Setting(None, 1.0)


def test_scaled_samples_have_norm_one(rng: np.random.Generator) -> None:
    rows = rng.normal(3, [0.1, 5, 40], size=(200, 3)).astype(np.float32)
    rows = np.hstack([rows, np.full((200, 1), 7, np.float32)])
    for each in (True, False):
        found = Scaling(rows, each=each)(rows)
        np.testing.assert_allclose(np.square(found).sum(axis=1), 1, rtol=1e-4)
        centered = rows - rows.mean(axis=0)
        if each:
            centered[:, :3] /= centered[:, :3].std(axis=0)
        np.testing.assert_allclose(found, centered / np.linalg.norm(centered, axis=1, keepdims=True), atol=1e-4)
    assert not Scaling(rows, each=True)(rows)[:, 3].any()
    assert not Scaling(rows[:1], each=True)(rows[:1]).any()
