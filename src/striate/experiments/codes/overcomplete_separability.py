"""Accuracy of a linear classifier as a function of the size of a sparse code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding import PreparedDictionary, infer
from striate.experiments.data.mnist import mnist_rows
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, paired
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.images import as_images, load_mnist_digits, sample_patches, to_grey, whiten
from striate.learning import SparseCoding
from striate.recognition import SoftmaxClassifier
from striate.recognition.splits import draw_per_class

NAME = "overcomplete-separability"
CLAIM = "Categories are more easily separable in high-dimensional sparse spaces."
DATA = {"quick": (), "full": ("mnist", "scenes15")}

SIZES = (50, 100, 200, 500, 1000, 2000)
QUICK_SIZES = (16, 48)
SIDE, STEP = 12, 6  # pixels of a patch of a scene, and from one patch to the next
DRAWS = 5


def _gain(task: str) -> Callable[[Results], Measurement]:
    """Accuracy of the largest code minus that of the smallest, on the same draws, in points."""

    def measure(results: Results) -> Measurement:
        rows = 100 * np.array(results.select(task=task).column("accuracy"))
        return replace(paired(rows[-1], rows[0]), held=bool((rows[-1] > rows[0]).all()))

    return measure


def _rising(task: str) -> Callable[[Results], Measurement]:
    """Fraction of the steps from one size to the next at which the mean accuracy rises."""

    def measure(results: Results) -> Measurement:
        means = [float(np.mean(row)) for row in results.select(task=task).column("accuracy")]
        steps = np.diff(means) > 0
        return Measurement(float(100 * steps.mean()), held=bool(steps.mean() >= 0.8))

    return measure


FIGURES = tuple(
    figure
    for task, name in (("digits", "MNIST, 100 labels per class"), ("scenes", "15 scenes, 100 labels per class"))
    for figure in (
        Figure(
            what=f"accuracy of the largest code minus that of the smallest, {name}",
            unit="points",
            better="higher",
            predicate="above 0 in every draw: the larger space is easier to separate",
            measure=_gain(task),
        ),
        Figure(
            what=f"steps from one size to the next at which accuracy rises, {name}",
            unit="%",
            better="higher",
            predicate="at least 80 %",
            measure=_rising(task),
        ),
    )
)


def units(scale: Scale) -> list[Unit]:
    """Return a unit per size for both kinds of images, at one sparsity each."""
    full = scale == "full"
    return [
        Unit(
            f"{task}, {n} units",
            {
                "task": task,
                "n_components": n,
                "sparsity": 0.15 if task == "digits" else 0.2,
                "batches": 600 if full else 10,
                "labels": 100 if full else 5,
            },
            separate,
            expected_seconds=60.0,
        )
        for task in ("digits", "scenes")
        for n in (SIZES if full else QUICK_SIZES)
    ]


def separate(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure a linear classifier on codes, over draws of labels, on images that were not learned from.

    Whether it standardizes the codes is chosen on unlabeled images of the training half. Standardizing gives rare units
    more weight, which helps if each of them belongs to one class, and hurts if they are noise.
    """
    features = (_codes_of_digits if settings["task"] == "digits" else _codes_of_scenes)(settings, context)
    train, labels, test, test_labels, active = features
    accuracy, standardized = [], []
    for draw_number in range(DRAWS if context.scale == "full" else 2):
        rows = draw_per_class(
            labels, settings["labels"], random_state=np.random.default_rng([context.seed, draw_number])
        )
        others = np.setdiff1d(np.arange(len(train)), rows)[:5000]
        fitted = [
            SoftmaxClassifier(standardize=standardize, calibrate=False, random_state=draw_number).fit(
                train[rows], labels[rows]
            )
            for standardize in (True, False)
        ]
        best = max(fitted, key=lambda classifier: np.mean(classifier.predict(train[others]) == labels[others]))
        accuracy.append(float(np.mean(best.predict(test) == test_labels)))
        standardized.append(best.standardize)
    return {"accuracy": accuracy, "standardized": standardized, "active": active}


Codes = tuple[NDArray[Any], NDArray[np.int64], NDArray[Any], NDArray[np.int64], float]


