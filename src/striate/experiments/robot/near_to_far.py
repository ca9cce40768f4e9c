"""Near to far: a classifier that learns from stereo's labels nearby, while driving, and what it sees beyond them.

Features are learned from the first five frames of a drive, by each of the talk's seven extractors. The classifier then
learns from every frame's windows up to 12 m, after it has predicted all of them. Windows beyond 12 m are judged by what
stereo says about the same places when they are near, some frames later. A drive of 60 m shows few places at 35–60 m for
a second time, and that of the street, of 29 m, none that are judged.

The village's frames before the 20th chose the classifier's settings; frames from the 20th on are judged. One run over
all of them, with radial basis functions, had been measured before: AUROC 0.895 at 12–20 m, 0.909 at 20–35 m. "The best
extractor" is the one with the highest AUROC at 12–35 m on frames 5 to 19 of the village, on both drives.

Learning while driving is judged on the same frames for all states of learning: what the classifier had learned after
some frames is kept, and predicts all frames from the 30th on. Frames differ more in difficulty than states of learning
do, so that a curve of the errors of successive frames shows little.

References
----------
Hadsell et al., "Learning long-range vision for autonomous off-road driving", Journal of Field Robotics 26(2), 2009.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, holding, paired
from striate.experiments.engine.results import NotRunError, Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.experiments.robot.compared import ONLINE, RIVALS, after, compare, errors_by_frame, scores
from striate.experiments.robot.sequences import FIRST_JUDGED, FOLDERS, N_LEARNED, read_sequence
from striate.robot import EXTRACTORS, RANGES, StereoMatcher, learn_features_of_drive

NAME = "near-to-far"
CLAIM = "A robot that learns from its own stereo nearby tells obstacles from ground far beyond stereo's range."
DATA = {"quick": (), "full": ("stereo",)}

STEREO = "disparities of a known pair"
_EARLY, _LATE = 5, 30
_SNAPSHOTS = {"village": (1, 2, 3, _EARLY, 8, 12, 20, _LATE), "street": (1, 2, 3, _EARLY, 8)}
_CURVE = (20.0, 35.0)  # meters


def _name(limits: tuple[float, float]) -> str:
    return f"{limits[0]:g}–{limits[1]:g} m"


def best_extractor(results: Results) -> str:
    """The extractor with the highest AUROC at 12–35 m on the frames of the village that are not judged."""
    drives = results.select(sequence="village")
    found = drives.column("development")
    return str([unit.settings["extractor"] for unit in drives][int(np.argmax(found))])


def _report(results: Results, sequence: str, limits: tuple[float, float]) -> dict[str, Any]:
    (drive,) = results.select(sequence=sequence, extractor=best_extractor(results)).column("ranges") or (None,)
    found = drive[_name(limits)] if drive else None
    if found is None:
        raise NotRunError("the drive shows no such place twice")
    return dict(found)


def _measured(sequence: str, limits: tuple[float, float], key: str, predictor: str) -> Callable[[Results], Measurement]:
    def measure(results: Results) -> Measurement:
        found = _report(results, sequence, limits)
        n, of_predictor = found["n_frames"], found[predictor]
        return Measurement(of_predictor[key], of_predictor[f"{key} spread"] if n > 1 else None, n)

    return measure


def _learned(results: Results) -> Measurement:
    (curve,) = results.select(sequence="village", extractor=best_extractor(results)).column("curve")
    if not {after(_EARLY), after(_LATE)} <= set(curve):
        raise NotRunError("the drive is too short")
    found = paired(curve[after(_LATE)], curve[after(_EARLY)])
    return holding(
        Measurement(100 * (found.value or 0), 100 * (found.uncertainty or 0), found.n),
        lambda mean, se: mean + 2 * se < 0,
    )


def _far(results: Results) -> Measurement:
    found = _measured("village", RANGES[3], "gain", RIVALS[0])(results)
    return holding(found, lambda mean, se: mean - 2 * se > 0)


FIGURES = (
    *(
        Figure(
            what=f"{sequence}, {_name(limits)}: AUROC, best extractor",
            better="higher",
            goal=goal,
            measure=_measured(sequence, limits, "auroc", ONLINE),
        )
        for sequence in FOLDERS
        for limits, goal in ((RANGES[1], 0.90), (RANGES[2], 0.85))
    ),
    *(
        Figure(
            what=f"{sequence}, {_name(limits)}: AUROC above that of row and height",
            better="higher",
            goal=0.05,
            measure=_measured(sequence, limits, "gain", RIVALS[0]),
        )
        for sequence in FOLDERS
        for limits in RANGES[1:3]
    ),
    Figure(
        what=f"village, {_name(RANGES[3])}: AUROC above that of row and height",
        better="higher",
        predicate="above 0 by two standard errors",
        measure=_far,
    ),
    Figure(
        what=f"village, {_name(_CURVE)}: error after {_LATE} frames minus error after {_EARLY}, on the same frames",
        unit="points",
        better="lower",
        predicate="below 0 by two standard errors: it learns while it drives",
        measure=_learned,
    ),
    Figure(
        what="disparities within 2 pixels, of those that stereo answers, on a pair of which they are known",
        unit="%",
        better="higher",
        goal=80.0,
        measure=lambda results: [100 * share for share in results.select(kind=STEREO).column("right")],
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return each extractor on each drive, and stereo on a known pair."""
    full = scale == "full"
    listed = [
        Unit(
            f"{sequence}, {extractor}",
            {
                "sequence": sequence,
                "extractor": extractor,
                "n_learned": N_LEARNED if full else 2,
                "first_judged": FIRST_JUDGED[sequence] if full else 4,
                "snapshots": _SNAPSHOTS[sequence] if full else (1, 4),
            },
            see_far,
            expected_seconds=60.0,
        )
        for sequence in (FOLDERS if full else ("village",))
        for extractor in (EXTRACTORS if full else ("random",))
    ]
    return [*listed, Unit(STEREO, {"kind": STEREO}, match_known_pair, expected_seconds=5.0)]


