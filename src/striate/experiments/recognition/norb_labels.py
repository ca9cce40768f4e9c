"""Error against the number of labels, with and without normalization, learned and random: objects on a turntable.

The talk's curve is for small NORB, which was not available; `striate.images.norb` reads it. COIL-100 is used instead:
99 objects, with a few views of each for training and the others for testing. It tests tolerance to pose only: it has
one camera and one light, and the same objects in training and test. Stereo, lighting and new instances of a category
are not tested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, paired
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.hierarchy import Hierarchy, extract_features, learn_filters, small_pixels
from striate.hierarchy.protocols import protocol
from striate.images import ImageCollection, Preprocessing, as_images, load_mnist_digits, stream
from striate.recognition import SoftmaxClassifier
from striate.recognition.splits import draw_per_class

NAME = "norb-labels"
CLAIM = "Normalization compensates for few labels and for missing learning: with it, random filters are nearly as good."
DATA = {"quick": (), "full": ("coil100",)}

VIEWS = {"full": (1, 2, 4, 8, 16), "quick": (2, 8)}  # labeled images of each object
DRAWS = {"full": 5, "quick": 2}
SYSTEMS = ("UU, normalized", "RR, normalized", "UU, not normalized", "RR, not normalized", "pixels")
ARCHITECTURE = {
    "full": "32F7x7 - Rabs - N - PA6x6/4 - 128F5x5 - Rabs - N5x5 - PA4x4/2",
    "quick": "16F5x5 - Rabs - N5x5 - PA4x4/2 - 32F3x3 - Rabs - N3x3 - PA2x2/2",
}


def _errors(results: Results, system: str) -> NDArray[np.float64]:
    """Return errors in per cent, (numbers of labels, draws)."""
    return 100 * np.array(results.select(system=system).column("errors")[0])


def _smaller(better: str, worse: str) -> Callable[[Results], Measurement]:
    """Mean difference of errors over all numbers of labels; it holds if it is positive for each of them."""

    def measure(results: Results) -> Measurement:
        ours, theirs = _errors(results, better), _errors(results, worse)
        everywhere = bool((theirs.mean(axis=1) > ours.mean(axis=1)).all())
        return replace(paired(theirs.mean(axis=0), ours.mean(axis=0)), held=everywhere)

    return measure


FIGURES = tuple(
    Figure(
        what=what,
        unit="points",
        better="higher",
        predicate="above 0 from every number of labels",
        measure=_smaller(better, worse),
    )
    for what, better, worse in (
        ("error without normalization minus that with it, random filters", "RR, normalized", "RR, not normalized"),
        ("error without normalization minus that with it, learned filters", "UU, normalized", "UU, not normalized"),
        ("error of random filters minus that of learned ones, normalized", "UU, normalized", "RR, normalized"),
        ("error of pixels minus that of learned filters, normalized", "UU, normalized", "pixels"),
    )
)


def units(scale: Scale) -> list[Unit]:
    """Return a unit per system, which extracts features once."""
    return [
        Unit(system, {"system": system, "views": VIEWS[scale], "draws": DRAWS[scale]}, recognize_views)
        for system in SYSTEMS
    ]


def recognize_views(settings: Settings, context: Context) -> dict[str, Any]:
    """Learn filters without labels, and a classifier from few views of each object; test it on the other views."""
    images, labels = _images(context)
    side = 64 if context.scale == "full" else 28
    preprocessing = Preprocessing((side, side))
    transform: Any = small_pixels
    if settings["system"] != "pixels":
        letters, _, normalized = settings["system"].partition(", ")
        notation = ARCHITECTURE[context.scale]
        if normalized == "not normalized":
            layers = [layer for layer in notation.split(" - ") if not layer.startswith("N")]
            notation = " - ".join(layers)
        batches = stream(images, preprocessing)
        prepared = np.concatenate([batch for _, batch in batches])
        transform, _ = learn_filters(
            Hierarchy(notation), prepared[:2000], learners=protocol(letters), random_state=context.seed,
            progress=context.progress,
        )  # fmt: skip
    rows = extract_features(images, preprocessing, transform, progress=context.progress).rows
    errors = []
    for n in settings["views"]:
        found = []
        for draw_number in range(settings["draws"]):
            train = draw_per_class(labels, n, random_state=np.random.default_rng([context.seed, n, draw_number]))
            test = np.setdiff1d(np.arange(len(labels)), train)
            classifier = SoftmaxClassifier(calibrate=False, random_state=draw_number).fit(rows[train], labels[train])
            found.append(float(np.mean(classifier.predict(rows[test]) != labels[test])))
        errors.append(found)
    return {"errors": errors}


def _images(context: Context) -> tuple[ImageCollection, NDArray[np.int64]]:
    if context.scale == "full":
        with np.load(context.data("coil100") / "coil100-64x64.npz") as found:
            order = np.random.default_rng(0).permutation(len(found["images"]))
            return as_images(found["images"][order]), found["object"][order].astype(np.int64)
    images, labels = load_mnist_digits()
    return as_images(images[::17]), labels[::17].astype(np.int64)


def draw(results: Results, path: Path) -> None:
    """Draw the error against the number of labels."""
    canvas = new_canvas(6, 4)
    axes = canvas.subplots()
    for system in SYSTEMS:
        chosen = results.select(system=system)
        if not len(chosen):
            continue
        rows = _errors(results, system)
        (unit,) = chosen
        style = "--" if "not" in system else "-"
        error = rows.std(axis=1, ddof=1) / np.sqrt(rows.shape[1])
        axes.errorbar(unit.settings["views"], rows.mean(axis=1), error, linestyle=style, marker="o", label=system)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("labeled views of each object")
    axes.set_ylabel("error on the other views, %")
    axes.legend(frameon=False, fontsize=8)
    save_canvas(canvas, path)
