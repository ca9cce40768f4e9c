"""The fewest errors on MNIST within an hour on two cores: refined networks, whose probabilities are averaged.

Networks differ in their filters and in the order of the images. Undistorted, as published comparisons are: training
digits are used as they are. Beside it, and not to be compared with it, another protocol: training digits are shifted
and bent at random in each epoch (Simard et al. 2003). Nothing is held out; the number of epochs and the step size are
those that `mnist-architecture` chose on training digits, or what an hour allows.

Averages of networks are for this experiment only: a model file holds one network.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.checkpoint import Checkpoint
from striate.experiments.data.mnist import mnist_images
from striate.experiments.engine.drawing import new_canvas, pack, save_canvas, unpack
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.experiments.recognition.refined_digits import (
    ARCHITECTURE,
    PREPROCESSING,
    labels_of,
    probabilities,
    with_filters,
)
from striate.hierarchy import extract_features
from striate.images import ImageCollection
from striate.recognition import RefinementOptions, SoftmaxClassifier, refine

NAME = "mnist-best"
CLAIM = "The average of a few refined networks reads MNIST as well as any system that sees its digits undistorted."
DATA = {"quick": (), "full": ("mnist",)}

FOR_CLASSES = 1000  # digits of the classifier from which `refine` takes the classes; it begins with one of its own
UNDISTORTED, DISTORTED = "undistorted", "shifts and elastic distortions"
#: Options of `RefinementOptions` for each protocol. Distorted digits are never the same, and take longer to learn.
PROTOCOLS: dict[str, dict[str, Any]] = {
    UNDISTORTED: {"n_networks": 4, "n_epochs": 12},
    DISTORTED: {"n_networks": 2, "n_epochs": 24, "shift": 1, "elastic": 1.2},
}
SHOWN = 60  # digits that are wrong
COMMON: dict[str, Any] = {"batch_size": 64, "learning_rate": 0.01}


def _percent(results: Results, protocol: str, key: str) -> list[float]:
    return [100 * value for value in results.select(protocol=protocol).column(key)[0]]


def _average(protocol: str) -> Any:
    return lambda results: _percent(results, protocol, "error of averages")[-1]


def _gain(results: Results) -> Measurement:
    """Mean error of the networks by themselves minus that of their average."""
    alone = float(np.mean(_percent(results, UNDISTORTED, "errors")))
    gain = alone - _percent(results, UNDISTORTED, "error of averages")[-1]
    return Measurement(gain, held=gain > 0)


FIGURES = (
    Figure(
        what="error, average of networks, undistorted",
        unit="%",
        better="lower",
        goal=0.40,
        measure=_average(UNDISTORTED),
    ),
    Figure(
        what="error, one network, undistorted",
        unit="%",
        better="lower",
        published=0.53,
        source="Jarrett, Kavukcuoglu, Ranzato, LeCun, ICCV 2009, abstract",
        measure=lambda results: _percent(results, UNDISTORTED, "errors"),
    ),
    Figure(
        what="error of one network minus that of the average, undistorted",
        unit="points",
        better="higher",
        predicate="above 0",
        measure=_gain,
    ),
    Figure(
        what="error, average of networks, another protocol: shifts and elastic distortions",
        unit="%",
        better="lower",
        goal=0.32,
        measure=_average(DISTORTED),
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return a unit per protocol, which trains its networks one after the other."""
    listed = []
    for protocol, options in PROTOCOLS.items():
        settings = {"protocol": protocol, "letters": "UU", "architecture": ARCHITECTURE[scale], **COMMON, **options}
        if scale == "quick":
            settings |= {"letters": "RR", "n_networks": 2, "n_epochs": 1}
        seconds = settings["n_networks"] * (150.0 + 58.0 * settings["n_epochs"])
        listed.append(Unit(protocol, settings, average, expected_seconds=seconds, checkpoints=True))
    return listed


def average(settings: Settings, context: Context) -> dict[str, Any]:
    """Refine networks from different seeds; errors of each, and of the averages of the first of them."""
    started = time.perf_counter()
    images, test = mnist_images(context)
    checkpoint = Checkpoint(context.working_folder() / "work", {**settings, "seed": context.seed}, interval=60.0)
    truth, found = labels_of(test), []
    for number in range(settings["n_networks"]):
        part = checkpoint.part(f"network-{number}")
        saved = part.load("probabilities")
        if saved is None:
            made = _network(settings, images, test, 1000 * context.seed + number, part, context)
            part.save("probabilities", {"test": made}, {})
        else:
            made = np.array(saved[0]["test"])
        found.append(made)
    averages = [np.mean(found[: number + 1], axis=0).argmax(axis=1) for number in range(len(found))]
    wrong = np.flatnonzero(averages[-1] != truth)
    shown = wrong[:SHOWN]
    return {
        "errors": [float(np.mean(each.argmax(axis=1) != truth)) for each in found],
        "error of averages": [float(np.mean(each != truth)) for each in averages],
        "wrong": wrong,
        "predicted": averages[-1][shown],
        "true": truth[shown],
        "digits": pack(np.stack([np.round(255 * test.read(int(index))[0]) for index in shown]).astype(np.uint8)),
        "seconds": time.perf_counter() - started,
    }


def _network(
    settings: Settings,
    images: ImageCollection,
    test: ImageCollection,
    seed: int,
    checkpoint: Checkpoint,
    context: Context,
) -> NDArray[np.float64]:
    """Probabilities of the test digits by one network."""
    labels = labels_of(images)
    hierarchy = with_filters(images, settings["architecture"], settings["letters"], seed, context)
    features = extract_features(images, PREPROCESSING, hierarchy, progress=context.progress).rows
    classifier = SoftmaxClassifier(weight_decay=1.0, calibrate=False, random_state=0)
    classifier.fit(features[:FOR_CLASSES], labels[:FOR_CLASSES])
    names = ("n_epochs", "batch_size", "learning_rate", "shift", "elastic")
    options = RefinementOptions(
        **{name: settings[name] for name in names if name in settings}, validation_fraction=0.0, random_state=seed
    )
    refined = refine(
        hierarchy, classifier, images, labels, PREPROCESSING, options,
        features=features, checkpoint=checkpoint, progress=context.progress,
    )  # fmt: skip
    return probabilities(refined.hierarchy, refined.classifier, test, context)


def draw(results: Results, path: Path) -> None:
    """Draw the error of averages of networks, and the undistorted test digits that their average gets wrong."""
    canvas = new_canvas(9, 4)
    left, right = canvas.subfigures(1, 2, width_ratios=(1, 1.4))
    axes = left.subplots()
    for protocol, color in zip(PROTOCOLS, ("#3f6f9f", "#b3541e"), strict=True):
        values = _percent(results, protocol, "error of averages")
        axes.plot(range(1, len(values) + 1), values, marker="o", color=color, label=protocol)
    axes.set(xlabel="networks averaged", ylabel="error on test digits, %")
    axes.legend(frameon=False, fontsize=8)
    unit = results[UNDISTORTED]
    n_columns = 10
    cells = right.subplots(SHOWN // n_columns, n_columns).ravel()
    for cell in cells:
        cell.set_axis_off()
    digits = unpack(unit["digits"], (len(unit["true"]), 28, 28))
    for cell, digit, true, predicted in zip(cells, digits, unit["true"], unit["predicted"], strict=False):
        cell.imshow(255 - digit, cmap="gray", vmin=0, vmax=255)
        cell.set_title(f"{true}: {predicted}", fontsize=6, pad=1)
    save_canvas(canvas, path)
