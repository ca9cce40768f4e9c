"""The methods of `few-labels`: each has a function that measures it on one set.

They are separate functions, not a table, so that a change of one method leaves the results of the others valid.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.experiments.engine.unit import Context, Settings
from striate.experiments.recognition.baselines import Changes, Scaling, SmallCNN, TunedSVM, hog, pixels, scattering
from striate.experiments.recognition.baselines.descriptors import Describe
from striate.experiments.recognition.few_label_sets import SETS, LabeledSet, load_set
from striate.hierarchy import Hierarchy, extract_features, learn_filters
from striate.images import ImageCollection, Preprocessing, Skipped
from striate.images.sample import prepared_sample
from striate.learning import PSD
from striate.recognition import ImageClassifier, SoftmaxClassifier
from striate.recognition.metrics import mean_class_accuracy
from striate.threads import map_ordered

__all__ = ["measure_auto", "measure_before", "measure_cnn", "measure_hog", "measure_pixels", "measure_scattering"]

Rows = NDArray[np.float32]
Classify = Callable[[NDArray[np.int64], NDArray[np.int64], int], Callable[[], NDArray[Any]]]
"""Fits on places within the training part, their classes and a seed; returns what predicts the test part."""

PIXELS = 32  # largest side for the method "pixels"


def measure_pixels(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure pixels of images of at most 32×32, in color where the set has colors."""
    side = min(SETS[settings["set"]].side, PIXELS)
    return _measure_descriptors(settings, context, pixels, side, each=False)


