"""Digits in two dimensions by DrLIM: neighbors stay neighbors, and with shifted neighbors the map ignores shifts.

The network is like the paper's: filters of 6×6, the maximum over 3×3, and filters that see the rest. Nearest neighbors
of test digits are searched for among the training digits, in the plane and among 30 principal components.

For shifts, every digit appears at −6, −3, 0, 3 and 6 pixels, with two columns added on either side, so that few digits
are cut. Without shifted neighbors, a sample is similar to its five nearest neighbors among all of these; with them,
it is similar to the five nearest neighbors of the digit that is not shifted, and to all shifted versions of both.

The share of the variance that shift explains is that of the mean places of the five shifts (the main effect). The other
share, of the places of one digit around their mean, also counts movements that differ from digit to digit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from striate.checkpoint import Checkpoint
from striate.experiments.data.mnist import mnist_rows
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, above
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.learning import DrLIM

NAME = "drlim-mnist"
CLAIM = (
    "A learned mapping puts digits into a plane where neighbors are of the same class, and ignores shifts when it is "
    "told that shifted digits are neighbors."
)
DATA = {"quick": (), "full": ("mnist",)}

N_COMPONENTS = 30
SHIFTS = (-6, -3, 0, 3, 6)
MARGIN = 2  # columns added on either side where digits are shifted
DRAWN = 1500  # places in the image, per plane
STAGES = ((15, 6, 6, 3, 3), (30, 7, 7, 1, 1))
#: Of the paper's experiments with fours and nines.
PAIR = (4, 9)


def _ratio(**which: Any) -> Callable[[Results], list[float]]:
    def measure(results: Results) -> list[float]:
        chosen = results.select(**which)
        columns = (chosen.column(name) for name in ("error", "error of components"))
        return [one / other for one, other in zip(*columns, strict=True)]

    return measure


def _percent(name: str, kind: str) -> Callable[[Results], list[float]]:
    return lambda results: [100 * value for value in results.select(kind=kind).column(name)]


def _without(results: Results) -> Measurement:
    return above(_percent("explained", "shifts, plain neighbors")(results), 5.0)


FIGURES = (
    Figure(
        what="4 and 9: nearest-neighbor error in two dimensions over that in 30 principal components",
        better="lower",
        goal=2.0,
        measure=_ratio(kind="4 and 9"),
    ),
    Figure(
        what="ten digits: nearest-neighbor error in two dimensions over that in 30 principal components",
        better="lower",
        goal=2.0,
        measure=_ratio(kind="ten digits"),
    ),
    Figure(
        what="variance explained by shift, shifted neighbors",
        unit="%",
        better="lower",
        goal=5.0,
        measure=_percent("explained", "shifts, shifted neighbors"),
    ),
    Figure(
        what="variance of the places of one digit, shifted neighbors",
        unit="%",
        better="lower",
        goal=5.0,
        measure=_percent("within", "shifts, shifted neighbors"),
    ),
    Figure(
        what="variance explained by shift, without shifted neighbors",
        unit="%",
        better="higher",
        predicate="above 5 %: nearest neighbors alone do not make the map ignore shifts",
        measure=_without,
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return fours and nines, ten digits, and shifted fours and nines with both kinds of neighbors."""
    full = scale == "full"
    listed: list[Unit] = []
    for kind, n_seeds, n_epochs, n_train, seconds in (
        ("4 and 9", 3, 40, 60_000, 200.0),
        ("ten digits", 1, 40, 60_000, 1500.0),
        ("shifts, plain neighbors", 3, 20, 6000, 400.0),  # as many as in the paper
        ("shifts, shifted neighbors", 3, 20, 6000, 400.0),
    ):
        for seed in range(n_seeds if full else 1):
            settings = {"kind": kind, "seed": seed, "n_epochs": n_epochs if full else 2}
            settings["n_train"] = n_train if full else min(n_train // 20, 600)
            run = shifted if kind.startswith("shifts") else plain
            listed.append(Unit(f"{kind}, seed {seed}", settings, run, seconds, checkpoints=True))
    return listed


def plain(settings: Settings, context: Context) -> dict[str, Any]:
    """Learn a map of digits; errors of nearest neighbors in it, and among principal components."""
    train, labels, test, test_labels = _digits(context, PAIR if settings["kind"] == "4 and 9" else range(10))
    train, labels = train[: settings["n_train"]], labels[: settings["n_train"]]
    learner = _learner(settings, (1, 28, 28))
    learner.fit(train, checkpoint=_checkpoint(settings, context), progress=context.progress)
    pca = PCA(N_COMPONENTS, random_state=settings["seed"]).fit(train)
    place = learner.transform(test)
    return {
        "error": _error(learner.transform(train), labels, place, test_labels),
        "error of components": _error(pca.transform(train), labels, pca.transform(test), test_labels),
        "plane": np.round(place[:DRAWN].astype(np.float64), 3),
        "marks": test_labels[:DRAWN],
    }


def shifted(settings: Settings, context: Context) -> dict[str, Any]:
    """Learn a map of shifted fours and nines; how much of the variance of shifted test digits is due to shift."""
    train, _, test, test_labels = _digits(context, PAIR)
    train = train[: settings["n_train"]]
    rows = np.concatenate([_moved(train, shift) for shift in SHIFTS])
    versions: NDArray[np.int64] | None = None
    if settings["kind"] == "shifts, shifted neighbors":
        # The first version is the one whose neighbors are searched for: the digit that is not shifted.
        order = np.argsort(np.repeat(np.abs(SHIFTS), len(train)), kind="stable")
        rows, versions = rows[order], np.tile(np.arange(len(train)), len(SHIFTS))[order]
    learner = _learner(settings, (1, 28, 28 + 2 * MARGIN))
    learner.fit(rows, versions=versions, checkpoint=_checkpoint(settings, context), progress=context.progress)
    places = np.stack([learner.transform(_moved(test, shift)) for shift in SHIFTS]).astype(np.float64)
    total = places.reshape(-1, 2).var(axis=0).sum()
    shown = places[:, : DRAWN // len(SHIFTS)]
    return {
        "explained": float(places.mean(axis=1).var(axis=0).sum() / total),
        "within": float(places.var(axis=0).mean(axis=0).sum() / total),
        "plane": np.round(shown.reshape(-1, 2), 3),
        "marks": np.repeat(np.arange(len(SHIFTS)), shown.shape[1]),
        "classes": np.tile(test_labels[: shown.shape[1]], len(SHIFTS)),
    }


def _digits(context: Context, classes: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    train, labels, test, test_labels = mnist_rows(context)
    kept, kept_test = np.isin(labels, list(classes)), np.isin(test_labels, list(classes))
    return train[kept], labels[kept], test[kept_test], test_labels[kept_test]


def _moved(rows: NDArray[Any], shift: int) -> NDArray[Any]:
    """Digits, moved to the right, with a margin on either side; what leaves it is cut."""
    wide = np.zeros((len(rows), 28, 28 + 2 * (MARGIN + max(SHIFTS))), rows.dtype)
    start = MARGIN + max(SHIFTS) + shift
    wide[:, :, start : start + 28] = rows.reshape(-1, 28, 28)
    return np.ascontiguousarray(wide[:, :, max(SHIFTS) : wide.shape[2] - max(SHIFTS)]).reshape(len(rows), -1)


def _learner(settings: Settings, shape: tuple[int, int, int]) -> DrLIM:
    stages = (STAGES[0], (STAGES[1][0], 7, (shape[2] - 5) // 3, 1, 1))  # the second filters see the whole width
    return DrLIM(
        2, hidden=(), stages=stages, image_shape=shape, n_epochs=settings["n_epochs"], random_state=settings["seed"]
    )


def _checkpoint(settings: Settings, context: Context) -> Checkpoint:
    return Checkpoint(context.working_folder() / "learning", dict(settings), interval=60.0)


def _error(train: NDArray[Any], labels: NDArray[Any], test: NDArray[Any], of_test: NDArray[Any]) -> float:
    """Share of test digits whose nearest training digit is of another class."""
    return float(1 - KNeighborsClassifier(1).fit(train, labels).score(test, of_test))


def draw(results: Results, path: Path) -> None:
    """Draw four planes: digits in the colors of their classes, and shifted ones in the colors of their shifts."""
    canvas = new_canvas(11, 10)
    kinds = ("4 and 9", "ten digits", "shifts, plain neighbors", "shifts, shifted neighbors")
    for axes, kind in zip(canvas.subplots(2, 2).ravel(), kinds, strict=True):
        found = results[f"{kind}, seed 0"]
        places, marks = np.asarray(found["plane"]), np.asarray(found["marks"])
        if "classes" in found:
            classes = np.asarray(found["classes"])
            for digit, marker in zip(PAIR, ("x", "o"), strict=True):
                own = classes == digit
                dots = axes.scatter(
                    *places[own].T, c=marks[own], cmap="viridis", vmin=0, vmax=len(SHIFTS) - 1, s=10, marker=marker,
                    linewidths=0.8 if marker == "x" else 0,
                )  # fmt: skip
            canvas.colorbar(dots, ax=axes, ticks=range(len(SHIFTS)), fraction=0.04).ax.set_yticklabels(map(str, SHIFTS))
            title = f"{kind}: shift explains {100 * found['explained']:.1f} %"
        else:
            dots = axes.scatter(*places.T, c=marks, cmap="tab10", vmin=-0.5, vmax=9.5, s=7, linewidths=0)
            canvas.colorbar(dots, ax=axes, ticks=sorted(set(marks.tolist())), fraction=0.04)
            title = (
                f"{kind}: error {100 * found['error']:.1f} % (30 components {100 * found['error of components']:.1f} %)"
            )
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, fontsize=10)
        axes.set_aspect("equal", adjustable="datalim")
    save_canvas(canvas, path)
