"""Accuracy on Caltech-101 as a function of the number of filters, 4 to 512, learned and random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from striate.experiments.data.caltech101 import load_task
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, holding, paired
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.experiments.recognition.cells import learned_hierarchy, recognize

NAME = "caltech101-filter-count"
CLAIM = "Accuracy rises with the number of filters, and learning helps most if there are few."
DATA = {"quick": (), "full": ("caltech101",)}

COUNTS = {"full": (4, 8, 16, 32, 64, 128, 256, 512), "quick": (4, 16)}
PROTOCOLS = ("U", "R")


def _rising(results: Results) -> Measurement:
    """Return the fraction of steps from one number of filters to the next at which the mean accuracy rises."""
    steps = [
        step > 0
        for letters in PROTOCOLS
        for step in np.diff([float(np.mean(row)) for row in results.select(protocol=letters).column("accuracy")])
    ]
    return Measurement(100 * float(np.mean(steps)), held=float(np.mean(steps)) >= 0.8)


def _gain_with_few(results: Results) -> Measurement:
    """Return the gain by learning with the fewest filters minus that with the most, paired by split."""
    learned, random = (100 * np.array(results.select(protocol=letters).column("accuracy")) for letters in PROTOCOLS)
    gains = learned - random
    return holding(paired(gains[0], gains[-1]), lambda mean, error: mean > 2 * error)


FIGURES = (
    Figure(
        what="steps from one number of filters to the next at which accuracy rises",
        unit="%",
        better="higher",
        predicate="at least 80 %: more filters are better",
        measure=_rising,
    ),
    Figure(
        what="gain by learning with the fewest filters minus that with the most",
        unit="points",
        better="higher",
        predicate="above 0 by two standard errors: learning is worth most where filters are few",
        measure=_gain_with_few,
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return a unit per number of filters and protocol."""
    rest = "Rabs - N - PA10x10/5" if scale == "full" else "Rabs - N - PA6x6/4"
    side = 9 if scale == "full" else 7
    return [
        Unit(
            f"{letters}, {n} filters",
            {"protocol": letters, "n": n, "architecture": f"{n}F{side}x{side} - {rest}"},
            count,
            expected_seconds=60 + n,
        )
        for letters in PROTOCOLS
        for n in COUNTS[scale]
    ]


def count(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure the accuracy of each split; features of many filters are stored on disk."""
    task = load_task(context)
    hierarchy = learned_hierarchy(task, settings["architecture"], settings["protocol"], context)
    return recognize(task, hierarchy, context, on_disk=settings["n"] > 128)


def draw(results: Results, path: Path) -> None:
    """Draw accuracy against the number of filters."""
    canvas = new_canvas(6, 4)
    axes = canvas.subplots()
    for letters, name in zip(PROTOCOLS, ("learned by PSD", "random"), strict=True):
        chosen = results.select(protocol=letters)
        rows = 100 * np.array(chosen.column("accuracy"))
        error = rows.std(axis=1, ddof=1) / np.sqrt(rows.shape[1]) if rows.shape[1] > 1 else None
        axes.errorbar([unit.settings["n"] for unit in chosen], rows.mean(axis=1), error, marker="o", label=name)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("filters")
    axes.set_ylabel("mean per-class accuracy, %")
    axes.legend(frameon=False)
    save_canvas(canvas, path)
