"""The main job on the digits of the package, as in `striate demo`, over several seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, column, holding, paired
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.experiments.main.job import HEADLINE, NEW_SEEDS, QUICK_ARCHITECTURE, learn, units_of
from striate.images import as_images, load_mnist_digits
from striate.recognition import area_under_roc, split_images, strangeness

NAME = "main-job-digits"
CLAIM = (
    "With filters that are learned from 4,000 digits without labels, 100 labels replace thousands of "
    "labels on raw pixels."
)
DATA: dict[str, tuple[str, ...]] = {"quick": (), "full": ()}

LABELS = (100, 1000, 4000)
SYSTEMS: dict[str, dict[str, Any]] = {"learned filters": {"learner": "psd"}, "random filters": {"learner": "random"}}
UNKNOWN: dict[str, dict[str, Any]] = {"digits 8 and 9 unknown": {"unknown": 0.05}}


def _accuracy(system: str, n_labels: int, *, pixels: bool = False) -> Callable[[Results], list[float]]:
    return column(f"{'pixels' if pixels else 'features'}, {n_labels} labels", 100, system=system)


_learned = _accuracy("learned filters", LABELS[0])


def _lead(n_labels: int) -> Callable[[Results], Measurement]:
    """Accuracy of learned minus random filters, paired by seed."""

    def measure(results: Results) -> Measurement:
        learned, random = (_accuracy(system, n_labels)(results) for system in SYSTEMS)
        return holding(paired(learned, random), lambda mean, error: mean > 2 * error)

    return measure


def _few_for_many(results: Results) -> Measurement:
    """Accuracy of learned filters with the fewest labels minus that of pixels with all labels."""
    return paired(_learned(results), _accuracy("learned filters", LABELS[-1], pixels=True)(results))


FIGURES = (
    *(
        Figure(
            what=f"accuracy from {n:,} labels, learned filters",
            unit="%",
            better="higher",
            goal=goal,
            history=(NEW_SEEDS,),
            measure=_accuracy("learned filters", n),
        )
        for n, goal in zip(LABELS, (92.5, 97.2, 98.4), strict=True)
    ),
    *(
        Figure(
            what=f"accuracy from {n:,} labels, raw pixels",
            unit="%",
            better="match",
            goal=about,
            history=(NEW_SEEDS,),
            tolerance=3.0,
            measure=_accuracy("learned filters", n, pixels=True),
        )
        for n, about in zip(LABELS, (72.0, 87.0, 90.0), strict=True)
    ),
    Figure(
        what="learned filters with 100 labels minus raw pixels with 4,000",
        unit="points",
        better="higher",
        goal=0.0,
        history=("Added in November 2026, from the claim, after 2.9 points had been seen on seeds 0 to 2.",),
        measure=_few_for_many,
    ),
    *(
        Figure(
            what=f"learned minus random filters, {n:,} labels",
            unit="points",
            better="higher",
            predicate="above 0 by two standard errors: learning helps",
            history=(
                "In November 2026 it replaced that random filters are above raw pixels, which could hardly fail; "
                "differences of 3.5, 0.7 and 0.03 points had then been seen on seeds 0 to 2.",
            ),
            measure=_lead(n),
        )
        for n in LABELS
    ),
    Figure(
        what="false alarms at 5 %, digits 0-7",
        unit="%",
        better="match",
        goal=5.0,
        history=(NEW_SEEDS,),
        tolerance=1.5,
        measure=column("false alarm rate", 100, system="digits 8 and 9 unknown"),
    ),
    Figure(
        what="unknown digits found, 8 and 9",
        unit="%",
        better="higher",
        goal=90.0,
        history=(
            "In November 2026 it replaced an area under the ROC curve above 0.5, which could hardly fail; 93 % had "
            "then been seen on seeds 0 to 2.",
        ),
        measure=column("detection rate", 100, system="digits 8 and 9 unknown"),
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return a unit per kind of filters and seed, and one per seed for the unknown digits."""
    full = scale == "full"
    seeds = HEADLINE if full else HEADLINE[:1]
    size = {"architecture": "auto" if full else QUICK_ARCHITECTURE, "every": 1 if full else 5}
    curve = {"n_draws": 5 if full else 2, "labels": LABELS}
    return [
        *units_of(learn_digits, SYSTEMS, seeds, {**size, **curve}, expected_seconds=60.0),
        *units_of(reject_digits, UNKNOWN, seeds, size, expected_seconds=30.0),
    ]


def _digits(settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_mnist_digits()
    return images[:: settings["every"]], labels[:: settings["every"]]


def learn_digits(settings: Settings, context: Context) -> dict[str, Any]:
    """Run the demo with one seed: accuracy from each number of labels, learned features and raw pixels."""
    images = as_images(*_digits(settings))
    result, facts = learn(
        settings,
        context,
        images,
        split_images(images, random_state=settings["seed"]),
        label_counts=[n // settings["every"] for n in settings["labels"]],
        n_draws=settings["n_draws"],
    )
    for name, curve in (("features", result.curve), ("pixels", result.pixel_curve)):
        for n_labels, point in zip(settings["labels"], curve, strict=True):
            facts[f"{name}, {n_labels} labels"] = point.mean
            facts[f"{name}, {n_labels} labels, each draw"] = list(point.accuracies)
            facts[f"{name}, {n_labels} labels, standard error"] = point.standard_error
    return facts


def reject_digits(settings: Settings, context: Context) -> dict[str, Any]:
    """Train on digits 0 to 7; test on other images of them, and on 8 and 9."""
    images, labels = _digits(settings)
    known = labels < 8
    known_images = as_images(images[known], labels[known])
    split = split_images(known_images, random_state=settings["seed"])
    result, facts = learn(settings, context, known_images, split)
    classifier = result.classifier
    foreign = classifier.extract(as_images(images[~known]), progress=context.progress).rows
    own = classifier.extract(known_images.subset(split.test), progress=context.progress).rows
    logits = classifier.classifier_.logits
    said = classifier.classify_features(foreign, [""] * len(foreign))
    return facts | {
        "false alarm rate": result.test.unknown_rate,
        "detection rate": float(np.mean([one.unknown for one in said])),
        "area under ROC": area_under_roc(strangeness(logits(foreign)), strangeness(logits(own))),
    }
