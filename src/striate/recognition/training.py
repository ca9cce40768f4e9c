"""A complete training run: split the images, learn, evaluate on held-out images, compare with raw pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.checkpoint import Checkpoint
from striate.errors import StriateError, UsageError
from striate.hierarchy import extract_features, small_pixels
from striate.hierarchy.presets import classifier_options
from striate.images import ImageCollection, Skipped
from striate.images.collection import as_fractions
from striate.images.kept import KeptImages
from striate.images.names import printable
from striate.images.stream import require_most
from striate.progress import Progress
from striate.recognition.ablation import Ablation, ablate
from striate.recognition.evaluation import Evaluation, evaluate_features
from striate.recognition.image_classifier import ImageClassifier
from striate.recognition.labels import check_classes, labels_of, lost_classes
from striate.recognition.learning_curve import CurvePoint, default_label_counts, learning_curve, point_of_one_fit
from striate.recognition.softmax_classifier import SoftmaxClassifier
from striate.recognition.splits import draw_per_class, hold_out_fraction, train_test_split_per_class

# Images of the learning curve, whose fits share one n × n matrix.
MAX_CURVE_TRAIN = 4000
MAX_CURVE_TEST = 5000
# Fraction of each class that is held out for the test by default.
TEST_FRACTION = 0.2


@dataclass(frozen=True)
class Split:
    """The images of each part, as int64 indices."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    unlabeled: NDArray[np.int64]


@dataclass
class TrainingResult:
    """A trained classifier and its evaluation.

    Attributes
    ----------
    classifier : ImageClassifier
    test : Evaluation
        Evaluation on held-out images. `unknown_rate` is a false alarm rate, since each image belongs to a class.
    n_train, n_unlabeled : int
        Labeled images that were read, and additional images that were used for the filters.
    curve, pixel_curve : list of CurvePoint
        Accuracy as a function of the number of labels: for learned features, and for raw pixels with the same
        classifier.
    skipped : list of Skipped
    lost_classes : list of str
        One sentence for each class without a readable training image.
    ablations : list of Ablation
        Contribution of each component, on validation images; empty by default. Those of the unrefined system, as the
        learning curve is.
    before : Evaluation or None
        Of the unrefined system on the same held-out images, if it was refined.
    """

    classifier: ImageClassifier
    test: Evaluation
    n_train: int
    n_unlabeled: int
    curve: list[CurvePoint] = field(default_factory=list)
    pixel_curve: list[CurvePoint] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    lost_classes: list[str] = field(default_factory=list)
    ablations: list[Ablation] = field(default_factory=list)
    before: Evaluation | None = None


def split_images(
    images: ImageCollection,
    *,
    train_per_class: int | None = None,
    labels_per_class: int | None = None,
    test: bool = True,
    random_state: int | None = None,
) -> Split:
    """Choose the training images, the test images, and the training images whose label is not used.

    Parameters
    ----------
    images : ImageCollection
    train_per_class : int, optional
        Number of training images per class; all others are for testing (the protocol of Caltech-101). By default a
        fifth of each class is held out.
    labels_per_class : int, optional
        Number of training images per class that keep their label; the others are used for the filters only.
    test : bool
        False if the test images come from elsewhere: all images are then for training.
    """
    labels = labels_of(images)
    labeled = images.labeled
    check_classes(labels)
    everything = np.arange(len(labeled))
    if train_per_class is not None:
        train, held_out = train_test_split_per_class(labels, train_per_class, random_state=random_state)
    elif test:
        train, held_out = hold_out_fraction(labels, TEST_FRACTION, random_state=random_state)
    else:
        train, held_out = everything, everything[:0]
    hidden = everything[:0]
    if labels_per_class is not None:
        kept = draw_per_class(labels[train], labels_per_class, random_state=random_state)
        hidden = np.setdiff1d(train, train[kept])
        train = np.sort(train[kept])
    unlabeled = np.setdiff1d(np.arange(len(images)), labeled)
    return Split(labeled[train], labeled[held_out], np.sort(np.concatenate([labeled[hidden], unlabeled])))