def see_far(settings: Settings, context: Context) -> dict[str, Any]:
    """Drive once; how well far windows were told apart, by range, and how the error fell."""
    sequence = read_sequence(settings["sequence"], context)
    learned = learn_features_of_drive(
        sequence, settings["extractor"], n_frames=settings["n_learned"], progress=context.progress,
        random_state=context.seed,
    )  # fmt: skip
    tested = learned.frames[-1] + 1
    judged = range(settings["first_judged"], len(sequence))
    found = compare(
        sequence, learned.features, first=tested, snapshots=settings["snapshots"], progress=context.progress,
        seed=context.seed,
    )  # fmt: skip
    ranges = {_name(limits): scores(found, *limits, judged, seed=context.seed) for limits in RANGES}
    before = scores(found, RANGES[1][0], RANGES[2][1], range(tested, judged.start), seed=context.seed)
    last = max(settings["snapshots"])
    limits = _CURVE if context.scale == "full" else RANGES[1]
    errors = {after(n): errors_by_frame(found, after(n), *limits) for n in settings["snapshots"]}
    frames = [frame for frame in errors[after(last)] if frame >= max(last, judged.start)]
    curve: dict[str, Any] = {name: [of_frame[frame] for frame in frames] for name, of_frame in errors.items()}
    return {
        "ranges": ranges,
        "development": None if before is None else before[ONLINE]["auroc"],
        "curve": {"frames": frames, **curve},
    }


def match_known_pair(settings: Settings, context: Context) -> dict[str, float]:
    """Stereo on Middlebury's motorcycle, whose disparities were measured by structured light."""
    from skimage.data import stereo_motorcycle

    left, right, truth = stereo_motorcycle()
    pair = [image.transpose(2, 0, 1).astype(np.float32) / 255 for image in (left, right)]
    found = StereoMatcher()(*pair)
    both = np.isfinite(found) & np.isfinite(truth) & (truth > 0)
    return {"right": float((np.abs(found - truth)[both] <= 2).mean()), "answered": float(np.isfinite(found).mean())}


def draw(results: Results, path: Path) -> None:
    """Draw AUROC by range on each drive, with what extractors are compared to, and the error by frames learned."""
    canvas = new_canvas(14, 5)
    panels = canvas.subplots(1, 3)
    best = best_extractor(results)
    for axes, sequence in zip(panels, FOLDERS, strict=False):
        drives = results.select(sequence=sequence)
        if not len(drives):
            axes.set_axis_off()
            continue
        for unit in drives:
            extractor = unit.settings["extractor"]
            _by_range(axes, results[unit.name]["ranges"], ONLINE, extractor, width=3.0 if extractor == best else 1.2)
        for number, rival in enumerate(RIVALS):
            for unit in drives.select(extractor=best):
                _by_range(
                    axes, results[unit.name]["ranges"], rival, rival, color="0.4", style=("--", ":", "-.")[number]
                )
        axes.set(title=f"{sequence}: AUROC by range", xlabel="range", ylim=(0.4, 1.0))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="lower left")
    for unit in results.select(sequence="village"):
        curve = results[unit.name]["curve"]
        learned = [n for n in unit.settings["snapshots"] if curve.get(after(n))]
        mean = [100 * float(np.mean(curve[after(n)])) for n in learned]
        extractor = unit.settings["extractor"]
        panels[2].plot(learned, mean, "o-", ms=3, lw=3.0 if extractor == best else 1.2, label=extractor)
        panels[2].set_xscale("log")
        panels[2].set_xticks(learned, labels=map(str, learned))
        panels[2].minorticks_off()
    panels[2].set_title("village: error on the same later frames")
    panels[2].set(xlabel="frames learned from", ylabel="error at 20–35 m (%)", ylim=(0, None))
    panels[2].grid(alpha=0.3)
    save_canvas(canvas, path)


def _by_range(
    axes: Any, ranges: dict[str, Any], predictor: str, label: str, *, width: float = 1.2, color: Any = None,
    style: str = "-",
) -> None:  # fmt: skip
    known = [name for name, report in ranges.items() if report]
    auroc = [ranges[name][predictor]["auroc"] for name in known]
    spread = [ranges[name][predictor]["auroc spread"] for name in known]
    axes.errorbar(known, auroc, yerr=spread, fmt=f"o{style}", ms=3, lw=width, color=color, capsize=2, label=label)
