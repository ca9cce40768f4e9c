"""A cell of the tables before and after refinement, on one split of Caltech-101."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.checkpoint import Checkpoint
from striate.experiments.data.caltech101 import Split, Task, load_task
from striate.experiments.engine.unit import Context, Settings
from striate.experiments.recognition.cells import learned_hierarchy
from striate.hierarchy import Hierarchy, extract_features
from striate.recognition import Refined, RefinementOptions, SoftmaxClassifier, refine
from striate.recognition.metrics import mean_class_accuracy

__all__ = ["FrozenSystem", "checkpoint_of", "frozen_system", "refined_system", "accuracy_on_test"]


@dataclass(frozen=True)
class FrozenSystem:
    """A system of the tables on one split, before refinement.

    Attributes
    ----------
    task : Task
    split : Split
    hierarchy : Hierarchy
        With filters that all splits of the task share.
    features : float32 (n_training_images, n_features)
    classifier : SoftmaxClassifier
        Fitted to them.
    """

    task: Task
    split: Split
    hierarchy: Hierarchy
    features: NDArray[np.float32]
    classifier: SoftmaxClassifier


def frozen_system(settings: Settings, context: Context) -> FrozenSystem:
    """Return a cell with the same filters and classifier as in the tables, on the split of the settings.

    Its classifier differs from that of the tables only in its temperature, which changes no predicted class.
    """
    task = load_task(context)
    split = task.splits[settings["split"]]
    hierarchy = learned_hierarchy(task, settings["architecture"], settings["protocol"], context)
    found = extract_features(task.images, task.preprocessing, hierarchy, indices=split.train, progress=context.progress)
    classifier = SoftmaxClassifier(random_state=settings["split"])
    classifier.fit(found.rows, task.labels[split.train], progress=context.progress)
    return FrozenSystem(task, split, hierarchy, found.rows, classifier)


def refined_system(
    before: FrozenSystem,
    settings: Settings,
    options: Mapping[str, Any],
    checkpoint: Checkpoint | None,
    context: Context,
) -> Refined:
    """Refine the filters of a system, and a classifier on them, by the training images of its split.

    Parameters
    ----------
    before : FrozenSystem
    settings : mapping
        Those of the unit: ``split``, ``n_epochs`` and ``learning_rate``.
    options : mapping
        More of `RefinementOptions`.
    checkpoint : Checkpoint, optional
    context : Context
    """
    task, train, split = before.task, before.split.train, settings["split"]
    schedule = {name: settings[name] for name in ("n_epochs", "learning_rate")}
    return refine(
        before.hierarchy,
        before.classifier,
        task.images.subset(train),
        task.labels[train],
        task.preprocessing,
        RefinementOptions(**schedule, **options, random_state=split),
        features=before.features,
        checkpoint=checkpoint,
        progress=context.progress,
    )


def accuracy_on_test(
    before: FrozenSystem, hierarchy: Hierarchy, classifier: SoftmaxClassifier, context: Context
) -> float:
    """Return the mean over classes of the accuracy on the test images."""
    task, test = before.task, before.split.test
    found = extract_features(
        task.images, task.preprocessing, hierarchy, indices=test, name="features of test images",
        progress=context.progress,
    )  # fmt: skip
    return mean_class_accuracy(task.labels[test], classifier.predict(found.rows))


def checkpoint_of(settings: Settings, context: Context) -> Checkpoint:
    """Return where a unit's refinement is saved."""
    return Checkpoint(context.working_folder() / "refinement", {"settings": dict(settings), "seed": context.seed})