def train_and_evaluate(
    classifier: ImageClassifier,
    images: ImageCollection,
    split: Split,
    *,
    test_images: ImageCollection | None = None,
    unlabeled: ImageCollection | None = None,
    label_counts: Sequence[int] | None = None,
    n_draws: int = 5,
    with_ablations: bool = False,
    checkpoint: Checkpoint | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train on one part of a split, and evaluate on the other.

    Parameters
    ----------
    classifier : ImageClassifier
        Not fitted yet.
    images, split
        The images, and their division into parts.
    test_images : ImageCollection, optional
        Labeled images to test on, in place of the split's.
    unlabeled : ImageCollection, optional
        Additional images for the filters.
    label_counts : sequence of int, optional
        Points of the learning curve, as total numbers of labels; by default chosen from the data. Empty: no curve.
    n_draws : int
        Number of stratified draws of the labels per point, except for the last point.
    with_ablations : bool
        Also measure the contribution of each component (`ablate`), on training images.
    folder : Path, optional
        Where memory maps of large features are stored if there is no checkpoint.
    """
    progress = progress or Progress()
    images = KeptImages(as_fractions(images), worth=np.concatenate([split.train, split.test]))
    held_out = images.subset(split.test) if test_images is None else KeptImages(as_fractions(test_images))
    held_out = held_out.subset(held_out.labeled)
    train_images = images.subset(split.train)
    _require_labels(train_images, held_out, label_counts)
    for_filters = _with_labels_of(images, split.train, np.sort(np.concatenate([split.train, split.unlabeled])))
    classifier.learn_features(for_filters, unlabeled=unlabeled, checkpoint=checkpoint, progress=progress)

    def features_of(some: ImageCollection, name: str) -> tuple[_Part, list[Skipped]]:
        found = classifier.extract(
            some, name=name, checkpoint=checkpoint, folder=folder, require_half=False, progress=progress
        )
        readable = some.subset(found.positions)
        return _Part(found.rows, readable, np.asarray(readable.labels or [])), found.skipped

    train, skipped_train = features_of(train_images, "features of training images")
    lost = lost_classes(train_images, train.images)
    test, skipped_test = features_of(held_out, "features of test images")
    skipped = list(dict.fromkeys([*classifier.record_.skipped, *skipped_train, *skipped_test]))
    require_most(skipped, len(for_filters) + len(held_out) + (0 if unlabeled is None else len(unlabeled)))
    if not len(test.labels):
        raise StriateError(
            f"none of the {len(held_out)} test images can be read, the first is {printable(skipped_test[0].name)}: "
            f"{skipped_test[0].reason}"
        )
    others = classifier.extract_unlabeled(
        [images.subset(split.unlabeled), unlabeled],
        train.labels,
        checkpoint=checkpoint,
        folder=folder,
        progress=progress,
    )
    classifier.fit_classifier(train.rows, train.labels.tolist(), unlabeled=others, progress=progress)
    result = TrainingResult(
        classifier=classifier,
        test=evaluate_features(classifier, test.rows, test.images),
        n_train=len(train.labels),
        n_unlabeled=len(split.unlabeled) + (len(unlabeled) if unlabeled is not None else 0),
        skipped=skipped,
        lost_classes=lost,
    )
    _add_curves(result, train, test, label_counts, n_draws, progress)
    used = classifier.used(train.rows)
    classifier.drop_unused_paths()
    if with_ablations:
        result.ablations = ablate(classifier, train.images, progress=progress)
    if classifier.refine_network(train.images, train.labels, used, checkpoint=checkpoint, progress=progress):
        again, _ = features_of(test.images, "refined features of test images")
        result.before, result.test = result.test, evaluate_features(classifier, again.rows, again.images)
    _record(result)
    return result


def _with_labels_of(images: ImageCollection, labeled: NDArray[np.int64], chosen: NDArray[np.int64]) -> ImageCollection:
    """Some images, of which only those that are for training keep their labels."""
    is_labeled = np.isin(chosen, labeled)
    some = images.subset(chosen)
    return some.with_labels([label if keep else "" for label, keep in zip(some.labels or [], is_labeled, strict=True)])


def _require_labels(train: ImageCollection, held_out: ImageCollection, label_counts: Sequence[int] | None) -> None:
    """Raise UsageError now for problems that would otherwise be found after minutes of learning."""
    labels = labels_of(train)
    check_classes(labels, at_least=1)
    n_classes = len(np.unique(labels))
    if label_counts is not None and min(label_counts, default=n_classes) < n_classes:
        raise UsageError(f"points of the learning curve are numbers of labels: at least {n_classes}, one per class.")
    if not len(held_out):
        raise UsageError("there are no labeled images to test on: hold some out, or give labeled test images.")


def _record(result: TrainingResult) -> None:
    """Write the results into the classifier's record, which is saved in the model file."""
    record = result.classifier.record_
    record.skipped = result.skipped
    record.facts |= {
        "n_train": result.n_train,
        "n_test": result.test.n_test,
        "n_unlabeled": result.n_unlabeled,
        "accuracy": result.test.accuracy,
        "mean_class_accuracy": result.test.mean_class_accuracy,
    }
    if result.before is not None:
        record.facts["accuracy_before_refinement"] = result.before.accuracy


class _Part(NamedTuple):
    """Images that could be read, for training or for testing."""

    rows: NDArray[np.float32]
    images: ImageCollection
    labels: NDArray[Any]


def _add_curves(
    result: TrainingResult,
    train: _Part,
    test: _Part,
    label_counts: Sequence[int] | None,
    n_draws: int,
    progress: Progress,
) -> None:
    """Learning curves of learned features and of raw pixels.

    The last point is the classifier itself, trained on all labels; for raw pixels another classifier is trained.
    """
    classifier = result.classifier
    fewer_train = _thin_out(train, MAX_CURVE_TRAIN, classifier.random_state)
    fewer_test = _thin_out(test, MAX_CURVE_TEST, classifier.random_state)
    counts = default_label_counts(fewer_train.labels) if label_counts is None else list(label_counts)
    if not counts:
        return
    # Raw pixels get the same kind of classifier, which chooses its own weight decay.
    options: dict[str, Any] = {
        "n_labels": [count for count in counts if count < result.n_train and count <= len(fewer_train.labels)],
        "n_draws": n_draws,
        "random_state": classifier.random_state,
        "progress": progress,
    }
    result.curve = learning_curve(
        classifier.used(fewer_train.rows),
        fewer_train.labels,
        classifier.used(fewer_test.rows),
        fewer_test.labels,
        phase_name="learning curve",
        **classifier_options(classifier.hierarchy_),
        **options,
    )
    correct = np.array([p.label == label for p, label in zip(result.test.predictions, test.labels, strict=True)])
    result.curve.append(point_of_one_fit(result.n_train, correct))

    def pixels_of(images: ImageCollection, name: str) -> NDArray[np.float32]:
        return extract_features(images, classifier.preprocessing_, small_pixels, name=name, progress=progress).rows

    train_pixels = pixels_of(fewer_train.images, "pixels of training images")
    test_pixels = pixels_of(fewer_test.images, "pixels of test images")
    result.pixel_curve = learning_curve(
        train_pixels,
        fewer_train.labels,
        test_pixels,
        fewer_test.labels,
        phase_name="learning curve of raw pixels",
        split=True,
        **options,
    )
    if len(fewer_train.labels) == result.n_train:
        with progress.phase("classifier of raw pixels", total=1, unit="fits") as phase:
            baseline = SoftmaxClassifier(split=True, random_state=classifier.random_state)
            is_right = baseline.fit(train_pixels, fewer_train.labels).predict(test_pixels) == fewer_test.labels
            phase.advance()
        result.pixel_curve.append(point_of_one_fit(result.n_train, is_right))


def _thin_out(part: _Part, at_most: int, seed: int | None) -> _Part:
    """A stratified subset of a part, with at most `at_most` images."""
    rows, images, labels = part
    if len(labels) <= at_most:
        return part
    _, kept = hold_out_fraction(labels, at_most / len(labels), random_state=seed)
    return _Part(np.asarray(rows[kept]), images.subset(kept), labels[kept])
