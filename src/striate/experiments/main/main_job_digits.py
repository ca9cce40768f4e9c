"""The main job on the digits that ship with the package: what `striate demo` shows, over seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, above, column, over
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.images import as_images, load_mnist_digits
from striate.recognition import ImageClassifier, area_under_roc, split_images, strangeness, train_and_evaluate

NAME = "main-job-digits"
CLAIM = "Filters learned from 4,000 digits without labels need few labels: 100 labels do what thousands do for pixels."
DATA: dict[str, tuple[str, ...]] = {"quick": (), "full": ()}

LABELS = (100, 1000, 4000)
SEEDS = (0, 1, 2)
UNKNOWN_RATE = 0.05


def _held(values: list[float], held: bool) -> Measurement:
    return replace(over(values), held=bool(held))


def _of(learner: str, n_labels: int, *, pixels: bool = False) -> Callable[[Results], list[float]]:
    return column(f"{'pixels' if pixels else 'features'}, {n_labels} labels", 100, task="digits", learner=learner)


def _beats_pixels(n_labels: int) -> Callable[[Results], Measurement]:
    def measure(results: Results) -> Measurement:
        ours, theirs = (_of("random", n_labels, pixels=pixels)(results) for pixels in (False, True))
        return _held(ours, min(np.subtract(ours, theirs)) > 0)

    return measure


FIGURES = (
    *(
        Figure(
            what=f"accuracy from {n:,} labels, learned filters",
            unit="%",
            better="higher",
            goal=goal,
            measure=_of("psd", n),
        )
        for n, goal in zip(LABELS, (92.5, 97.2, 98.4), strict=True)
    ),
    *(
        Figure(
            what=f"accuracy from {n:,} labels, raw pixels",
            unit="%",
            better="match",
            goal=about,
            tolerance=3.0,
            measure=_of("psd", n, pixels=True),
        )
        for n, about in zip(LABELS, (72.0, 87.0, 90.0), strict=True)
    ),
    *(
        Figure(
            what=f"accuracy from {n:,} labels, random filters",
            better="higher",
            unit="%",
            predicate="above raw pixels, as Jarrett et al. 2009 found for random filters with normalization",
            measure=_beats_pixels(n),
        )
        for n in LABELS
    ),
    Figure(
        what="false alarms at 5 %, digits 0-7",
        unit="%",
        better="match",
        goal=5.0,
        tolerance=1.5,
        measure=column("false alarm rate", 100, task="unknown"),
    ),
    Figure(
        what="area under ROC, digits 8 and 9 unknown",
        better="higher",
        predicate="unknown digits are told from known ones better than by chance (0.5)",
        measure=lambda results: above(results.select(task="unknown").column("area under ROC"), 0.5),
    ),
)


def units(scale: Scale) -> list[Unit]:
    """One unit a learner and seed, and one a seed for the digits that nobody showed."""
    seeds = SEEDS if scale == "full" else SEEDS[:1]
    learned = [
        Unit(
            f"{learner}, seed {seed}",
            {"task": "digits", "learner": learner, "seed": seed, **_size(scale)},
            learn_digits,
            expected_seconds=60.0,
        )
        for learner in ("psd", "random")
        for seed in seeds
    ]
    unknown = [
        Unit(f"unknown, seed {seed}", {"task": "unknown", "seed": seed, **_size(scale)}, reject_digits)
        for seed in seeds
    ]
    return learned + unknown


def _size(scale: Scale) -> dict[str, Any]:
    """The demo itself, or a hundredth of its work: one stage, 600 digits."""
    if scale == "full":
        return {"architecture": "auto", "every": 1, "n_draws": 5, "labels": list(LABELS)}
    return {"architecture": "16F7x7 - Rabs - N7x7 - PA8x8/4", "every": 5, "n_draws": 2, "labels": list(LABELS)}


def _digits(settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_mnist_digits()
    return images[:: settings["every"]], labels[:: settings["every"]]


def learn_digits(settings: Settings, context: Context) -> dict[str, Any]:
    """The demo with one seed: accuracy from each number of labels, learned features and raw pixels."""
    images = as_images(*_digits(settings))
    result = train_and_evaluate(
        ImageClassifier(
            architecture=settings["architecture"], learner=settings["learner"], random_state=settings["seed"]
        ),
        images,
        split_images(images, random_state=settings["seed"]),
        label_counts=[n // settings["every"] for n in settings["labels"]],
        n_draws=settings["n_draws"],
        progress=context.progress,
    )
    measured: dict[str, Any] = {"seconds by phase": {r.name: r.seconds for r in context.progress.records}}
    for name, curve in (("features", result.curve), ("pixels", result.pixel_curve)):
        for n_labels, point in zip(settings["labels"], curve, strict=True):
            measured[f"{name}, {n_labels} labels"] = point.mean
            measured[f"{name}, {n_labels} labels, each draw"] = list(point.accuracies)
            measured[f"{name}, {n_labels} labels, standard error"] = point.standard_error
    return measured


def reject_digits(settings: Settings, context: Context) -> dict[str, Any]:
    """Digits 0 to 7 are learned; then held-out ones of them are shown, and 8 and 9."""
    images, labels = _digits(settings)
    known = labels < 8
    known_images = as_images(images[known], labels[known])
    split = split_images(known_images, random_state=settings["seed"])
    classifier = ImageClassifier(
        architecture=settings["architecture"], unknown=UNKNOWN_RATE, random_state=settings["seed"]
    )
    result = train_and_evaluate(classifier, known_images, split, label_counts=(), progress=context.progress)
    foreign = classifier.extract(as_images(images[~known]), progress=context.progress).rows
    own = classifier.extract(known_images.subset(split.test), progress=context.progress).rows
    logits = classifier.classifier_.logits
    said = classifier.classify_features(foreign, [""] * len(foreign))
    return {
        "false alarm rate": result.test.unknown_rate,
        "detection rate": float(np.mean([one.unknown for one in said])),
        "area under ROC": area_under_roc(strangeness(logits(foreign)), strangeness(logits(own))),
        "accuracy, digits 0-7": result.test.accuracy,
    }