def measure_hog(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure histograms of oriented gradients of squares of the side `settings["side"]`."""
    return _measure_descriptors(settings, context, hog(settings["cell"]), settings["side"], each=True)


def measure_scattering(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure a scattering transform of squares of the side `settings["side"]`."""
    describe = scattering(settings["side"], settings["scales"])
    return _measure_descriptors(settings, context, describe, settings["side"], each=True)


def measure_cnn(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure a small convolutional network, which sees no image but the labeled ones."""
    known = SETS[settings["set"]]
    given = load_set(settings["set"], settings["split"], context)
    train, test = (
        np.concatenate(list(given.squares(part, settings["side"], color=known.color)))
        for part in (given.train, given.test)
    )

    def classify(places: NDArray[np.int64], labels: NDArray[np.int64], seed: int) -> Callable[[], NDArray[Any]]:
        network = SmallCNN(
            Changes(**settings["changes"]),
            n_steps=settings["n_steps"],
            batch_size=settings["batch_size"],
            random_state=seed,
            n_threads=context.threads,
        )
        network.fit(train[places], labels, progress=context.progress)
        return lambda: network.predict(test)

    return _measure(given, settings, context, classify, feature_seconds=0.0)


def measure_before(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure what `auto` chose for this set in November 2026: filters or words, and logistic regression."""
    given = load_set(settings["set"], settings["split"], context)
    started = time.perf_counter()
    images, preprocessing = given.images.subset(given.train), Preprocessing(**settings["preprocessing"])
    sample = _sample(images, preprocessing, settings, context)
    hierarchy, _ = learn_filters(
        Hierarchy(settings["architecture"]),
        sample,
        learners=[PSD(**options) for options in settings["learners"]],
        random_state=settings["split"],
        progress=context.progress,
    )
    del sample
    train = extract_features(images, preprocessing, hierarchy, progress=context.progress).rows
    feature_seconds = time.perf_counter() - started
    test_images = given.images.subset(given.test)
    test = extract_features(test_images, preprocessing, hierarchy, progress=context.progress).rows

    def classify(places: NDArray[np.int64], labels: NDArray[np.int64], seed: int) -> Callable[[], NDArray[Any]]:
        few = len(labels) < 5 * len(np.unique(labels))
        classifier = SoftmaxClassifier(
            weight_decay=1e-5 if few else "auto", kernel="linear", random_state=seed, **settings["classifier"]
        )
        classifier.fit(train[places], labels)
        return lambda: classifier.predict(test)

    return _measure(given, settings, context, classify, feature_seconds)


def measure_auto(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure `ImageClassifier` with its defaults, which learns from all training images, a few of them with labels.

    Features are learned once, without labels; the decision about mirror images is then one without labels too.
    """
    given = load_set(settings["set"], settings["split"], context)
    classify, feature_seconds = _auto(given, settings, context)
    return _measure(given, settings, context, classify, feature_seconds)


def _auto(given: LabeledSet, settings: Settings, context: Context) -> tuple[Classify, float]:
    """Learn and extract features; return the function that fits a classifier, and the seconds."""
    started = time.perf_counter()
    classifier = ImageClassifier(architecture=settings["architecture"], random_state=settings["split"])
    images = given.images.subset(given.train)
    classifier.learn_features(images, progress=context.progress)
    train = classifier.extract(images, name="features of training images", progress=context.progress).rows
    seconds = time.perf_counter() - started
    test_images = given.images.subset(given.test)
    test = classifier.extract(test_images, name="features of test images", progress=context.progress).rows

    def classify(places: NDArray[np.int64], labels: NDArray[np.int64], seed: int) -> Callable[[], NDArray[Any]]:
        classifier.set_params(random_state=seed)
        others = np.setdiff1d(np.arange(len(train)), places)
        classifier.fit_classifier(train[places], labels, unlabeled=train[others])
        return lambda: np.asarray(classifier.classify_features(test, given_names).labels)

    given_names = [""] * len(test)
    return classify, seconds


def _sample(images: ImageCollection, preprocessing: Preprocessing, settings: Settings, context: Context) -> Rows:
    """Prepared images to learn filters or words from, as many as `ImageClassifier` took: at most 256 MB."""
    skipped: list[Skipped] = []
    return prepared_sample(
        [images],
        preprocessing,
        min(5000, (1 << 26) // int(np.prod(preprocessing.shape))),
        name="images for the filters",
        random_state=settings["split"],
        skipped=skipped,
        progress=context.progress,
    )


def _measure_descriptors(
    settings: Settings, context: Context, describe: Describe, side: int, *, each: bool
) -> dict[str, Any]:
    """Describe all images once; scale by the training part, and fit support vectors on each draw of labels.

    Histograms and scattering coefficients were better with `each` divided by its deviation, pixels without.
    """
    known = SETS[settings["set"]]
    given = load_set(settings["set"], settings["split"], context)
    started = time.perf_counter()
    train = _described(given, given.train, describe, side, known.color, context)
    scaled = Scaling(train, each=each)
    train = scaled(train)
    feature_seconds = time.perf_counter() - started
    test = scaled(_described(given, given.test, describe, side, known.color, context))

    def classify(places: NDArray[np.int64], labels: NDArray[np.int64], seed: int) -> Callable[[], NDArray[Any]]:
        machine = TunedSVM(random_state=seed).fit(train[places], labels)
        return lambda: machine.predict(test)

    return _measure(given, settings, context, classify, feature_seconds)


def _described(
    given: LabeledSet, positions: NDArray[np.int64], describe: Describe, side: int, color: bool, context: Context
) -> Rows:
    rows = np.empty((0, 0), np.float32)
    done = 0
    with context.progress.phase("descriptors", len(positions), "images") as phase:
        for found in map_ordered(describe, given.squares(positions, side, color=color)):
            if not done:
                rows = np.empty((len(positions), found.shape[1]), np.float32)
            rows[done : done + len(found)] = found
            done += len(found)
            phase.advance(len(found))
    return rows


def _measure(
    given: LabeledSet, settings: Settings, context: Context, classify: Classify, feature_seconds: float
) -> dict[str, Any]:
    """Classify the test part from each draw of labels.

    Returns
    -------
    dict
        ``accuracy``, the mean over classes, and ``seconds``, that of the features counted in full, both for each
        number of labels (rows) and draw (columns); ``feature seconds``, ``n_train``, ``n_test``.
    """
    truth = given.labels[given.test]
    accuracy: list[list[float]] = []
    seconds: list[list[float]] = []
    with context.progress.phase("draws", len(settings["counts"]) * len(settings["draws"]), "draws") as phase:
        for count in settings["counts"]:
            accuracy.append([])
            seconds.append([])
            for seed in settings["draws"]:
                places = given.draw(count, seed)
                started = time.perf_counter()
                predict = classify(places, given.labels[given.train[places]], seed)
                seconds[-1].append(feature_seconds + time.perf_counter() - started)
                accuracy[-1].append(mean_class_accuracy(truth, predict()))
                phase.advance()
    return {
        "accuracy": accuracy,
        "seconds": seconds,
        "feature seconds": feature_seconds,
        "n_train": len(given.train),
        "n_test": len(given.test),
    }
