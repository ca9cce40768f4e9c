"""The code that is common to the three experiments on the main job, training a classifier on images."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from striate.experiments.engine.unit import Context, Settings, Unit
from striate.images import ImageCollection
from striate.progress import peak_memory_bytes
from striate.recognition import ImageClassifier, Split, TrainingResult, train_and_evaluate

__all__ = ["HEADLINE", "NEW_SEEDS", "QUICK_ARCHITECTURE", "learn", "units_of"]

#: Seeds of the results that head the README. Development used 0 to 2; 100 to 102 were measured three times while the
#: code still changed, so that they no longer count as untouched. These are measured once, on frozen code.
HEADLINE = (105, 106, 107, 108, 109)
NEW_SEEDS = (
    "Until November 2026 seeds were measured that development had used, or 100 to 102, which were measured three times "
    "while the code changed."
)
QUICK_ARCHITECTURE = "16F7x7 - Rabs - N7x7 - PA8x8/4"


def units_of(
    run: Callable[[Settings, Context], Mapping[str, Any]],
    systems: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    settings: Mapping[str, Any],
    *,
    expected_seconds: float,
) -> list[Unit]:
    """Return a unit per system and seed.

    Parameters
    ----------
    run : callable
    systems : mapping of str to mapping
        The options of `ImageClassifier` for each system, by its name.
    seeds : sequence of int
    settings : mapping
        Settings common to all units; "architecture" is required.
    expected_seconds : float
        Expected duration of a unit.
    """
    return [
        Unit(
            f"{system}, seed {seed}",
            {"system": system, "options": dict(options), "seed": seed, **settings},
            run,
            expected_seconds=expected_seconds,
        )
        for system, options in systems.items()
        for seed in seeds
    ]


def learn(
    settings: Settings,
    context: Context,
    images: ImageCollection,
    split: Split,
    *,
    test_images: ImageCollection | None = None,
    label_counts: Sequence[int] = (),
    n_draws: int = 5,
    on_disk: bool = False,
) -> tuple[TrainingResult, dict[str, Any]]:
    """Train and test as `striate train` does, and return the result with the numbers that every main job reports.

    Parameters
    ----------
    settings : mapping
        The settings of a unit from `units_of`.
    context : Context
    images, split, test_images, label_counts, n_draws
        As in `train_and_evaluate`; no learning curve by default.
    on_disk : bool
        Whether features are kept in the unit's folder instead of in memory.
    """
    started = time.perf_counter()
    result = train_and_evaluate(
        ImageClassifier(
            architecture=settings["architecture"], random_state=settings["seed"], **dict(settings["options"])
        ),
        images,
        split,
        test_images=test_images,
        label_counts=label_counts,
        n_draws=n_draws,
        folder=context.working_folder() if on_disk else None,
        progress=context.progress,
    )
    return result, {
        "accuracy": result.test.accuracy,
        "mean class accuracy": result.test.mean_class_accuracy,
        "n_train": result.n_train,
        "n_test": result.test.n_test,
        "seconds": time.perf_counter() - started,
        "peak memory, bytes": peak_memory_bytes(),
        "weight decay": result.classifier.classifier_.weight_decay_,
        "seconds by phase": {record.name: record.seconds for record in context.progress.records},
    }
