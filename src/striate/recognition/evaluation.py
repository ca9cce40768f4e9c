"""Accuracy of a classifier on labeled images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.images import ImageCollection, Skipped, as_images
from striate.progress import Progress
from striate.recognition.image_classifier import ImageClassifier
from striate.recognition.labels import class_names, labels_of, name_of
from striate.recognition.metrics import accuracy, confusion_matrix, mean_class_accuracy
from striate.recognition.predictions import Predictions


@dataclass
class Evaluation:
    """Result of an evaluation.

    Attributes
    ----------
    images : ImageCollection
        The images that were tested: labeled, and readable.
    predictions : Predictions
        In the order of `images`.
    accuracy, mean_class_accuracy : float
        Accuracy over all images, and the mean over classes of the accuracy in each. Images of a class that the
        classifier was not trained on count as wrong.
    per_class : dict of str to float
        Accuracy in each of the classifier's classes.
    confusion : int64 (n_classes, n_classes)
        Counts for the classifier's classes; true classes in rows.
    unknown_rate : float or None
        Fraction of the images that is called unknown; None for a classifier without ``unknown``.
    foreign_classes : list of str
        Classes of the images that the classifier was not trained on; they are not in `per_class` and `confusion`.
    n_foreign : int
        Images of these classes.
    accuracy_of_known : float
        Accuracy over the images of the classifier's classes; NaN if there are none.
    skipped : list of Skipped
    """

    images: ImageCollection
    predictions: Predictions
    accuracy: float
    mean_class_accuracy: float
    per_class: dict[str, float]
    confusion: NDArray[np.int64]
    unknown_rate: float | None = None
    foreign_classes: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    n_foreign: int = 0
    accuracy_of_known: float = float("nan")

    @property
    def n_test(self) -> int:
        """Images tested."""
        return len(self.predictions)


def evaluate_classifier(classifier: ImageClassifier, images: Any, *, progress: Progress | None = None) -> Evaluation:
    """Evaluate a classifier on labeled images.

    Parameters
    ----------
    classifier : ImageClassifier
    images : ImageCollection, or what `striate.as_images` takes
        With labels.
    progress : Progress, optional

    Raises
    ------
    UsageError
        If no image has a label.
    """
    images = as_images(images)
    labels_of(images)
    labeled = images.subset(images.labeled)
    found = classifier.extract(labeled, name="features", progress=progress)
    evaluation = evaluate_features(classifier, found.rows, labeled.subset(found.positions))
    evaluation.skipped = found.skipped
    return evaluation


def evaluate_features(
    classifier: ImageClassifier, features: NDArray[np.float32], images: ImageCollection
) -> Evaluation:
    """`evaluate_classifier` for features (n_images, n_features) that were computed before."""
    labels = np.array([name_of(label) for label in labels_of(images)])
    if not len(features) == len(images) == len(labels):
        raise UsageError(
            f"there are {len(features)} features, {len(images)} images and {len(labels)} labels; give one of each"
        )
    predictions = classifier.classify_features(features, list(images.names))
    predicted = np.array([prediction.label for prediction in predictions])
    classes = class_names(classifier.classes_)
    known = np.isin(labels, classes)
    rejects = classifier.rejection_ is not None
    return Evaluation(
        images=images,
        predictions=predictions,
        accuracy=accuracy(labels, predicted),
        mean_class_accuracy=mean_class_accuracy(labels, predicted),
        per_class={str(name): float(np.mean(predicted[labels == name] == name)) for name in np.unique(labels[known])},
        confusion=confusion_matrix(labels[known], predicted[known], classes),
        unknown_rate=float(np.mean([prediction.unknown for prediction in predictions])) if rejects else None,
        foreign_classes=sorted(set(labels[~known].tolist())),
        n_foreign=int(np.sum(~known)),
        accuracy_of_known=accuracy(labels[known], predicted[known]) if known.any() else float("nan"),
    )
