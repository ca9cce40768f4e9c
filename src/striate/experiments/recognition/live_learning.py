"""What a live page knows after some key presses: accuracy, unknown objects, and the time that it takes.

Frames are those that a page sends: JPEG files of at most 192 × 192 pixels. Of Caltech-101 the first 200 photographs of
each class are used; COIL-100 has 99 of its objects, in grey, and lacks a few views. The ten objects of a draw are none
of those with which features and novelty were chosen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, holding, over, paired
from striate.experiments.engine.results import NotRunError, Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.experiments.recognition.live_sets import Shown, draw_objects, load_shown
from striate.images import Preprocessing, as_images
from striate.live import LiveFeatures, decode_frame, load_features
from striate.recognition import Answer, ImageClassifier, IncrementalClassifier, area_under_roc

NAME = "live-learning"
CLAIM = (
    "Features that ship recognize objects from five samples as well as features that are learned from these samples."
)
DATA = {"quick": (), "full": ("coil100", "caltech101")}

DRAWS = (100, 101, 102, 103, 104)  # development used 0 to 2
COUNTS = (1, 2, 5, 10, 20)
COUNTS_LEARNED = (1, 5, 20)  # features are learned anew for each
FEW = 5
N_KNOWN, N_FOREIGN, N_TESTS = 10, 20, 20
PER_CLASS = 100  # samples, where time is measured
N_PRESSES = 20
N_FRAMES = {"quick": 40, "full": 9000}  # ten minutes of a camera at 15 frames a second
UNKNOWN = 0.05

SHIPPED, LEARNED, PIXELS = "shipped", "striate train", "pixels"
METHODS = (SHIPPED, LEARNED, PIXELS)
_COLORS = dict(zip(METHODS, ("#b3541e", "#3f6f9f", "#aaaaaa"), strict=True))
_PIXELS = Preprocessing((32, 32), color="rgb", contrast="none")
_SETS = ("COIL-100", "Caltech-101")


def _row(results: Results, name: str, method: str, count: int, key: str) -> list[float]:
    """One value per draw, in per cent; raises NotRunError if there is no such unit, or it has not finished."""
    found = [
        100 * results[unit.name][key][unit.settings["counts"].index(count)]
        for unit in results.select(set=name, method=method)
        if count in unit.settings["counts"]
    ]
    if not found:
        raise NotRunError(f"no unit measures {method} on {name} with {count} samples per class")
    return found


def _of(name: str, count: int, key: str) -> Callable[[Results], list[float]]:
    return lambda results: _row(results, name, SHIPPED, count, key)


def _lead(name: str, other: str) -> Callable[[Results], Measurement]:
    return lambda results: paired(*(_row(results, name, method, FEW, "accuracy") for method in (SHIPPED, other)))


def _clear_lead(name: str) -> Callable[[Results], Measurement]:
    return lambda results: holding(_lead(name, PIXELS)(results), lambda mean, error: mean > 2 * error)


def _timed(key: str, of: Callable[[NDArray], float] = np.median) -> Callable[[Results], float]:
    return lambda results: float(of(np.asarray(results.select(kind="time").column(key)[0])))


FIGURES = (
    *(
        Figure(
            what=f"{name}, {FEW} samples per class: features that ship minus those of striate train",
            unit="points",
            better="higher",
            goal=-1.0,
            measure=_lead(name, LEARNED),
        )
        for name in _SETS
    ),
    *(
        Figure(
            what=f"{name}, {FEW} samples per class: accuracy of features that ship",
            unit="%",
            better="higher",
            goal=goal,
            measure=_of(name, FEW, "accuracy"),
        )
        for name, goal in zip(_SETS, (95.0, 72.0), strict=True)
    ),
    *(
        Figure(
            what=f"{name}, {FEW} samples per class: features that ship minus pixels",
            unit="points",
            better="higher",
            predicate="above 0 by two standard errors",
            measure=_clear_lead(name),
        )
        for name in _SETS
    ),
    *(
        Figure(
            what=f"{name}, {count} samples per class: area under the ROC curve for objects never shown",
            unit="%",
            better="higher",
            goal=goal,
            measure=_of(name, count, "area"),
        )
        for name, count, goal in (
            ("COIL-100", 5, 93.0),
            ("COIL-100", 20, 98.0),
            ("Caltech-101", 5, 75.0),
            ("Caltech-101", 20, 82.0),
        )
    ),
    *(
        Figure(
            what=f"{name}, {count} samples per class: known objects that are called unknown",
            unit="%",
            better="lower",
            goal=100 * UNKNOWN,
            measure=_of(name, count, "false alarms"),
        )
        for name in _SETS
        for count in (5, 20)
    ),
    Figure(
        what="from a key press to an answer that knows the sample, 10 classes of 100 samples, the slowest of 20",
        unit="s",
        better="lower",
        goal=1.0,
        measure=_timed("press", np.max),
    ),
    Figure(
        what="update of the classifier with one sample more, 10 classes of 100 samples, median",
        unit="s",
        better="lower",
        goal=0.05,
        measure=_timed("update"),
    ),
    Figure(
        what="frames per second without a page, 10 classes of 100 samples",
        better="higher",
        goal=15.0,
        measure=_timed("rate"),
    ),
    Figure(
        what=f"memory that is gained over {N_FRAMES['full']:,} frames",
        unit="MB",
        better="lower",
        goal=5.0,
        measure=lambda results: results.select(kind="memory").column("gained")[0],
    ),
)


def measure_accuracy(settings: Settings, context: Context) -> Mapping[str, Any]:
    """Measure one draw: what a page knows with each number of samples per class."""
    shown = load_shown(settings["set"], context)
    numbers = {name: settings[name] for name in ("n_known", "n_foreign", "n_tests")}
    drawn = draw_objects(shown.objects, settings["draw"], n_samples=max(settings["counts"]), **numbers)
    describe = _describer(settings["method"], drawn.samples, shown, settings, context)
    with context.progress.phase("features", 3, "parts") as phase:
        parts = []
        for part in (drawn.samples.ravel(), drawn.tests, drawn.foreign):
            parts.append(np.stack([describe(shown.frame(int(index))) for index in part]))
            phase.advance()
    samples, tests, foreign = parts
    samples = samples.reshape(*drawn.samples.shape, -1)
    found: dict[str, list[float]] = {key: [] for key in ("accuracy", "held out", "area", "false alarms", "found")}
    for count in settings["counts"]:
        classifier = IncrementalClassifier(unknown=UNKNOWN)
        for place, rows in enumerate(samples):
            classifier.add_many(rows[:count], [str(place)] * count)
        known = [classifier.predict(row) for row in tests]
        others = [classifier.predict(row) for row in foreign]
        best = np.array([int(next(iter(answer.probabilities))) for answer in known])
        found["accuracy"].append(_mean_over_classes(best == drawn.truth, drawn.truth))
        found["held out"].append(classifier.held_out().accuracy or 0.0)
        of_known, of_others = (np.array([answer.novelty for answer in answers]) for answers in (known, others))
        found["area"].append(area_under_roc(of_others, of_known))
        found["false alarms"].append(_share_unknown(known))
        found["found"].append(_share_unknown(others))
    return found


def _describer(
    method: str, samples: NDArray[np.int64], shown: Shown, settings: Settings, context: Context
) -> Callable[[bytes], NDArray[np.float32]]:
    """The features of a frame."""
    if method == PIXELS:
        return lambda jpeg: _PIXELS(decode_frame(jpeg)).ravel() - np.float32(0.5)
    if method == SHIPPED:
        features = load_features()
    else:
        frames = [decode_frame(shown.frame(int(index))) for index in samples.ravel()]
        classifier = ImageClassifier(random_state=settings["draw"])
        classifier.learn_features(
            as_images(frames, np.repeat(np.arange(len(samples)), samples.shape[1]).astype(str)),
            progress=context.progress,
        )
        features = LiveFeatures(classifier.preprocessing_, classifier.hierarchy_)
    return lambda jpeg: features.transform(decode_frame(jpeg))


def _mean_over_classes(correct: NDArray[np.bool_], truth: NDArray[np.int64]) -> float:
    return float(np.mean([correct[truth == place].mean() for place in np.unique(truth)]))


def _share_unknown(answers: list[Answer]) -> float:
    return float(np.mean([answer.unknown for answer in answers]))


def measure_time(settings: Settings, context: Context) -> Mapping[str, Any]:
    """Measure what a key press and a frame take; no other program should run."""
    features = load_features()
    classifier = IncrementalClassifier(unknown=UNKNOWN)
    frames = _endless_frames(settings, context)
    n_samples = settings["n_known"] * settings["per_class"]
    with context.progress.phase("samples", n_samples, "frames") as phase:
        for number, (place, jpeg) in enumerate(islice(frames, n_samples)):
            classifier.add(
                features.transform(decode_frame(jpeg)), str(place), burst=number // (10 * settings["n_known"])
            )
            phase.advance()
    press, update, rate = [], [], []
    classifier.held_out()
    for place, jpeg in islice(frames, settings["n_presses"]):
        start = time.perf_counter()
        row = features.transform(decode_frame(jpeg))
        before = time.perf_counter()
        sample = classifier.add(row, str(place))
        answer = classifier.predict(row)
        classifier.held_out()
        end = time.perf_counter()
        press.append(end - start)
        update.append(end - before)
        if answer.label not in (str(place), None):
            raise AssertionError("a sample was just learned, and is not known")
        classifier.remove(sample)
        classifier.predict(row)
        start = time.perf_counter()
        classifier.predict(features.transform(decode_frame(jpeg)))
        rate.append(1 / (time.perf_counter() - start))
    return {"press": press, "update": update, "rate": rate}


def measure_memory(settings: Settings, context: Context) -> Mapping[str, Any]:
    """Measure how much the memory of the process grows after a tenth of the frames.

    Every tenth frame becomes a sample, which is removed again at the next.
    """
    features = load_features()
    classifier = IncrementalClassifier(unknown=UNKNOWN)
    frames = _endless_frames(settings, context)
    for place, jpeg in islice(frames, settings["n_known"] * settings["per_class"]):
        classifier.add(features.transform(decode_frame(jpeg)), str(place))
    n_frames, sizes, sample = settings["n_frames"], [], None
    with context.progress.phase("frames", n_frames, "frames") as phase:
        for number, (place, jpeg) in enumerate(islice(frames, n_frames)):
            row = features.transform(decode_frame(jpeg))
            classifier.predict(row)
            if sample is not None:
                classifier.remove(sample)
                sample = None
            elif number % 10 == 0:
                sample = classifier.add(row, str(place))
            if (number + 1) % max(1, n_frames // 10) == 0:
                sizes.append(_memory())
            phase.advance()
    return {"gained": sizes[-1] - sizes[0], "sizes": sizes}


def _endless_frames(settings: Settings, context: Context) -> Iterator[tuple[int, bytes]]:
    """Frames of the known objects of a draw in turn, again and again, each time a little brighter or darker."""
    shown = load_shown(settings["set"], context)
    drawn = draw_objects(
        shown.objects, settings["draw"], n_known=settings["n_known"], n_foreign=1, n_samples=10, n_tests=0
    )
    rng = np.random.default_rng(settings["draw"])
    for turn in cycle(drawn.samples.T):
        for place, index in enumerate(turn):
            yield place, shown.frame(int(index), gain=float(rng.uniform(0.7, 1.0)))


def _memory() -> float:
    """The resident memory of this process, in 10⁶ bytes; where the system does not tell it, the largest until now."""
    import resource
    import sys

    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize() / 1e6
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 1e6 if sys.platform == "darwin" else size * 1024 / 1e6


def units(scale: Scale) -> list[Unit]:
    """Return a unit per set, method and draw, and one each for time and memory."""
    if scale == "quick":
        common = {"set": "digits", "n_known": 3, "n_foreign": 3, "n_tests": 8, "counts": (1, 5)}
        found = [_unit(method, draw, 2, **common) for method in (SHIPPED, PIXELS) for draw in (0, 1)]
        return [*found, *_resources(scale, "digits", n_known=3, per_class=5, n_presses=3)]
    found = []
    for name in _SETS:
        sizes = {"set": name, "n_known": N_KNOWN, "n_foreign": N_FOREIGN, "n_tests": N_TESTS}
        for draw in DRAWS:
            found += [_unit(method, draw, 30, **sizes, counts=COUNTS) for method in (SHIPPED, PIXELS)]
            found += [_unit(LEARNED, draw, 60, **sizes, counts=(count,)) for count in COUNTS_LEARNED]
    return [*found, *_resources(scale, "COIL-100", n_known=N_KNOWN, per_class=PER_CLASS, n_presses=N_PRESSES)]


def _unit(method: str, draw: int, expected_seconds: float, **settings: Any) -> Unit:
    counts = settings["counts"]
    which = f", {counts[0]} per class" if method == LEARNED else ""
    return Unit(
        f"{settings['set']}, {method}{which}, draw {draw}",
        {"method": method, "draw": draw, **settings},
        measure_accuracy,
        expected_seconds=expected_seconds,
    )


def _resources(scale: Scale, name: str, **settings: Any) -> list[Unit]:
    common = {"set": name, "draw": DRAWS[0], **settings}
    n_frames = N_FRAMES[scale]
    return [
        Unit("time", {"kind": "time", **common}, measure_time, expected_seconds=60),
        Unit(
            "memory",
            {"kind": "memory", **common, "per_class": min(10, settings["per_class"]), "n_frames": n_frames},
            measure_memory,
            expected_seconds=0.04 * n_frames,
        ),
    ]


def draw(results: Results, path: Path) -> None:
    """Draw a panel per set: accuracy against samples per class, a line per method."""
    names = list(dict.fromkeys(unit.settings["set"] for unit in results if "method" in unit.settings))
    canvas = new_canvas(1 + 3.7 * len(names), 3.8)
    panels = canvas.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        for method in METHODS:
            found: dict[int, Measurement] = {}
            for count in COUNTS:
                try:
                    found[count] = over(_row(results, name, method, count, "accuracy"))
                except NotRunError:
                    continue
            if found:
                values = list(found.values())
                errors = [one.uncertainty or 0.0 for one in values]
                heights = [one.value for one in values]
                axes.errorbar(list(found), heights, errors, color=_COLORS[method], marker="o", capsize=2, label=method)
        axes.set_xscale("log")
        axes.set_xticks(COUNTS, [str(count) for count in COUNTS])
        axes.minorticks_off()
        axes.set_title(name, fontsize=10)
        axes.grid(axis="y", color="#eeeeee")
    canvas.supxlabel("samples per class", fontsize=9)
    canvas.supylabel("accuracy on other images, mean over classes, %", fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)
    save_canvas(canvas, path)
