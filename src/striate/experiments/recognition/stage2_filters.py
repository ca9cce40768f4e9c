"""The filters of two stages as they were learned without labels, and after refinement by the labels: the talk's image.

The network is that of `caltech101-refined` with rectification and normalization, refined for a fixed number of epochs
on the training images of one split. Nothing is held out and nothing is tested: the question is what happens to filters.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.analysis import fit_gabor
from striate.experiments.engine.drawing import new_canvas, pack, save_canvas, unpack
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.experiments.recognition.cells import TWO_STAGES, notation_of
from striate.experiments.recognition.refined_cell import checkpoint_of, frozen_system, refined_system
from striate.figures import filter_mosaic
from striate.hierarchy import Hierarchy

NAME = "stage2-filters"
CLAIM = "Refinement changes filters that were learned without labels by little: their form stays."
DATA = {"quick": (), "full": ("caltech101",)}

N_EPOCHS = {"full": 6, "quick": 2}
LEARNING_RATE = 0.01  # as in `caltech101-refined`
SHOWN = (64, 16)  # filters of each stage
GABOR = 0.8  # R² from which a filter counts as a Gabor function
STAGES = ("first", "second")


def _median(stage: str) -> Callable[[Results], Measurement]:
    """The median cosine of a filter with itself before refinement, and whether it is above 0.8."""

    def measure(results: Results) -> Measurement:
        (of_all,) = results.column(f"cosine, {stage} stage")
        value = float(np.median(of_all))
        return Measurement(value, held=value > 0.8)

    return measure


def _further(results: Results) -> Measurement:
    first, second = (_median(stage)(results).value for stage in STAGES)
    assert first is not None
    assert second is not None
    return Measurement(second - first, held=second < first)


def _gabors(results: Results) -> Measurement:
    """Points by which the share of Gabor functions among filters of the first stage has changed."""
    (before,), (after,) = (results.column(f"fit of a Gabor function, {when}") for when in ("before", "after"))
    share = [100 * float(np.mean(np.array(fits) >= GABOR)) for fits in (before, after)]
    return Measurement(share[1] - share[0], held=share[1] - share[0] > -10)


FIGURES = (
    *(
        Figure(
            what=f"cosine of a filter with itself before refinement, {stage} stage, median",
            better="higher",
            predicate="above 0.8: filters keep their form",
            measure=_median(stage),
        )
        for stage in STAGES
    ),
    Figure(
        what="median cosine of the second stage minus that of the first",
        better="lower",
        predicate="below 0: labels change the second stage more than the first",
        measure=_further,
    ),
    Figure(
        what=f"Gabor functions (R² of {GABOR} or more) among filters of the first stage, after minus before",
        unit="points",
        better="higher",
        predicate="above −10: they stay edge detectors",
        measure=_gabors,
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return the one unit."""
    settings = {
        "protocol": "UU", "split": 0, "architecture": notation_of(TWO_STAGES[scale], "Rabs-N-PA"),
        "n_epochs": N_EPOCHS[scale], "learning_rate": LEARNING_RATE,
    }  # fmt: skip
    return [Unit("U+U+, split 0", settings, compare_filters, 900.0, checkpoints=True)]


def compare_filters(settings: Settings, context: Context) -> dict[str, Any]:
    """Refine a network, and return its filters before and after."""
    checkpoint = checkpoint_of(settings, context)
    before = frozen_system(settings, context)
    found = refined_system(before, settings, {"validation_fraction": 0.0}, checkpoint, context)
    checkpoint.remove()
    learned, refined = _filters(before.hierarchy), _filters(found.hierarchy)
    result: dict[str, Any] = {"steps": found.n_steps}
    for stage, n_shown, old, new in zip(STAGES, SHOWN, learned, refined, strict=True):
        result[f"cosine, {stage} stage"] = np.round(cosines(old, new), 4)
        result[f"change, {stage} stage"] = float(np.linalg.norm(new - old) / np.linalg.norm(old))
        for when, filters in (("before", old), ("after", new)):
            image = filter_mosaic(filters[:n_shown], scale=1)
            result[f"{stage} stage, {when}"] = {"shape": list(image.shape), "pixels": pack(image)}
    for when, filters in (("before", learned[0]), ("after", refined[0])):
        result[f"fit of a Gabor function, {when}"] = np.round(
            np.nan_to_num(fit_gabor(filters[:, 0], random_state=0).r_squared), 3
        )
    return result


def cosines(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """The cosine of each filter with that of the same number, all maps together.

    Parameters
    ----------
    first, second : (n_filters, fan_in, height, width)

    Returns
    -------
    float64 (n_filters,)
    """
    one, other = (filters.reshape(len(filters), -1).astype(np.float64) for filters in (first, second))
    made: NDArray[np.float64] = np.sum(one * other, axis=1)
    return made / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))


def _filters(hierarchy: Hierarchy) -> list[NDArray[np.float32]]:
    return [bank.filters for bank in hierarchy.filter_banks if bank.filters is not None]


def draw(results: Results, path: Path) -> None:
    """Draw filters of both stages before and after."""
    (result,) = (results[unit.name] for unit in results)
    canvas = new_canvas(9, 9)
    for row, stage in zip(canvas.subplots(2, 2), STAGES, strict=True):
        cosine = float(np.median(result[f"cosine, {stage} stage"]))
        for axes, when, title in zip(
            row, ("before", "after"), ("learned without labels", f"refined, cosine {cosine:.2f}"), strict=True
        ):
            image = result[f"{stage} stage, {when}"]
            axes.imshow(unpack(image["pixels"], image["shape"]), cmap="gray", vmin=0, vmax=255, interpolation="none")
            axes.set_title(f"{stage} stage, {title}", fontsize=10)
            axes.set_axis_off()
    save_canvas(canvas, path)
