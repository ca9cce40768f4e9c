"""What `auto` chooses for several kinds of images, before photographs got a system of their own and after.

Caltech-101 is compared in `main-job-caltech101`, which learns with both systems on the same splits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, column, over
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.images import ImageCollection, as_images, load_mnist_digits
from striate.recognition import ImageClassifier, split_images, train_and_evaluate

NAME = "presets"
CLAIM = "What auto chooses is at least as good as two stages of learned filters, whatever the images."
DATA = {"quick": (), "full": ("mnist", "scenes15", "coil100")}

# Images of a class that train; all others test, where nothing else is said.
COLLECTIONS = {
    "digits": (100, "10,000 digits, 100 labels a class"),
    "15 scenes": (100, "15 scenes, 100 labels a class"),
    "COIL-100": (4, "COIL-100, 4 views of an object"),
}
SEEDS = (100, 101)


def _auto(collection: str) -> Callable[[Results], Measurement]:
    def measure(results: Results) -> Measurement:
        before, after = (_accuracy(results, collection, system) for system in ("hierarchy", "auto"))
        found = over(after)
        return Measurement(found.value, found.uncertainty, found.n, held=bool(np.mean(after) >= np.mean(before)))

    return measure


def _gain(collection: str) -> Callable[[Results], list[float]]:
    def measure(results: Results) -> list[float]:
        pairs = zip(*(_accuracy(results, collection, system) for system in ("auto", "hierarchy")), strict=True)
        return [after - before for after, before in pairs]

    return measure


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
    """Each collection with both systems, a unit a seed."""
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
    """Filters and a classifier from some images of each class; accuracy on others."""
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
    if collection == "digits":  # MNIST's test digits alone: most of them are to be told, few are learned from
        return as_images(context.data("mnist") / "t10k-images-idx3-ubyte.gz")
    if collection == "COIL-100":
        with np.load(context.data("coil100") / "coil100-64x64.npz") as found:
            return as_images(found["images"], found["object"])
    return as_images(context.data("scenes15"))
