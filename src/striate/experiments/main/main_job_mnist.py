"""The main job on the whole of MNIST, by the `auto` preset: 60,000 digits to learn from, 10,000 to test on."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, column
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.images import ImageCollection, as_images, load_mnist_digits
from striate.progress import peak_memory_bytes
from striate.recognition import ImageClassifier, split_images, train_and_evaluate

NAME = "main-job-mnist"
CLAIM = "The preset that the demo uses also serves 60,000 digits, in minutes on two cores."
DATA = {"quick": (), "full": ("mnist",)}


def _random_filters(results: Results) -> Measurement:
    """Accuracy of random filters, and whether it comes close to that of learned ones."""
    (ours,), (theirs,) = (results.select(learner=learner).column("accuracy") for learner in ("random", "psd"))
    return Measurement(100 * ours, held=ours > theirs - 0.01)


FIGURES = (
    Figure(
        what="accuracy, learned filters",
        unit="%",
        better="higher",
        goal=99.1,
        measure=column("accuracy", 100, learner="psd"),
    ),
    Figure(
        what="minutes, learned filters",
        unit="min",
        better="lower",
        goal=20.0,
        measure=column("seconds", 1 / 60, learner="psd"),
    ),
    Figure(
        what="accuracy, random filters",
        unit="%",
        better="higher",
        predicate="within 1 point of learned filters: with all labels, random filters do nearly as well",
        measure=_random_filters,
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Learned and random filters, same settings."""
    architecture = "auto" if scale == "full" else "16F7x7 - Rabs - N7x7 - PA8x8/4"
    return [
        Unit(
            f"{learner} filters",
            {"learner": learner, "architecture": architecture},
            learn_all_digits,
            expected_seconds=600.0,
        )
        for learner in ("psd", "random")
    ]


def learn_all_digits(settings: Settings, context: Context) -> dict[str, Any]:
    """Filters, features and classifier from all training digits; accuracy on all test digits."""
    images, test = _digits(context)
    started = time.perf_counter()
    result = train_and_evaluate(
        ImageClassifier(architecture=settings["architecture"], learner=settings["learner"], random_state=context.seed),
        images,
        split_images(images, test=False),
        test_images=test,
        label_counts=(),
        folder=context.working_folder(),
        progress=context.progress,
    )
    return {
        "accuracy": result.test.accuracy,
        "seconds": time.perf_counter() - started,
        "peak memory, bytes": peak_memory_bytes(),
        "weight decay": result.classifier.classifier_.weight_decay_,
        "seconds by phase": {record.name: record.seconds for record in context.progress.records},
    }


def _digits(context: Context) -> tuple[ImageCollection, ImageCollection]:
    if context.scale == "full":
        folder = context.data("mnist")
        return as_images(folder / "train-images-idx3-ubyte.gz"), as_images(folder / "t10k-images-idx3-ubyte.gz")
    images, labels = load_mnist_digits()
    chosen = np.arange(0, len(labels), 5)
    test = chosen + 1
    return as_images(images[chosen], labels[chosen]), as_images(images[test], labels[test])
