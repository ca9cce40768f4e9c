"""The classifier that learns while driving: its optimum, its buffer, its bits, and input that is broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from striate import model_file
from striate.errors import UsageError
from striate.robot import ClassBuffer, OnlineClassifier


def frames(rng: np.random.Generator, n: int, n_features: int = 6) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames of which classes 0 and 4 fill most."""
    centers = rng.standard_normal((5, n_features))
    found = []
    for _ in range(n):
        labels = rng.choice(5, size=80, p=[0.5, 0.05, 0.03, 0.02, 0.4])
        found.append((centers[labels] + rng.standard_normal((80, n_features)), labels))
    return found


def test_many_steps_reach_the_optimum_of_scikit_learn(rng: np.random.Generator) -> None:
    features, labels = frames(rng, 1)[0]
    labels[:5] = np.arange(5)
    features = features.astype(np.float32).astype(np.float64)
    ours = OnlineClassifier(6, n_steps=5000, forgetting=0, weight_decay=0.01)
    ours.update(features, labels)
    peer = LogisticRegression(C=1 / (0.01 * len(labels)), class_weight="balanced", tol=1e-10, max_iter=10_000)
    peer.fit(features, labels)
    np.testing.assert_allclose(ours.predict_proba(features), peer.predict_proba(features), atol=1e-4)


def test_the_objective_never_rises(rng: np.random.Generator) -> None:
    features, labels = frames(rng, 1)[0]
    losses = []
    for n_steps in range(1, 30):
        classifier = OnlineClassifier(6, n_steps=n_steps)
        losses.append(classifier.update(features, labels).loss)
    assert losses[0] == pytest.approx(np.log(len(np.unique(labels))))
    assert (np.diff(losses) < 0).all()


def test_the_buffer_keeps_the_newest_of_each_class(rng: np.random.Generator) -> None:
    buffer = ClassBuffer(3, 1, 4)
    for frame in range(1, 8):
        labels = np.array([0, 0, 0, 1] if frame > 1 else [2, 0, 1, 1])
        values = frame + labels[:, np.newaxis].astype(np.float32) / np.float32(10)
        buffer.add(values, labels, frame)
    np.testing.assert_array_equal(buffer.counts, [4, 4, 1])
    features, labels, of_frame = buffer.held()
    np.testing.assert_array_equal(np.bincount(labels), [4, 4, 1])
    np.testing.assert_allclose(features[:, 0], of_frame + labels / 10, rtol=1e-6)
    assert sorted(of_frame[labels == 0]) == [6, 7, 7, 7]
    assert sorted(of_frame[labels == 1]) == [4, 5, 6, 7]
    assert of_frame[labels == 2] == [1]  # no other class has pushed it out
    buffer.add(np.arange(9, dtype=np.float32)[:, np.newaxis], np.zeros(9, np.int64), 8)
    assert sorted(buffer.held()[0][:4, 0]) == [0, 3, 5, 8]


def test_one_frame_does_not_push_out_the_others(rng: np.random.Generator) -> None:
    classifier = OnlineClassifier(1, 2, per_class=40, per_frame=10)
    for _ in range(4):
        classifier.update(rng.standard_normal((200, 1)), np.repeat([0, 1], 100))
    _, labels, of_frame = classifier.buffer.held()
    for label in (0, 1):
        np.testing.assert_array_equal(of_frame[labels == label], np.repeat([1, 2, 3, 4], 10))


def test_rare_classes_weigh_as_much_as_common_ones() -> None:
    classifier = OnlineClassifier(2, 2, n_steps=300)
    classifier.update(np.zeros((408, 2)), np.repeat([0, 1], [400, 8]))  # features that tell nothing
    np.testing.assert_allclose(classifier.predict_proba(np.zeros((1, 2))), 0.5)


