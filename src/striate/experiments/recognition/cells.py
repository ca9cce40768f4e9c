"""Code for the experiments on Caltech-101: filters by a protocol, features extracted once, accuracy per split."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from striate.experiments.data.caltech101 import Task, load_task
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, above, over, paired
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.hierarchy import Hierarchy, extract_features, learn_filters
from striate.hierarchy.protocols import protocol
from striate.images import stream
from striate.learning import PSD, ConvolutionalPSD
from striate.recognition import SoftmaxClassifier
from striate.recognition.metrics import mean_class_accuracy
from striate.recognition.pyramid_match import PyramidMatchSVM

__all__ = [
    "COLUMNS", "ONE_STAGE", "TOLERANCE", "TWO_STAGES", "Table", "learned_hierarchy", "match", "measure_cell",
    "notation_of", "recognize",
]  # fmt: skip

FOR_FILTERS = 2000  # images that filters are learned from
QUICK_BATCHES = 40  # from which a stage's filters are learned at quick scale


def learned_hierarchy(task: Task, notation: str, letters: str, context: Context) -> Hierarchy:
    """An architecture with filters by a protocol, learned from images that are in no test set."""
    rng = np.random.default_rng([context.seed, 1])
    chosen = np.sort(rng.permutation(task.unseen)[:FOR_FILTERS])
    batches = stream(task.images, task.preprocessing, indices=chosen)
    sample = np.concatenate([batch for _, batch in batches])
    learners = protocol(letters)
    if context.scale == "quick":
        for learner in learners:
            if isinstance(learner, PSD | ConvolutionalPSD):
                learner.set_params(max_batches=QUICK_BATCHES)
    hierarchy, _ = learn_filters(
        Hierarchy(notation), sample, learners=learners, random_state=context.seed, progress=context.progress
    )
    return hierarchy


def recognize(task: Task, hierarchy: Hierarchy, context: Context, *, on_disk: bool = False) -> dict[str, Any]:
    """Extract features once; fit logistic regression for each split, with its weight decay by cross-validation.

    Parameters
    ----------
    on_disk : bool
        Whether features are kept in the unit's folder instead of in memory.

    Returns
    -------
    dict
        ``accuracy`` (mean over classes) and ``weight decay`` of each split, ``n_features``, ``ms`` per image.
    """
    started = time.perf_counter()
    folder = context.working_folder() if on_disk else None
    found = extract_features(task.images, task.preprocessing, hierarchy, folder=folder, progress=context.progress)
    rows = found.rows
    seconds = time.perf_counter() - started
    accuracy, decays = [], []
    for number, split in enumerate(task.splits):
        classifier = SoftmaxClassifier(calibrate=False, random_state=number)
        classifier.fit(rows[split.train], task.labels[split.train], progress=context.progress)
        accuracy.append(mean_class_accuracy(task.labels[split.test], classifier.predict(rows[split.test])))
        decays.append(classifier.weight_decay_)
    return {
        "accuracy": accuracy,
        "weight decay": decays,
        "n_features": int(rows.shape[1]),
        "ms": 1000 * seconds / len(rows),
    }


def match(task: Task, hierarchy: Hierarchy, n_words: int, context: Context) -> dict[str, Any]:
    """Extract features once; learn words and support vectors of each split from its training images."""
    rows = extract_features(task.images, task.preprocessing, hierarchy, progress=context.progress).rows
    maps = rows.reshape(len(rows), *hierarchy.output_shape(task.preprocessing.shape))
    accuracy = []
    for number, split in enumerate(task.splits):
        machine = PyramidMatchSVM(n_words, random_state=np.random.default_rng([context.seed, number]))
        machine.fit(maps[split.train], task.labels[split.train], progress=context.progress)
        accuracy.append(mean_class_accuracy(task.labels[split.test], machine.predict(maps[split.test])))
    return {"accuracy": accuracy}


COLUMNS = {
    "Rabs-N-PA": ("Rabs", "N", "PA"),
    "Rabs-PA": ("Rabs", "PA"),
    "N-PM": ("N", "PM"),
    "N-PA": ("N", "PA"),
    "PA": ("PA",),
}
"""The papers' columns: the layers that follow a filter bank, the same in all stages of a cell."""

ONE_STAGE = {"full": [("64F9x9", "10x10/5")], "quick": [("16F7x7", "6x6/4")]}
"""The filter bank of each stage and its pooling windows, for each scale."""

# The talk prints stride 3, but only stride 4 gives its 4×4 outputs and its number of parameters.
TWO_STAGES = {
    "full": [("64F9x9", "10x10/5"), ("256F9x9:16", "6x6/4")],
    "quick": [("16F5x5", "4x4/3"), ("32F3x3:4", "2x2/2")],
}

_MATCHED = (
    "Until November 2026 a cell only had to reach the published one: 63 for 46.7 read as met, not as a difference."
)
TOLERANCE = 3.0  # points between a cell and the published one that still count as the same result

_COLORS = dict(zip(COLUMNS, ("#1f3b5c", "#3f6f9f", "#b3541e", "#8fa8bf", "#c9c9c9"), strict=True))


