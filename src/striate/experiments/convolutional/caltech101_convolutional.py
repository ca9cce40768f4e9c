"""Stages of filters that are learned by convolution, on Caltech-101, beside the same stages learned from patches.

All is as in the column Rabs-N-PA of `caltech101-one-stage` and `caltech101-two-stage`: images, geometry, splits, the
classifier, and the number of pixels that filters are learned from. Only the learner differs, `PSD` or
`ConvolutionalPSD`. The filters are frozen; the talk's numbers for two stages are of filters that were refined by the
labels. The talk calls its results preliminary. The paper's own table has, as we recall it, 57.1 for one stage and 65.3
for two, 66.3 after refinement, which is the goal here.

One stage is measured with both encoders of the paper, tanh and smooth shrinkage; two stages with tanh.

References
----------
Kavukcuoglu, Sermanet, Boureau, Gregor, Mathieu, LeCun, "Learning convolutional feature hierarchies for visual
recognition", NIPS 2010.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, over, paired
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Unit
from striate.experiments.recognition.cells import ONE_STAGE, TWO_STAGES, measure_cell, notation_of

NAME = "caltech101-convolutional"
CLAIM = "Filters that are learned by convolution recognize objects better than filters of patches do."
DATA = {"quick": (), "full": ("caltech101",)}

SOURCE = "the talk's slide of preliminary results on Caltech-101"
_REFINED = f"{SOURCE}, where filters were refined by the labels"
SHRINKAGE = "one stage, smooth shrinkage"
STAGES = {"one stage": ("U", "C"), SHRINKAGE: ("U shrinkage", "C shrinkage"), "two stages": ("UU", "CC")}
"""The units with patches and by convolution: a protocol, see `striate.hierarchy.protocol`, and the nonlinearity."""
# Quick ones are smaller than those of the tables, since six cells are learned.
_GEOMETRY = {
    "full": {"one stage": ONE_STAGE["full"], "two stages": TWO_STAGES["full"]},
    "quick": {"one stage": [("8F5x5", "6x6/4")], "two stages": [("8F5x5", "4x4/3"), ("6F3x3:4", "2x2/2")]},
}
_PUBLISHED = {"U": 52.2, "C": 56.0, "U shrinkage": 53.0, "C shrinkage": 57.0, "UU": 65.5, "CC": 69.7}


def _accuracy(unit: str) -> Callable[[Results], list[float]]:
    return lambda results: [100 * value for value in results[unit]["accuracy"]]


def _gain(stages: str) -> Callable[[Results], Measurement]:
    """By convolution minus from patches, paired by split."""
    patches, convolutional = STAGES[stages]
    return lambda results: paired(_accuracy(convolutional)(results), _accuracy(patches)(results))


def _certainty(stages: str) -> Callable[[Results], Measurement]:
    """The gain in standard errors, in points if there is one split only."""

    def measure(results: Results) -> Measurement:
        found = _gain(stages)(results)
        assert found.value is not None
        errors = found.value / found.uncertainty if found.uncertainty else found.value
        return Measurement(errors, held=errors > 2)

    return measure


FIGURES = (
    Figure(
        what="one stage, patches, tanh",
        unit="%",
        better="higher",
        published=_PUBLISHED["U"],
        source=SOURCE,
        measure=_accuracy("U"),
    ),
    Figure(
        what="one stage, by convolution, tanh",
        unit="%",
        better="higher",
        published=_PUBLISHED["C"],
        source=SOURCE,
        goal=56.0,
        measure=_accuracy("C"),
    ),
    Figure(
        what="one stage, patches, smooth shrinkage",
        unit="%",
        better="higher",
        published=_PUBLISHED["U shrinkage"],
        source=SOURCE,
        measure=_accuracy("U shrinkage"),
    ),
    Figure(
        what="one stage, by convolution, smooth shrinkage",
        unit="%",
        better="higher",
        published=_PUBLISHED["C shrinkage"],
        source=SOURCE,
        goal=57.0,
        measure=_accuracy("C shrinkage"),
    ),
    Figure(
        what="two stages, patches, tanh",
        unit="%",
        better="higher",
        published=_PUBLISHED["UU"],
        source=_REFINED,
        goal=63.7,  # the paper's frozen stages, the goal of `caltech101-two-stage`
        measure=_accuracy("UU"),
    ),
    Figure(
        what="two stages, by convolution, tanh",
        unit="%",
        better="higher",
        published=_PUBLISHED["CC"],
        source=_REFINED,
        goal=66.3,
        measure=_accuracy("CC"),
    ),
    *(
        Figure(
            what=f"{stages}, by convolution minus patches",
            unit="points",
            better="higher",
            goal=2.0,
            measure=_gain(stages),
        )
        for stages in ("one stage", SHRINKAGE)
    ),
    *(
        Figure(
            what=f"{stages}, by convolution minus patches, in standard errors",
            better="higher",
            predicate="above 2: filters of whole images are better",
            measure=_certainty(stages),
        )
        for stages in STAGES
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return a unit per number of stages and learner, with all splits, since they share filters and features."""
    geometry = dict(_GEOMETRY[scale])
    geometry[SHRINKAGE] = [(f"{bank}SS", pool) for bank, pool in geometry["one stage"]]
    seconds = {"U": 150.0, "C": 300.0, "UU": 200.0, "CC": 400.0}
    return [
        Unit(
            name,
            {"protocol": (letters := name.split()[0]), "architecture": notation_of(geometry[stages], "Rabs-N-PA")},
            measure_cell,
            expected_seconds=seconds[letters],
        )
        for stages, both in STAGES.items()
        for name in both
    ]


def draw(results: Results, path: Path) -> None:
    """Draw both learners side by side for each number of stages, and published values as lines across."""
    canvas = new_canvas(6, 4)
    axes = canvas.subplots()
    colors = dict(zip(("patches", "by convolution"), ("#8fa8bf", "#1f3b5c"), strict=True))
    for place, both in enumerate(STAGES.values()):
        for shift, unit, color in zip((-0.2, 0.2), both, colors.values(), strict=True):
            found = over(_accuracy(unit)(results))
            axes.bar(place + shift, found.value, 0.36, yerr=found.uncertainty, color=color)
            axes.text(place + shift, 1, f"{found.value:.1f}", ha="center", fontsize=8, color="white")
            axes.plot([place + shift - 0.18, place + shift + 0.18], [_PUBLISHED[unit]] * 2, color="black")
    for name, color in colors.items():
        axes.bar(0, 0, color=color, label=name)
    axes.plot([], [], color="black", label="published, preliminary")
    axes.set_xticks(range(len(STAGES)), [name.replace(", ", ",\n") for name in STAGES])
    axes.set_ylabel("mean per-class accuracy, %")
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.12))
    save_canvas(canvas, path)
