"""What is measured, on features whose predictions are known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striate.errors import UsageError
from striate.images import ImageCollection, as_images
from striate.recognition import (
    ConformalRejection,
    ImageClassifier,
    SoftmaxClassifier,
    evaluate_classifier,
    evaluate_features,
)
from tests.recognition.digits import digits, quick, write_folder

CLASSES = ["ant", "bee", "cat"]


def one_hot_classifier(*, threshold: float | None = None) -> ImageClassifier:
    """Its logits are the features, its classes CLASSES."""
    classifier = ImageClassifier()
    header = {
        "classes": CLASSES,
        "class_dtype": "<U3",
        "weight_decay": 1.0,
        "temperature": 1.0,
        "cross_validation": [],
        "n_iterations": 1,
    }
    arrays = {"coefficients": np.eye(3, dtype=np.float32), "intercept": np.zeros(3, np.float32)}
    classifier.classifier_ = SoftmaxClassifier.from_state(arrays, header)
    classifier.classes_ = classifier.classifier_.classes_
    classifier.rejection_ = None
    if threshold is not None:
        header = {"error_rate": 0.1, "threshold": threshold, "n_held_out": 9}
        classifier.rejection_ = ConformalRejection.from_state({}, header)
    return classifier


def pictures(labels: list[str]) -> ImageCollection:
    return as_images(np.zeros((len(labels), 4, 4), np.float32), labels)


def features_of(predicted: list[int]) -> np.ndarray:
    return 9 * np.eye(3, dtype=np.float32)[predicted]


def test_every_figure() -> None:
    labels = ["ant", "ant", "ant", "ant", "bee", "bee", "cat"]
    found = evaluate_features(one_hot_classifier(), features_of([0, 0, 0, 2, 1, 0, 2]), pictures(labels))
    assert found.accuracy == 5 / 7
    assert found.per_class == {"ant": 0.75, "bee": 0.5, "cat": 1.0}
    assert found.mean_class_accuracy == 0.75
    assert found.confusion.tolist() == [[3, 0, 1], [1, 1, 0], [0, 0, 1]]
    assert found.n_test == found.confusion.sum() == 7
    assert found.unknown_rate is None
    assert found.foreign_classes == []
    assert [one.label for one in found.predictions] == ["ant", "ant", "ant", "cat", "bee", "ant", "cat"]
    assert [one.name for one in found.predictions] == [f"images[{i}]" for i in range(7)]


def test_foreign_classes_are_wrong_and_not_confused() -> None:
    # "zebra" is longer than any class the classifier knows: NumPy must not cut it.
    labels = ["ant", "zebra", "bee", "ape", "zebra"]
    found = evaluate_features(one_hot_classifier(), features_of([0, 1, 1, 0, 2]), pictures(labels))
    assert found.foreign_classes == ["ape", "zebra"]
    assert found.accuracy == 2 / 5
    assert found.per_class == {"ant": 1.0, "bee": 1.0}
    assert found.n_foreign == 3
    assert found.accuracy_of_known == 1.0
    assert found.mean_class_accuracy == 0.5
    assert found.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert found.n_test == 5


def test_nothing_but_foreign_images() -> None:
    found = evaluate_features(one_hot_classifier(), features_of([0, 1]), pictures(["x", "y"]))
    assert (found.accuracy, found.confusion.sum()) == (0, 0)
    assert (found.per_class, found.n_foreign) == ({}, 2)
    assert np.isnan(found.accuracy_of_known)


def test_the_rate_of_unknown() -> None:
    # The strangeness of features 9 · one-hot is about −9, of zeros −log 3.
    features = np.vstack([features_of([0, 1, 2]), np.zeros((1, 3), np.float32)])
    labels = ["ant", "bee", "cat", "ant"]
    found = evaluate_features(one_hot_classifier(threshold=-5), features, pictures(labels))
    assert found.unknown_rate == 0.25
    assert [one.unknown for one in found.predictions] == [False, False, False, True]
    assert found.accuracy == 1  # of the class that an unknown image would have


def test_images_without_a_label_are_left_out_and_unreadable_ones_told(tmp_path: Path) -> None:
    images, labels = digits([0, 1], 12)
    classifier = quick().fit(images, labels)
    names = [*map(str, labels[:-2]), "", ""]
    folder = write_folder(tmp_path / "x", [*images], names)
    (folder / "1" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    found = evaluate_classifier(classifier, as_images(folder))
    assert [one.name for one in found.skipped] == ["1/broken.png"]
    assert found.n_test == 22
    assert found.accuracy == classifier.score(images[:-2], labels[:-2])
    assert found.images.labels == names[:-2]


def test_images_without_labels() -> None:
    images, labels = digits([0, 1], 4)
    classifier = quick().fit(images, labels)
    for given in (images, as_images(images)):
        with pytest.raises(UsageError, match="no labels"):
            evaluate_classifier(classifier, given)