@dataclass(frozen=True)
class Table:
    """A table of the papers: rows are protocols, columns the layers after a filter bank.

    A unit measures a cell, with all splits, since they share filters and features.

    Parameters
    ----------
    published : mapping of protocol to mapping of column to float
        Published accuracies in per cent. Other cells are not measured.
    source : str
    goals : mapping of protocol to float
        Goals for the column Rabs-N-PA, in per cent.
    stages : mapping of scale to sequence of (str, str)
        See `ONE_STAGE`.
    """

    published: Mapping[str, Mapping[str, float]]
    source: str
    goals: Mapping[str, float]
    stages: Mapping[str, Sequence[tuple[str, str]]]

    def architecture(self, column: str, scale: Scale) -> str:
        """Return a cell's architecture in the notation of `Hierarchy`."""
        return notation_of(self.stages[scale], column)

    def units(self, scale: Scale) -> list[Unit]:
        """Return a unit per cell."""
        return [
            Unit(
                f"{letters}, {column}",
                {"protocol": letters, "column": column, "architecture": self.architecture(column, scale)},
                measure_cell,
                expected_seconds=150.0,
            )
            for letters, row in self.published.items()
            for column in row
        ]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """A figure per cell that must match the published one, the goals, and the table's shape."""
        cells = [
            Figure(
                what=f"{letters}, {column}",
                unit="%",
                better="match",
                tolerance=TOLERANCE,
                published=value,
                source=f"{self.source}, row {letters}",
                history=(_MATCHED,),
                measure=_accuracy(letters, column),
            )
            for letters, row in self.published.items()
            for column, value in row.items()
        ]
        goals = [
            Figure(
                what=f"{letters} with rectification and normalization",
                unit="%",
                better="higher",
                goal=goal,
                measure=_accuracy(letters, "Rabs-N-PA"),
            )
            for letters, goal in self.goals.items()
        ]
        apart = Figure(
            what=f"cells that are more than {TOLERANCE:g} points from the published ones",
            better="lower",
            goal=0.0,
            measure=self._apart,
        )
        whole_rows = [letters for letters, row in self.published.items() if len(row) == len(COLUMNS)]
        shapes = (
            Figure(
                what="smallest lead of Rabs-N-PA over another column of its row, in standard errors",
                better="higher",
                predicate="above 2 in every row: rectification, normalization and averaging together are best",
                measure=lambda results: _smallest_lead(
                    results, whole_rows, ["Rabs-N-PA"], [column for column in COLUMNS if column != "Rabs-N-PA"]
                ),
            ),
            Figure(
                what="smallest lead of a column with Rabs or PM over PA and N-PA, in standard errors",
                better="higher",
                predicate="above 2 in every row: without rectification or a maximum, averaging cancels",
                measure=lambda results: _smallest_lead(
                    results, whole_rows, ["Rabs-N-PA", "Rabs-PA", "N-PM"], ["N-PA", "PA"]
                ),
            ),
        )
        return (*cells, apart, *goals, *shapes)

    def _apart(self, results: Results) -> float:
        means = [
            (float(np.mean(_accuracy(letters, column)(results))), value)
            for letters, row in self.published.items()
            for column, value in row.items()
        ]
        return float(sum(abs(mean - value) > TOLERANCE for mean, value in means))

    def draw(self, results: Results, path: Path) -> None:
        """Draw a group of bars per protocol, a bar per column, and published values as lines across."""
        canvas = new_canvas(9, 4)
        axes = canvas.subplots()
        rows = list(dict.fromkeys(unit.settings["protocol"] for unit in results))
        for unit in results:
            letters, column = unit.settings["protocol"], unit.settings["column"]
            found = over(_accuracy(letters, column)(results))
            assert found.value is not None
            place = rows.index(letters) + 0.16 * (list(COLUMNS).index(column) - 2)
            axes.bar(place, found.value, 0.14, yerr=found.uncertainty, color=_COLORS[column])
            axes.text(
                place, 1, f"{found.value:.1f}", ha="center", fontsize=7, color="white" if found.value > 8 else "black"
            )
            axes.plot([place - 0.08, place + 0.08], [self.published[letters][column]] * 2, color="black", linewidth=1.5)
        for column, color in _COLORS.items():
            axes.bar(0, 0, color=color, label=column)
        axes.plot([], [], color="black", linewidth=1.5, label="published")
        axes.set_xticks(range(len(rows)), rows)
        axes.set_ylabel("mean per-class accuracy, %")
        axes.legend(frameon=False, fontsize=8, ncols=6, loc="upper center", bbox_to_anchor=(0.5, 1.12))
        save_canvas(canvas, path)


def notation_of(stages: Sequence[tuple[str, str]], column: str) -> str:
    """Return an architecture: each stage's filter bank, and the layers of a column with its pooling windows."""
    layers: list[str] = []
    for bank, pool in stages:
        layers += [bank, *(layer + pool if layer in ("PA", "PM") else layer for layer in COLUMNS[column])]
    return " - ".join(layers)


def _accuracy(letters: str, column: str) -> Callable[[Results], list[float]]:
    def measure(results: Results) -> list[float]:
        (unit,) = results.select(protocol=letters, column=column)
        return [100 * value for value in results[unit.name]["accuracy"]]

    return measure


def _smallest_lead(results: Results, rows: Sequence[str], leaders: Sequence[str], others: Sequence[str]) -> Measurement:
    """Smallest ratio of a mean difference to its standard error, paired by split."""
    leads = []
    for letters in rows:
        for leader in leaders:
            for other in others:
                found = paired(_accuracy(letters, leader)(results), _accuracy(letters, other)(results))
                assert found.value is not None
                leads.append(found.value / found.uncertainty if found.uncertainty else found.value)
    return above([min(leads)], 2)


def measure_cell(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure one cell of a table: filters by its protocol, features of every image, accuracy of each split."""
    task = load_task(context)
    return recognize(task, learned_hierarchy(task, settings["architecture"], settings["protocol"], context), context)
