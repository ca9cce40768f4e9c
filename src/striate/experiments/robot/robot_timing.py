"""How long a robot's eye takes per frame, by phase, at a width of 620 pixels.

The published times are those of the talk's robot: 125 ms of preprocessing (stereo, ground and bands) and 52 ms of
online learning. Medians over the frames of a drive without the first three, in which kernels are compiled. Reading
files is left out of the whole loop: a robot gets its images from a camera.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.experiments.robot.sequences import FOLDERS, N_LEARNED, read_sequence
from striate.robot import PHASES, NearToFar, learn_features_of_drive, replay

NAME = "robot-timing"
CLAIM = "A robot's eye keeps up with four frames per second on two cores, learning included."
DATA = {"quick": (), "full": ("stereo",)}

_SOURCE = "the talk's slide on the robot's software"
_N_FIRST = 3
_LOOP = PHASES[1:]  # without reading
#: "rbf" is the quickest, "drlim" has the talk's network and is the default.
_EXTRACTORS = ("rbf", "drlim")


def _median(phases: tuple[str, ...], **which: Any) -> Callable[[Results], float]:
    """The median over frames, in milliseconds, of the sum of some phases."""

    def measure(results: Results) -> float:
        (found,) = results.select(**which).column("milliseconds")
        return float(np.median(np.sum([found[phase] for phase in phases], axis=0)))

    return measure


def _rate(**which: Any) -> Callable[[Results], float]:
    return lambda results: 1000 / _median(_LOOP, **which)(results)


FIGURES = tuple(
    figure
    for sequence, kind in (("village", "grey"), ("street", "color"))
    for figure in (
        Figure(
            what=f"{sequence} ({kind}): preprocessing",
            unit="ms",
            better="lower",
            published=125.0,
            source=_SOURCE,
            goal=125.0,
            measure=_median(("stereo", "bands"), sequence=sequence, extractor=_EXTRACTORS[0]),
        ),
        Figure(
            what=f"{sequence} ({kind}): online learning and prediction",
            unit="ms",
            better="lower",
            published=52.0,
            source=_SOURCE,
            goal=52.0,
            measure=_median(("learning",), sequence=sequence, extractor=_EXTRACTORS[0]),
        ),
        *(
            Figure(
                what=f"{sequence} ({kind}): whole loop, {extractor} features",
                unit="frames/s",
                better="higher",
                goal=4.0,
                measure=_rate(sequence=sequence, extractor=extractor),
            )
            for extractor in _EXTRACTORS
        ),
    )
)


def units(scale: Scale) -> list[Unit]:
    """Return the drives, each with two kinds of features."""
    full = scale == "full"
    return [
        Unit(
            f"{sequence}, {extractor}",
            {"sequence": sequence, "extractor": extractor, "n_learned": N_LEARNED if full else 1},
            measure_time,
            expected_seconds=40.0,
        )
        for sequence in (FOLDERS if full else ("village",))
        for extractor in (_EXTRACTORS if full else _EXTRACTORS[:1])
    ]


def measure_time(settings: Settings, context: Context) -> dict[str, Any]:
    """Drive once; milliseconds of every frame, by phase."""
    sequence = read_sequence(settings["sequence"], context)
    learned = learn_features_of_drive(
        sequence, settings["extractor"], n_frames=settings["n_learned"], progress=context.progress,
        random_state=context.seed,
    )  # fmt: skip
    times: dict[str, list[float]] = {phase: [] for phase in PHASES}
    with context.progress.phase("frames", total=len(sequence), unit="frames") as phase:
        for found in replay(sequence, NearToFar(learned.features), random_state=context.seed):
            if found.frame.index >= _N_FIRST:
                for name in PHASES:
                    times[name].append(round(1000 * found.seconds[name], 2))
            phase.advance()
    return {"milliseconds": times}


def draw(results: Results, path: Path) -> None:
    """Draw the median time of each phase, stacked, for each drive and kind of features."""
    canvas = new_canvas(9, 1.2 + 0.6 * len(results))
    axes = canvas.subplots()
    names = [unit.name for unit in results]
    left = np.zeros(len(names))
    for phase in _LOOP:
        median = np.array([float(np.median(results[name]["milliseconds"][phase])) for name in names])
        axes.barh(names, median, left=left, label=phase)
        left += median
    for rate, style in ((10, ":"), (4, "--")):
        axes.axvline(1000 / rate, color="black", lw=1.2, ls=style, label=f"{rate} frames/s")
    axes.invert_yaxis()
    axes.set_xlabel("median time per frame (ms), without reading files")
    axes.legend(fontsize=8, ncols=len(_LOOP) + 2, loc="lower center", bbox_to_anchor=(0.5, 1.06))
    save_canvas(canvas, path)