def test_forgetting_follows_a_change(rng: np.random.Generator) -> None:
    wrong = {}
    for forgetting in (0.0, 0.3):
        classifier = OnlineClassifier(1, 2, forgetting=forgetting, n_steps=30)
        for frame in range(16):
            labels = rng.integers(2, size=40)
            sign = 1 if frame < 8 else -1  # dark ground, then bright
            classifier.update(sign * (2.0 * labels - 1)[:, np.newaxis], labels)
        wrong[forgetting] = classifier.predict_proba(np.array([[1.0]]))[0, 1]
    assert wrong[0.3] < 0.2 < wrong[0.0]


def test_a_warm_start_goes_on(rng: np.random.Generator) -> None:
    features, labels = frames(rng, 1)[0]
    classifier = OnlineClassifier(6, n_steps=3, forgetting=0)
    losses = [classifier.update(features, labels).loss]
    losses += [classifier.update(features[:0], labels[:0]).loss for _ in range(20)]
    assert (np.diff(losses) < 0).all()


def test_the_same_frames_give_the_same_bits_also_after_a_file(rng: np.random.Generator, tmp_path: Path) -> None:
    seen = frames(rng, 12)
    whole, pieces = OnlineClassifier(6, per_class=50), OnlineClassifier(6, per_class=50)
    for features, labels in seen:
        whole.update(features, labels)
        pieces.update(features, labels)
        model_file.write(tmp_path / "a.safetensors", *pieces.to_state(), kind="online-classifier")
        pieces = OnlineClassifier.from_state(*model_file.read(tmp_path / "a.safetensors", kind="online-classifier"))
    np.testing.assert_array_equal(whole.weights, pieces.weights)
    np.testing.assert_array_equal(whole.buffer.held()[0], pieces.buffer.held()[0])


def test_a_budget_ends_the_steps(rng: np.random.Generator) -> None:
    features, labels = frames(rng, 1)[0]
    found = OnlineClassifier(6, n_steps=10**6, budget=5.0).update(features, labels)
    assert 1 <= found.n_steps < 10**6


def test_it_knows_nothing_before_it_has_seen_two_classes(rng: np.random.Generator) -> None:
    classifier = OnlineClassifier(6)
    features = rng.standard_normal((20, 6))
    for labels in (np.full(20, -1), np.full(20, 3)):
        found = classifier.update(features, labels)
        assert found.n_steps == 0
        assert np.isnan(found.loss)
        assert not classifier.is_ready
        np.testing.assert_array_equal(classifier.predict_proba(features), 0.2)
    classifier.update(features[:0], np.empty(0, int))
    assert classifier.n_frames == 3
    classifier.update(features + 3, np.full(20, 1))
    assert classifier.is_ready
    probabilities = classifier.predict_proba(features)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities[:, [0, 2, 4]], 0)


def test_old_samples_do_not_break_it(rng: np.random.Generator) -> None:
    classifier = OnlineClassifier(2, 2, forgetting=0.999)
    classifier.update(rng.standard_normal((4, 2)), np.array([0, 0, 1, 1]))
    for _ in range(200):
        classifier.update(rng.standard_normal((4, 2)), np.zeros(4, int))
    assert np.isfinite(classifier.weights).all()


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.full((3, 6), np.nan), np.zeros(3, int), "features hold NaN"),
        (np.zeros((3, 5)), np.zeros(3, int), r"\(n_samples, 6\)"),
        (np.zeros((3, 6)), np.zeros(2, int), "one for each of the 3 samples"),
        (np.zeros((3, 6)), np.zeros(3), "labels are integers"),
        (np.zeros((3, 6)), np.array([0, 5, 1]), "from 0 to 5: they must be from 0 to 4"),
        (np.zeros((3, 6)), np.array([-2, 0, 1]), "from -2 to 1"),
    ],
)
def test_broken_frames_are_told_and_change_nothing(features: Any, labels: Any, message: str) -> None:
    classifier = OnlineClassifier(6)
    with pytest.raises(UsageError, match=message):
        classifier.update(features, labels)
    assert classifier.n_frames == 0
    with pytest.raises(UsageError, match="forgetting is 1"):
        OnlineClassifier(6, forgetting=1)
