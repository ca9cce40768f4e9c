"""Error against the number of labels: random, learned and refined filters, with and without normalization.

The form of the talk's curve for small NORB. A unit measures one kind of filters from one number of labels, frozen and
refined on the same draws, so that differences are paired. Few labels leave none to hold out: all are learned from, for
a number of steps that was fixed before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.checkpoint import Checkpoint
from striate.experiments.data.views import load_views
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, holding, over, paired
from striate.experiments.engine.results import NotRunError, Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.hierarchy import Hierarchy, extract_features, learn_filters
from striate.hierarchy.protocols import protocol
from striate.images import Preprocessing, stream
from striate.recognition import RefinementOptions, SoftmaxClassifier, refine

__all__ = ["Curve", "measure_labels", "n_epochs_for"]

ARCHITECTURE = {
    "full": "32F7x7 - Rabs - N - PA6x6/4 - 128F5x5 - Rabs - N5x5 - PA4x4/2",
    "quick": "16F5x5 - Rabs - N5x5 - PA4x4/2 - 32F3x3 - Rabs - N3x3 - PA2x2/2",
}
SIDE = {"full": 64, "quick": 28}
FOR_FILTERS = 2000  # images that filters are learned from, without labels

# At least so many epochs, and so many steps. They and the step size are to be chosen on development draws (seeds 100 to
# 102), of which no other draw uses the labels.
BATCH = 32
FEWEST_EPOCHS = 10
FEWEST_STEPS = {"full": 400, "quick": 10}
LEARNING_RATE = 0.01

_LETTERS = {"UU": "learned", "RR": "random"}
_WORDS = {True: "normalized", False: "not normalized"}
_COLORS = {"UU": "#1f3b5c", "RR": "#b3541e"}


@dataclass(frozen=True)
class Curve:
    """An experiment on one data set.

    Parameters
    ----------
    data : str
        As `load_views` takes it.
    counts : mapping of scale to sequence of int
        Labels per class.
    draws : mapping of scale to int
        Draws of them; one where all images are taken.
    of_all : Figure, optional
        Of the error that was published for all labels.
    """

    data: str
    counts: Mapping[str, Sequence[int]]
    draws: Mapping[str, int]
    of_all: Figure | None = None

    def units(self, scale: Scale) -> list[Unit]:
        """Return a unit for each kind of filters, with and without normalization, and number of labels."""
        return [
            Unit(
                f"{letters}, {_WORDS[normalized]}, {count} labels per class",
                {
                    "data": self.data, "protocol": letters, "normalized": normalized, "count": count,
                    "architecture": _architecture(scale, normalized=normalized), "draws": self.draws[scale],
                    "steps": FEWEST_STEPS[scale], "learning_rate": LEARNING_RATE,
                },
                measure_labels,
                expected_seconds=300.0,
                checkpoints=True,
            )
            for count in self.counts[scale]
            for letters in _LETTERS
            for normalized in (True, False)
        ]  # fmt: skip

    @property
    def figures(self) -> tuple[Figure, ...]:
        """What the talk's curve shows, as predicates."""
        gains = [
            Figure(
                what=f"error of {name} filters frozen minus refined, {of_counts}",
                unit="points",
                better="higher",
                predicate="above 0 by two standard errors: refinement helps",
                measure=_helps(letters, number),
            )
            for letters, name in _LETTERS.items()
            for number, of_counts in ((-1, "most labels"), (0, "fewest labels"))
        ]
        merging = [
            Figure(
                what=f"error of refined random filters minus that of refined learned ones, {of_counts}",
                unit="points",
                better="higher",
                predicate=predicate,
                measure=_of_learning(number, holds),
            )
            for number, of_counts, predicate, holds in (
                (
                    0,
                    "fewest labels",
                    "above 0 by two standard errors: with few labels, learning without them helps",
                    lambda mean, error: mean > 2 * error,
                ),
                (-1, "most labels", "within 1 point: with many labels, the curves meet", lambda mean, _: abs(mean) < 1),
            )
        ]
        normalizing = [
            Figure(
                what=f"error without normalization minus that with it, refined {name} filters",
                unit="points",
                better="higher",
                predicate="above 0 from every number of labels",
                measure=_of_normalization(letters),
            )
            for letters, name in _LETTERS.items()
        ]
        return (*gains, *merging, *normalizing, *([self.of_all] if self.of_all else []))

    def draw(self, results: Results, path: Path) -> None:
        """Draw the error against the number of labels."""
        canvas = new_canvas(7, 4.5)
        axes = canvas.subplots()
        counts = _counts(results)
        for letters, name in _LETTERS.items():
            for normalized, words in _WORDS.items():
                for key, refined in (("errors before", "frozen"), ("errors", "refined")):
                    rows = [
                        over(errors_of(results, letters, count, normalized=normalized, key=key)) for count in counts
                    ]
                    axes.errorbar(
                        counts, [row.value for row in rows], [row.uncertainty or 0.0 for row in rows],
                        color=_COLORS[letters], linestyle="-" if normalized else "--",
                        marker="o" if refined == "refined" else "x", label=f"{name}, {refined}, {words}",
                    )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.set_xlabel("labeled images per class")
        axes.set_ylabel("error, %")
        axes.legend(frameon=False, fontsize=8)
        save_canvas(canvas, path)


