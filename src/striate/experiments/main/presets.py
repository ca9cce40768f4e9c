"""The choice of `auto` for several kinds of images, compared with two stages of learned filters.

For digits and COIL-100 it chooses these two stages itself: a difference of 0 shows that it still does. Caltech-101 is
compared in `main-job-caltech101`, which learns with both systems on the same splits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, column, over, paired
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.images import ImageCollection, as_images, load_mnist_digits
from striate.recognition import ImageClassifier, split_images, train_and_evaluate

NAME = "presets"
CLAIM = "What auto chooses is at least as good as two stages of learned filters, whatever the images."
DATA = {"quick": (), "full": ("mnist", "scenes15", "coil100")}

# Training images per class; all others are for testing.
COLLECTIONS = {
    "digits": (100, "10,000 digits, 100 labels per class"),
    "15 scenes": (100, "15 scenes, 100 labels per class"),
    "COIL-100": (4, "COIL-100, 4 views of an object"),
}
SEEDS = (100, 101)


def _auto(collection: str) -> Callable[[Results], Measurement]:
    """Accuracy of auto; it holds if the mean is not below that of two stages of learned filters."""

    def measure(results: Results) -> Measurement:
        gain = _gain(collection)(results)
        assert gain.value is not None
        return replace(over(_accuracy(results, collection, "auto")), held=gain.value >= 0)

    return measure


def _gain(collection: str) -> Callable[[Results], Measurement]:
    return lambda results: paired(*(_accuracy(results, collection, system) for system in ("auto", "hierarchy")))


def _accuracy(results: Results, collection: str, system: str) -> list[float]:
    return column("mean class accuracy", 100, collection=collection, system=system)(results)


FIGURES = tuple(
    figure
    for collection, (_, what) in COLLECTIONS.items()
    for figure in (
        Figure(
            what=f"{what}: auto",
            unit="%",
            better="higher",
            predicate="not below two stages of learned filters",
            measure=_auto(collection),
        ),
        Figure(
            what=f"{what}: auto minus two stages of learned filters",
            unit="points",
            better="higher",
            goal=0.0,
            measure=_gain(collection),
        ),
    )
)


def units(scale: Scale) -> list[Unit]:
    """Return a unit per collection, system and seed."""
    full = scale == "full"
    return [
        Unit(
            f"{collection}, {system}, seed {seed}",
            {
                "collection": collection,
                "system": system,
                "seed": seed,
                "architecture": "auto" if full else "8F7x7 - Rabs - N7x7 - PA8x8/4",
                "train_per_class": n_train if full else 5,
            },
            learn,
            expected_seconds=600.0,
        )
        for collection, (n_train, _) in list(COLLECTIONS.items())[: None if full else 1]
        for system in ("hierarchy", "auto")
        for seed in (SEEDS if full else SEEDS[:1])
    ]


def learn(settings: Settings, context: Context) -> dict[str, Any]:
    """Train filters and a classifier on some images of each class; measure the accuracy on others."""
    images = _images(settings["collection"], context)
    split = split_images(images, train_per_class=settings["train_per_class"], random_state=settings["seed"])
    result = train_and_evaluate(
        ImageClassifier(
            system=settings["system"], architecture=settings["architecture"], random_state=settings["seed"]
        ),
        images,
        split,
        label_counts=(),
        folder=context.working_folder(),
        progress=context.progress,
    )
    return {
        "mean class accuracy": result.test.mean_class_accuracy,
        "architecture": str(result.classifier.hierarchy_),
        "n_train": result.n_train,
        "n_test": result.test.n_test,
    }


def _images(collection: str, context: Context) -> ImageCollection:
    if context.scale == "quick":
        images, labels = load_mnist_digits()
        return as_images(images[::50], labels[::50])
    if collection == "digits":  # only MNIST's test digits: few are for training, most for testing
        return as_images(context.data("mnist") / "t10k-images-idx3-ubyte.gz")
    if collection == "COIL-100":
        with np.load(context.data("coil100") / "coil100-64x64.npz") as found:
            return as_images(found["images"], found["object"])
    return as_images(context.data("scenes15"))