def _learned(rows: NDArray[np.float32], settings: Settings, context: Context) -> PreparedDictionary:
    learner = SparseCoding(
        settings["n_components"], sparsity=settings["sparsity"], max_batches=settings["batches"],
        random_state=context.seed,
    )  # fmt: skip
    return PreparedDictionary(learner.fit(rows, progress=context.progress).components_)


def _codes_of_digits(settings: Settings, context: Context) -> Codes:
    """Return codes of whole digits of unit norm."""
    train, labels, test, test_labels = mnist_rows(context)
    train, test = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (train, test))
    train, labels = train[:20_000], labels[:20_000]
    dictionary = _learned(train, settings, context)
    codes = [infer(rows, dictionary, settings["sparsity"]) for rows in (train, test)]
    return codes[0], labels, codes[1], test_labels, float(np.mean(codes[1] != 0) * codes[1].shape[1])


def _codes_of_scenes(settings: Settings, context: Context) -> Codes:
    """Return mean absolute codes of an image's patches, over the whole and over its quarters."""
    if context.scale == "full":
        collection = as_images(context.data("scenes15"))
        labels = np.unique(np.asarray(collection.labels), return_inverse=True)[1]
        pictures = [whiten(to_grey(collection.read(index)))[0] for index in range(len(collection))]
    else:
        images, digits = load_mnist_digits()
        labels = digits[::17].astype(np.int64)
        pictures = [whiten(to_grey(image))[0] for image in as_images(images[::17])]
    order = np.random.default_rng(0).permutation(len(pictures))
    learn_from = as_images([pictures[index][np.newaxis] for index in order[: len(order) // 2]])
    rows = sample_patches(learn_from, 100_000 if context.scale == "full" else 500, SIDE, random_state=0)
    rows -= rows.mean(axis=1, keepdims=True)
    rows = rows[np.linalg.norm(rows, axis=1) > 0.1 * np.sqrt(rows.shape[1])]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    dictionary = _learned(rows, settings, context)
    features, active = [], []
    with context.progress.phase("codes", len(pictures), "images") as phase:
        for picture in pictures:
            pooled, n_active = _pooled(picture, dictionary, settings["sparsity"])
            features.append(pooled)
            active.append(n_active)
            phase.advance()
    everything, half = np.array(features, np.float32), len(order) // 2
    first, second = order[:half], order[half:]
    return everything[first], labels[first], everything[second], labels[second], float(np.mean(active))


def _pooled(picture: NDArray[np.float32], dictionary: PreparedDictionary, sparsity: float) -> tuple[Any, float]:
    windows = np.lib.stride_tricks.sliding_window_view(picture, (SIDE, SIDE))[::STEP, ::STEP]
    height, width = windows.shape[:2]
    rows = windows.reshape(height * width, -1).astype(np.float32)
    rows = rows - rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 0.1 * SIDE)
    codes = infer(rows, dictionary, sparsity)
    maps = np.abs(codes).reshape(height, width, -1)
    parts = [maps]
    for upper in (maps[: -(-height // 2)], maps[height // 2 :]):
        parts += [upper[:, : -(-width // 2)], upper[:, width // 2 :]]
    return np.concatenate([part.mean(axis=(0, 1)) for part in parts]), float((codes != 0).sum(axis=1).mean())


def draw(results: Results, path: Path) -> None:
    """Draw accuracy against the number of units, for both kinds of images."""
    canvas = new_canvas(9, 4)
    places = canvas.subplots(1, 2)
    for axes, task in zip(places, ("digits", "scenes"), strict=True):
        chosen = results.select(task=task)
        sizes = [unit.settings["n_components"] for unit in chosen]
        rows = 100 * np.array(chosen.column("accuracy"))
        axes.errorbar(
            sizes, rows.mean(axis=1), rows.std(axis=1, ddof=1) / np.sqrt(rows.shape[1]), marker="o", markersize=3
        )
        for n, height, active in zip(sizes, rows.mean(axis=1), chosen.column("active"), strict=True):
            axes.annotate(f"{active:.0f} active", (n, height), fontsize=7, xytext=(2, -11), textcoords="offset points")
        axes.set_xscale("log")
        axes.set_xlabel("units in the code")
        axes.set_ylabel("accuracy, %")
        axes.set_title({"digits": "MNIST", "scenes": "15 scenes"}[task], fontsize=10)
    save_canvas(canvas, path)