def errors_of(
    results: Results, letters: str, count: int, *, normalized: bool = True, key: str = "errors"
) -> list[float]:
    """Return errors in per cent, one per draw."""
    (errors,) = results.select(protocol=letters, normalized=normalized, count=count).column(key)
    return [100 * value for value in errors]


def _counts(results: Results) -> list[int]:
    """The numbers of labels, fewest first."""
    counts = sorted({unit.settings["count"] for unit in results})
    if not counts:
        raise NotRunError("there are no units")
    return counts


def _helps(letters: str, number: int) -> Callable[[Results], Measurement]:
    """Error before minus after refinement, paired by draw, for one of the numbers of labels."""

    def measure(results: Results) -> Measurement:
        count = _counts(results)[number]
        frozen = errors_of(results, letters, count, key="errors before")
        return holding(paired(frozen, errors_of(results, letters, count)), lambda mean, error: mean > 2 * error)

    return measure


def _of_learning(number: int, holds: Callable[[float, float], bool]) -> Callable[[Results], Measurement]:
    """Error of refined random filters minus that of refined learned ones, paired by draw."""

    def measure(results: Results) -> Measurement:
        count = _counts(results)[number]
        return holding(paired(errors_of(results, "RR", count), errors_of(results, "UU", count)), holds)

    return measure


def _of_normalization(letters: str) -> Callable[[Results], Measurement]:
    """Mean over draws and numbers of labels; it holds if that over draws is positive for each number of labels."""

    def measure(results: Results) -> Measurement:
        gains = np.array(
            [
                np.subtract(errors_of(results, letters, count, normalized=False), errors_of(results, letters, count))
                for count in _counts(results)
            ]
        )
        return replace(over(gains.mean(axis=0)), held=bool((gains.mean(axis=1) > 0).all()))

    return measure


def _architecture(scale: str, *, normalized: bool) -> str:
    layers = ARCHITECTURE[scale].split(" - ")
    return " - ".join(layer for layer in layers if normalized or not layer.startswith("N"))


def n_epochs_for(n_labels: int, n_steps: int) -> int:
    """Return the epochs that make at least `n_steps` steps, and no fewer than `FEWEST_EPOCHS`."""
    return max(FEWEST_EPOCHS, -(-n_steps // -(-n_labels // BATCH)))


def measure_labels(settings: Settings, context: Context) -> dict[str, Any]:
    """Learn filters without labels, then a classifier on them, then refine both, for each draw of labels."""
    views = load_views(context, settings["data"])
    side = SIDE[context.scale]
    preprocessing = Preprocessing((side, side))
    chosen = views.pool[:FOR_FILTERS]
    prepared = np.concatenate([batch for _, batch in stream(views.images, preprocessing, indices=chosen)])
    hierarchy, _ = learn_filters(
        Hierarchy(settings["architecture"]), prepared, learners=protocol(settings["protocol"]),
        random_state=context.seed, progress=context.progress,
    )  # fmt: skip
    del prepared
    rows = extract_features(views.images, preprocessing, hierarchy, progress=context.progress).rows
    checkpoint = Checkpoint(context.working_folder() / "refinement", {"settings": dict(settings), "seed": context.seed})
    before, after = [], []
    for number in range(settings["draws"]):
        rng = np.random.default_rng([context.seed, settings["count"], number])
        train, test = views.draw(settings["count"], rng)
        classifier = SoftmaxClassifier(random_state=number)
        classifier.fit(rows[train], views.labels[train], progress=context.progress)
        before.append(_error(views.labels[test], classifier.predict(rows[test])))
        options = RefinementOptions(
            n_epochs=n_epochs_for(len(train), settings["steps"]), batch_size=BATCH,
            learning_rate=settings["learning_rate"], validation_fraction=0.0, random_state=number,
        )  # fmt: skip
        found = refine(
            hierarchy, classifier, views.images.subset(train), views.labels[train], preprocessing, options,
            features=rows[train], checkpoint=checkpoint.part(f"draw-{number}"), progress=context.progress,
        )  # fmt: skip
        refined = extract_features(
            views.images, preprocessing, found.hierarchy, indices=test, name="refined features",
            progress=context.progress,
        )  # fmt: skip
        after.append(_error(views.labels[test], found.classifier.predict(refined.rows)))
    checkpoint.remove()
    return {"errors": after, "errors before": before}


def _error(labels: NDArray[np.int64], predicted: NDArray[Any]) -> float:
    return float(np.mean(predicted != labels))
