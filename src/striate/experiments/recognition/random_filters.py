"""Why random filters work: optimal stimuli of their stages, and how their accuracy predicts that of learned ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from striate.analysis.optimal_stimuli import grating_share, optimal_stimuli
from striate.experiments.data.caltech101 import load_task
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.experiments.recognition.cells import learned_hierarchy, recognize

NAME = "random-filters"
CLAIM = (
    "Stages of random filters prefer oriented gratings as learned ones do; the architecture decides how good both are."
)
DATA = {"quick": (), "full": ("caltech101",)}

# Without normalization, whose divisor would be determined by pixels outside of most filters.
STAGE = {"full": "64F9x9 - Rabs - PA10x10/5", "quick": "8F7x7 - Rabs - PA6x6/4"}
SIDE = {"full": 18, "quick": 12}  # pixels of a stimulus: the receptive field of one pooled unit
# One stage of 32 filters in 12 architectures.
ARCHITECTURES = {
    "full": tuple(
        f"32F{size}x{size} - {rest}"
        for size in (5, 9, 13)
        for rest in ("Rabs - N - PA10x10/5", "Rabs - PA10x10/5", "N - PM10x10/5", "N - PA10x10/5")
    ),
    "quick": ("8F5x5 - Rabs - N5x5 - PA6x6/4", "8F5x5 - N5x5 - PA6x6/4"),
}


def _gratings(letters: str) -> Any:
    """Return the median fraction of a stimulus's power in one grating, compared with that of noise."""

    def measure(results: Results) -> Measurement:
        (unit,) = results.select(kind="stimuli", protocol=letters)
        row = results[unit.name]
        value = float(np.median(row["grating share"]))
        return Measurement(value, held=value > 3 * row["of noise"])

    return measure


def _correlation(results: Results) -> Measurement:
    """Return the correlation of the mean accuracies of learned and random filters over architectures."""
    learned, random = (
        [float(np.mean(row)) for row in results.select(kind="accuracy", protocol=letters).column("accuracy")]
        for letters in ("U", "R")
    )
    value = float(np.corrcoef(learned, random)[0, 1])
    return Measurement(value, held=value > 0.8)


FIGURES = (
    *(
        Figure(
            what=f"share of one grating in what a unit of {name} filters likes best",
            better="higher",
            predicate="more than three times that of noise",
            measure=_gratings(letters),
        )
        for letters, name in (("R", "random"), ("U", "learned"))
    ),
    Figure(
        what="correlation of the accuracies of learned and random filters over architectures",
        better="higher",
        predicate="above 0.8: random filters tell which architecture to learn filters for",
        measure=_correlation,
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return the stimuli of both protocols, and the accuracy of every architecture with both."""
    stimuli = [
        Unit(f"stimuli, {letters}", {"kind": "stimuli", "protocol": letters, "architecture": STAGE[scale]}, ascend)
        for letters in ("R", "U")
    ]
    accuracy = [
        Unit(
            f"{letters}, {architecture}",
            {"kind": "accuracy", "protocol": letters, "architecture": architecture},
            recognize_one_split,
            expected_seconds=60.0,
        )
        for letters in ("R", "U")
        for architecture in ARCHITECTURES[scale]
    ]
    return stimuli + accuracy


def ascend(settings: Settings, context: Context) -> dict[str, Any]:
    """Find the optimal stimulus of a unit of each map, and how much of it is a grating."""
    hierarchy = learned_hierarchy(load_task(context), settings["architecture"], settings["protocol"], context)
    side = SIDE[context.scale]
    full = context.scale == "full"
    found = optimal_stimuli(hierarchy, (1, side, side), n_steps=200 if full else 20, n_starts=8 if full else 1)
    noise = np.random.default_rng(0).standard_normal((200, side, side))
    return {
        "grating share": grating_share(found.stimuli[:, 0]),
        "of noise": float(np.median(grating_share(noise))),
        "gain": float(np.median(found.responses[-1] / np.abs(found.responses[0]))),
        "stimuli": np.round(found.stimuli[:16, 0], 2),
    }


def recognize_one_split(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure the accuracy on one split."""
    task = load_task(context, splits=(0,))
    hierarchy = learned_hierarchy(task, settings["architecture"], settings["protocol"], context)
    return recognize(task, hierarchy, context)


def draw(results: Results, path: Path) -> None:
    """Draw some stimuli of both protocols, and the accuracy of learned against random filters."""
    canvas = new_canvas(11, 4)
    parts = canvas.subplots(1, 3)
    for axes, letters, name in zip(parts, ("R", "U"), ("random", "learned"), strict=False):
        chosen = results.select(kind="stimuli", protocol=letters)
        if len(chosen):
            stimuli = np.array(chosen.column("stimuli")[0])
            n, height, width = stimuli.shape
            columns = 4
            rows = -(-n // columns)
            mosaic = np.zeros((rows * (height + 1), columns * (width + 1)))
            for k, one in enumerate(stimuli):
                top, left = k // columns * (height + 1), k % columns * (width + 1)
                mosaic[top : top + height, left : left + width] = one / np.abs(one).max()
            axes.imshow(mosaic, cmap="gray", vmin=-1, vmax=1)
        axes.set_title(f"what {name} stages like best", fontsize=10)
        axes.set_axis_off()
    pairs = [results.select(kind="accuracy", protocol=letters) for letters in ("R", "U")]
    if len(pairs[0]) == len(pairs[1]):
        random, learned = ([100 * float(np.mean(row)) for row in chosen.column("accuracy")] for chosen in pairs)
        parts[2].scatter(random, learned, s=14)
    parts[2].set_xlabel("accuracy, random filters, %")
    parts[2].set_ylabel("accuracy, learned filters, %")
    save_canvas(canvas, path)
