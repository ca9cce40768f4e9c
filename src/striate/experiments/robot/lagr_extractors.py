"""The talk's bar chart: the error beyond stereo with seven kinds of features, on each drive and on average.

Everything as in `near-to-far`, with three seeds, at 12–60 m. The talk's chart has seven drives in woods and on meadows,
whose hand-labeled frames are not public; its bars have no printed values. Only the order can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, holding, over, paired
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.experiments.robot.compared import ONLINE, compare, scores
from striate.experiments.robot.sequences import FIRST_JUDGED, FOLDERS, N_LEARNED, read_sequence
from striate.robot import EXTRACTORS, RANGES, learn_features_of_drive

NAME = "lagr-extractors"
CLAIM = "Learned features see farther than radial basis functions or random filters, and labels improve them."
DATA = {"quick": (), "full": ("stereo",)}

NO_LEARNING, FIXED = "random", "rbf"
WITHOUT_LABELS = ("autoencoder", "drlim")
SUPERVISED = " + supervised"
LEARNED = tuple(extractor for extractor in EXTRACTORS if extractor not in (NO_LEARNING, FIXED))
N_SEEDS = 3


def errors(results: Results, extractor: str) -> list[float]:
    """The mean error over drives in percent, by seed."""
    chosen = results.select(extractor=extractor)
    seeds = sorted({unit.settings["seed"] for unit in chosen})
    return [100 * float(np.mean(chosen.select(seed=seed).column("error"))) for seed in seeds] or chosen.column("error")


def _lower(results: Results, these: Iterable[str], than: str) -> Measurement:
    """By how much the mean error of some extractors is lower than that of another; holds if each is."""
    gains = [paired(errors(results, than), errors(results, one)) for one in these]
    mean = over([gain.value or 0.0 for gain in gains])
    return Measurement(mean.value, mean.uncertainty, mean.n, held=all((gain.value or 0) > 0 for gain in gains))


def _labels_help(results: Results) -> Measurement:
    gains = [
        one - other
        for name in WITHOUT_LABELS
        for one, other in zip(errors(results, name), errors(results, name + SUPERVISED), strict=True)
    ]
    return holding(over(gains), lambda mean, se: mean - 2 * se > 0)


def _best(results: Results) -> bool:
    means = {extractor: float(np.mean(errors(results, extractor))) for extractor in EXTRACTORS}
    return min(means, key=lambda extractor: means[extractor]).endswith(SUPERVISED)


FIGURES = (
    Figure(
        what="error at 12–60 m, by how much learned features are better than radial basis functions",
        unit="points",
        better="higher",
        predicate="each of the five learned kinds is better",
        measure=lambda results: _lower(results, LEARNED, FIXED),
    ),
    Figure(
        what="error at 12–60 m, by how much learned features are better than random filters",
        unit="points",
        better="higher",
        predicate="each of the five learned kinds is better",
        measure=lambda results: _lower(results, LEARNED, NO_LEARNING),
    ),
    Figure(
        what="error at 12–60 m, by how much radial basis functions are better than random filters",
        unit="points",
        better="higher",
        predicate="above 0",
        measure=lambda results: _lower(results, (FIXED,), NO_LEARNING),
    ),
    Figure(
        what='error at 12–60 m, by how much "+ supervised" is better than the same features without labels',
        unit="points",
        better="higher",
        predicate="above 0 by two standard errors",
        measure=_labels_help,
    ),
    Figure(
        what="the best extractor by mean error at 12–60 m",
        better="higher",
        predicate="one that learned without labels first, then with them",
        measure=_best,
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return each extractor on each drive, with several seeds."""
    full = scale == "full"
    return [
        Unit(
            f"{sequence}, {extractor}, seed {seed}",
            {
                "sequence": sequence,
                "extractor": extractor,
                "seed": seed,
                "n_learned": N_LEARNED if full else 2,
                "first_judged": FIRST_JUDGED[sequence] if full else 4,
            },
            judge,
            expected_seconds=60.0,
        )
        for sequence in (FOLDERS if full else ("village",))
        for extractor in (EXTRACTORS if full else (FIXED, NO_LEARNING))
        for seed in range(N_SEEDS if full else 1)
    ]


def judge(settings: Settings, context: Context) -> dict[str, Any]:
    """Drive once; the error beyond stereo's range."""
    sequence, seed = read_sequence(settings["sequence"], context), context.seed + settings["seed"]
    learned = learn_features_of_drive(
        sequence, settings["extractor"], n_frames=settings["n_learned"], progress=context.progress, random_state=seed
    )
    first = max(settings["first_judged"], learned.frames[-1] + 1)
    found = compare(sequence, learned.features, first=first, rivals=False, progress=context.progress, seed=context.seed)
    report = scores(found, RANGES[1][0], RANGES[-1][1], range(first, len(sequence)), seed=seed)
    assert report is not None
    return {"n_windows": report["n_windows"], **report[ONLINE]}


def draw(results: Results, path: Path) -> None:
    """Draw bars in the order of the talk's chart: the mean over seeds on each drive, and on average."""
    canvas = new_canvas(11, 4.5)
    axes = canvas.subplots()
    extractors = [name for name in EXTRACTORS if len(results.select(extractor=name))]
    groups = [name for name in FOLDERS if len(results.select(sequence=name))]
    for place, extractor in enumerate(extractors):
        own = [
            [100 * error for error in results.select(extractor=extractor, sequence=name).column("error")]
            for name in groups
        ]
        found = [over(values) for values in (*own, errors(results, extractor))]
        axes.bar(
            np.arange(len(found)) + (place - len(extractors) / 2) * 0.11,
            [one.value for one in found],
            0.1,
            yerr=[one.uncertainty or 0.0 for one in found],
            capsize=2,
            label={NO_LEARNING: "no learning"}.get(extractor, extractor),
        )
    axes.set_xticks(np.arange(len(groups) + 1), labels=[*groups, "average"])
    axes.set_ylabel("error at 12–60 m (%)")
    axes.legend(fontsize=8, ncols=2)
    axes.grid(axis="y", alpha=0.3)
    save_canvas(canvas, path)
