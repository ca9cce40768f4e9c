"""The main job on all of MNIST with the `auto` preset: 60,000 training digits, and 10,000 test digits.

The digits are divided for good, so that seeds differ in filters and connections only. Three of the five seeds of the
headline do: one takes twenty minutes.
"""

from __future__ import annotations

from typing import Any

from striate.experiments.data.mnist import mnist_images
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, column, over, paired
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.experiments.main.job import HEADLINE, NEW_SEEDS, QUICK_ARCHITECTURE, learn, units_of
from striate.recognition import split_images

NAME = "main-job-mnist"
CLAIM = "The preset of the demo also works for 60,000 digits, in minutes on two cores."
DATA = {"quick": (), "full": ("mnist",)}

SYSTEMS: dict[str, dict[str, Any]] = {"learned filters": {"learner": "psd"}, "random filters": {"learner": "random"}}
SEEDS = HEADLINE[:3]

_learned = column("accuracy", 100, system="learned filters")
_random = column("accuracy", 100, system="random filters")


def _close(results: Results) -> Measurement:
    """Accuracy of random filters; it holds if learned ones are at most a point better, paired by seed."""
    found, lead = over(_random(results)), paired(_learned(results), _random(results))
    assert lead.value is not None
    return Measurement(found.value, found.uncertainty, found.n, held=lead.value < 1)


FIGURES = (
    Figure(
        what="accuracy, learned filters",
        unit="%",
        better="higher",
        goal=99.5,
        history=(NEW_SEEDS, "Until 30 November 2026 the goal was 99.1 %."),
        measure=_learned,
    ),
    Figure(
        what="minutes, learned filters",
        unit="min",
        better="lower",
        goal=20.0,
        history=(NEW_SEEDS,),
        measure=column("seconds", 1 / 60, system="learned filters"),
    ),
    Figure(
        what="accuracy, random filters",
        unit="%",
        better="higher",
        predicate="within 1 point of learned filters: with all labels, random filters do nearly as well",
        history=(NEW_SEEDS,),
        measure=_close,
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return learned and random filters per seed, otherwise with the same settings."""
    full = scale == "full"
    settings = {"architecture": "auto" if full else QUICK_ARCHITECTURE}
    return units_of(learn_all_digits, SYSTEMS, SEEDS if full else SEEDS[:1], settings, expected_seconds=600.0)


def learn_all_digits(settings: Settings, context: Context) -> dict[str, Any]:
    """Learn filters and classifier from all training digits; measure the accuracy on all test digits."""
    images, test = mnist_images(context)
    split = split_images(images, test=False)
    return learn(settings, context, images, split, test_images=test, on_disk=True)[1]
