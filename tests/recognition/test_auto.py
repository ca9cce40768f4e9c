"""What `auto` does with the labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from striate.hierarchy import Hierarchy, Paths
from striate.images import ImageCollection, as_images, load_mnist_digits
from striate.recognition import ImageClassifier, split_images, train_and_evaluate
from striate.recognition.auto import fit_auto, take_columns, uses_unlabeled
from striate.recognition.label_spreading import spread_where_it_helps
from striate.recognition.path_choice import choose_paths

COLUMNS = [slice(0, 30), slice(30, 60), slice(60, 90)]
NAMES = ["first", "second", "third"]


def groups(n: int, *, noise: float = 1.0, n_classes: int = 4, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Classes around centers of their own, (n, 30)."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(7).normal(size=(n_classes, 30))
    labels = np.arange(n) % n_classes
    return centers[labels] + noise * rng.normal(size=(n, 30)), labels


def test_a_path_of_noise_is_left_out() -> None:
    good, labels = groups(120)
    noise = 4 * np.random.default_rng(1).normal(size=(120, 30))
    features = np.concatenate([good, noise, noise[::-1]], axis=1)
    choice = choose_paths(features, COLUMNS, labels, NAMES)
    assert choice.kept == (0,)
    assert choice.reason.startswith("first alone: ")
    assert [result["paths"] for result in choice.results][:2] == [NAMES, ["first", "second"]]
    best = min(choice.results, key=lambda result: result["log_loss"])
    assert best["paths"] == ["first"]


def test_paths_that_are_equally_good_are_all_used() -> None:
    views = [groups(120, noise=2.0, seed=seed)[0] for seed in range(3)]
    choice = choose_paths(np.concatenate(views, axis=1), COLUMNS, groups(120)[1], NAMES)
    assert choice.kept == (0, 1, 2)
    assert "first, second and third: " in choice.reason


def test_one_label_per_class_leaves_all_paths() -> None:
    features = np.random.default_rng(0).normal(size=(4, 90))
    choice = choose_paths(features, COLUMNS, np.arange(4), NAMES)
    assert choice.kept == (0, 1, 2)
    assert "one label per class" in choice.reason


def test_the_comparison_does_not_depend_on_names_or_order_of_classes() -> None:
    features, labels = groups(80, noise=3.0)
    features = np.tile(features, 3) + np.random.default_rng(0).normal(size=(80, 90))
    first = choose_paths(features, COLUMNS, labels, NAMES)
    second = choose_paths(features, COLUMNS, 3 - labels, NAMES)
    for one, other in zip(first.results, second.results, strict=True):
        assert one["log_loss"] == pytest.approx(other["log_loss"], rel=1e-6)


def test_labels_are_spread_where_it_helps() -> None:
    images, digits = load_mnist_digits()
    images, digits = images[::2].reshape(-1, 784), digits[::2]
    drawn = np.concatenate([np.flatnonzero(digits == digit)[:5] for digit in range(10)])
    known = np.full(len(digits), -1)
    known[drawn] = digits[drawn]
    spread, reason = spread_where_it_helps(images, known, 10, random_state=0)
    assert spread is not None
    assert "labels are spread to 2,450 unlabeled images" in reason
    assert np.mean(spread.classes == digits) > 0.75
    np.testing.assert_array_equal(spread.classes[drawn], digits[drawn])
    assert spread.temperature is not None
    # Neighbors of noise say nothing.
    noise = np.concatenate([groups(600)[0], 30 * np.random.default_rng(3).normal(size=(600, 300))], axis=1)
    known = np.where(np.arange(600) < 200, groups(600)[1], -1)
    spread, reason = spread_where_it_helps(noise, known, 4, random_state=0)
    assert spread is None
    assert "labels are not spread" in reason


def test_a_classifier_of_one_label_per_class_learns_from_unlabeled_samples() -> None:
    features, labels = groups(400, noise=0.8)
    names = np.array(["a", "b", "c", "d"])[labels]
    features = np.tile(features, 3)
    found = fit_auto(features[:4], names[:4], features[4:300], COLUMNS, NAMES, random_state=0)
    assert np.mean(found.classifier.predict(features[300:]) == names[300:]) > 0.9
    assert any("spread to 296" in reason for reason in found.reasons)
    alone = fit_auto(features[:4], names[:4], None, COLUMNS, NAMES, random_state=0)
    assert not any("spread" in reason for reason in alone.reasons)
    assert found.classifier.classes_.tolist() == ["a", "b", "c", "d"]


def test_many_labels_do_not_use_unlabeled_images() -> None:
    assert uses_unlabeled(1000, 10)
    assert not uses_unlabeled(1001, 10)
    assert not uses_unlabeled(2001, 1000)


def test_adjacent_columns_are_not_copied() -> None:
    features = np.arange(24.0).reshape(2, 12)
    columns = [slice(0, 4), slice(4, 6), slice(6, 12)]
    assert np.shares_memory(take_columns(features, columns[:2]), features)
    np.testing.assert_array_equal(
        take_columns(features, [columns[0], columns[2]]), features[:, [0, 1, 2, 3, *range(6, 12)]]
    )


def test_labels_that_are_hidden_are_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = load_mnist_digits()
    given = as_images(images[::50], labels[::50])
    split = split_images(given, labels_per_class=2, random_state=0)
    seen: list[ImageCollection] = []
    learn = ImageClassifier.learn_features

    def spy(self: ImageClassifier, some: ImageCollection, **options: Any) -> ImageClassifier:
        seen.append(some)
        return learn(self, some, **options)

    monkeypatch.setattr(ImageClassifier, "learn_features", spy)
    classifier = ImageClassifier(architecture="4F7x7 - Rabs - PA8x8/8", learner="random", random_state=0)
    train_and_evaluate(classifier, given, split, label_counts=())
    (some,) = seen
    assert len(some) == len(split.train) + len(split.unlabeled)
    assert len(some.labeled) == len(split.train) == 20


@pytest.mark.slow
def test_auto_learns_digits_from_one_label_each(tmp_path: Path) -> None:
    images, labels = load_mnist_digits()
    images, labels = images[::8], labels[::8]
    firsts = [int(np.flatnonzero(labels == digit)[0]) for digit in range(10)]
    given = np.full(len(labels), "", object)
    given[firsts] = labels[firsts].astype(str)
    classifier = ImageClassifier(random_state=0, unknown=None).fit(images, given.tolist())
    reasons = classifier.record_.reasons
    assert any("mirror images are not used" in reason for reason in reasons)
    assert any("labels are spread" in reason for reason in reasons)
    (paths,) = classifier.hierarchy_
    assert isinstance(paths, Paths)
    assert len(paths.hierarchies) == 3
    found = classifier.predict(images)
    assert np.mean(found == labels.astype(str)) > 0.6
    classifier.save(tmp_path / "digits.safetensors")
    again = ImageClassifier.load(tmp_path / "digits.safetensors")
    np.testing.assert_array_equal(again.predict_proba(images[:20]), classifier.predict_proba(images[:20]))
    # More labels choose among the paths; what is not used is neither kept nor stored.
    classifier.fit_classifier(classifier.transform(images), labels)
    kept = Hierarchy(str(classifier.hierarchy_))
    classifier.drop_unused_paths()
    assert len(classifier.hierarchy_.layers[0].hierarchies) <= len(kept.layers[0].hierarchies)
    assert classifier.score(images, labels) > 0.95
    classifier.save(tmp_path / "digits.safetensors")
    again = ImageClassifier.load(tmp_path / "digits.safetensors")
    np.testing.assert_array_equal(again.predict(images[:20]), classifier.predict(images[:20]))
