"""Predicted codes of whole images beside steps of FISTA: how near one convolution comes to the optimum.

The encoders of `ConvolutionalPSD` are measured by the objective of their maps on held-out crops, without the prediction
term, and compared with that of the optimal maps, of maps that are 0, and of maps after some steps of FISTA from 0. A
prediction may also be the start of such steps: LISTA, whose later steps are learned too, is not measured here.

References
----------
Kavukcuoglu, Sermanet, Boureau, Gregor, Mathieu, LeCun, "Learning convolutional feature hierarchies for visual
recognition", NIPS 2010, section 2.2. Gregor, LeCun, "Learning fast approximations of sparse coding", ICML 2010, for the
comparison with FISTA.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from striate.experiments.convolutional.held_out import HeldOutCrops, learned_psd
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, above, below
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit

NAME = "convolutional-lista"
CLAIM = "A convolution and a nonlinearity predict the codes of an image better than the first steps of FISTA find them."
DATA = {"quick": (), "full": ("berkeley",)}

ENCODERS = ("tanh", "smooth shrinkage")
SIZES = {"quick": {"few": 4, "many": 8}, "full": {"few": 16, "many": 64}}
FILTERS = {"few": "16 filters", "many": "64 filters"}  # their names in the figures
STEPS = {
    "quick": (0, 1, 3, 10),
    "full": (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 70, 100),
}
FEW_STEPS = 3


def _found(results: Results, encoder: str, size: str) -> Any:
    (unit,) = results.select(encoder=encoder, size=size)
    return results[unit.name]


def _over_optimal(encoder: str, size: str) -> Callable[[Results], Measurement]:
    """Objective of the prediction over the optimum; it holds if the prediction is better than no code at all."""

    def measure(results: Results) -> Measurement:
        found = _found(results, encoder, size)
        return Measurement(found["predicted"] / found["optimal"], held=found["predicted"] < found["empty"])

    return measure


def _steps_saved(encoder: str, size: str) -> Callable[[Results], Measurement]:
    """The fewest of the measured steps from 0 that are as good as the prediction; the most, if none is."""

    def measure(results: Results) -> Measurement:
        found = _found(results, encoder, size)
        steps = STEPS[results.scale]
        equal = (n for n, value in zip(steps, found["from 0"], strict=True) if value <= found["predicted"])
        return above([float(next(equal, steps[-1]))], 1)

    return measure


def _after_few(encoder: str, size: str) -> Callable[[Results], Measurement]:
    """What a few steps from the prediction leave above the optimum, over what as many from 0 leave."""

    def measure(results: Results) -> Measurement:
        found, place = _found(results, encoder, size), STEPS[results.scale].index(FEW_STEPS)
        predicted, empty = (found[start][place] - found["optimal"] for start in ("from the prediction", "from 0"))
        return below([predicted / empty], 1)

    return measure


def _shrinkage_over_tanh(size: str) -> Callable[[Results], Measurement]:
    """Ratio of what the predictions leave above the optima of their own filters."""

    def measure(results: Results) -> Measurement:
        tanh, shrinkage = (_found(results, encoder, size) for encoder in ENCODERS)
        excess = [found["predicted"] / found["optimal"] - 1 for found in (shrinkage, tanh)]
        return below([excess[0] / excess[1]], 1)

    return measure


_KINDS: tuple[tuple[str, Any, str, Callable[[str, str], Callable[[Results], Measurement]]], ...] = (
    (
        "objective of the prediction over the optimal one",
        "lower",
        "the prediction is better than maps of zeros",
        _over_optimal,
    ),
    (
        "steps of FISTA from zeros that are as good as the prediction",
        "higher",
        "above 1: the prediction is better than a step",
        _steps_saved,
    ),
    (
        f"distance to the optimal objective after {FEW_STEPS} steps from the prediction, over that from zeros",
        "lower",
        "below 1: the prediction is the better start",
        _after_few,
    ),
)

FIGURES = (
    *(
        Figure(
            what=f"{what}, {encoder}, {name}",
            better=better,
            predicate=predicate,
            measure=measure(encoder, size),
        )
        for what, better, predicate, measure in _KINDS
        for encoder in ENCODERS
        for size, name in FILTERS.items()
    ),
    *(
        Figure(
            what=f"distance to the optimal objective, smooth shrinkage over tanh, {name}",
            better="lower",
            predicate="below 1: an encoder that is nearly 0 where codes are 0 predicts them better",
            measure=_shrinkage_over_tanh(size),
        )
        for size, name in FILTERS.items()
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return a unit per encoder and number of filters."""
    full = scale == "full"
    common = {"side": 9 if full else 5, "batches": 3000 if full else 20, "n_crops": 16 if full else 4,
              "crop": 57 if full else 20, "steps": list(STEPS[scale])}  # fmt: skip
    return [
        Unit(
            f"{encoder}, {n} filters",
            {"encoder": encoder, "size": size, "n_filters": n, **common},
            compare_with_steps,
            expected_seconds=80 + 6.0 * n,
        )
        for encoder in ENCODERS
        for size, n in SIZES[scale].items()
    ]


def compare_with_steps(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure objectives: of the optimum, the prediction, zeros, and steps of FISTA from both."""
    learner = learned_psd(settings, context)
    crops = HeldOutCrops.drawn(learner, context, n_crops=settings["n_crops"], side=settings["crop"])
    found: dict[str, Any] = {
        "optimal": crops.optimum()[1],
        "predicted": crops.objective(crops.predicted),
        "empty": crops.objective(np.zeros_like(crops.predicted)),
    }
    starts = {"from 0": None, "from the prediction": crops.predicted}
    with context.progress.phase("FISTA", total=2 * len(settings["steps"]), unit="curves") as phase:
        for name, start in starts.items():
            found[name] = []
            for n in settings["steps"]:
                found[name].append(crops.after_steps(n, start))
                phase.advance()
    return found


def draw(results: Results, path: Path) -> None:
    """Draw the distance to the optimum against steps, from zeros and from predictions, a panel per size."""
    canvas = new_canvas(9, 4)
    steps = STEPS[results.scale]
    panels = canvas.subplots(1, len(FILTERS), sharey=True)
    for axes, size in zip(panels, FILTERS, strict=True):
        for encoder, color in zip(ENCODERS, ("#1f3b5c", "#b3541e"), strict=True):
            found = _found(results, encoder, size)
            for start, style in (("from 0", ":"), ("from the prediction", "-")):
                excess = [max(value / found["optimal"] - 1, 1e-5) for value in found[start]]
                axes.plot(steps, excess, style, color=color, marker="o", markersize=3, label=f"{encoder}, {start}")
        axes.set_xscale("symlog")
        axes.set_yscale("log")
        axes.set_xlabel("steps of FISTA")
        (n_filters,) = {unit.settings["n_filters"] for unit in results.select(size=size)}
        axes.set_title(f"{n_filters} filters", fontsize=9)
    panels[0].set_ylabel("objective over the optimal one, minus 1")
    panels[0].legend(fontsize=8, frameon=False)
    save_canvas(canvas, path)
