"""The competition of the talk on the same splits of Caltech-101, run by ourselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.experiments.caltech101 import Task, load_task
from striate.experiments.drawing import new_canvas, save_canvas
from striate.experiments.experiment import Scale
from striate.experiments.figure import Figure
from striate.experiments.results import Results
from striate.experiments.unit import Context, Settings, Unit
from striate.recognition.baselines import DenseSIFT, SparsePyramid, grey_up_to
from striate.recognition.kernel_svm import KernelSVM
from striate.recognition.metrics import mean_class_accuracy
from striate.recognition.pyramid_match import ENOUGH_FOR_WORDS, VisualWords, intersection_kernel, pyramid_histograms
from striate.threads import map_ordered

NAME = "caltech101-competition"
CLAIM = "The competition of its day, on the same pictures: not a straw man."
DATA = {"quick": (), "full": ("caltech101",)}

FOR_LEARNING = 1000  # pictures, none of them ever tested, that words and dictionaries are learned from

Rows = NDArray[np.float32]
Kernel = Callable[[Rows, Rows], NDArray[Any]]


def _accuracy(system: str) -> Callable[[Results], list[float]]:
    return lambda results: [100 * value for value in results.select(system=system).column("accuracy")[0]]


FIGURES = (
    Figure(
        what="dense SIFT, words, spatial pyramid, intersection SVM",
        unit="%",
        better="higher",
        published=64.6,
        source="Lazebnik, Schmid, Ponce, CVPR 2006, table 3",
        goal=64.6,
        measure=_accuracy("SIFT + PMK"),
    ),
    Figure(
        what="dense SIFT, sparse codes, maximum over a pyramid, linear SVM",
        unit="%",
        better="higher",
        published=73.2,
        source="Yang, Yu, Gong, Huang, CVPR 2009, table 1",
        goal=73.2,
        measure=_accuracy("ScSPM"),
    ),
)


def units(scale: Scale) -> list[Unit]:
    """One system each; a unit computes features once and classifies every split."""
    full = scale == "full"
    return [
        Unit(
            system,
            {"system": system, "longest": 300 if full else 64, "step": step if full else 4, "size": size},
            compete,
            expected_seconds=600.0,
        )
        for system, step, size in (("SIFT + PMK", 8, 400 if full else 20), ("ScSPM", 6, 1024 if full else 24))
    ]


def compete(settings: Settings, context: Context) -> dict[str, Any]:
    """Words or a dictionary from pictures that no split tests on; features of every picture; each split's accuracy."""
    task = load_task(context)
    sift = DenseSIFT(step=settings["step"])
    rng = np.random.default_rng([context.seed, 2])
    learn_from = [_picture(task, i, settings["longest"]) for i in rng.permutation(task.unseen)[:FOR_LEARNING]]
    kernel: Kernel = intersection_kernel
    if settings["system"] == "SIFT + PMK":
        words = VisualWords(settings["size"], random_state=context.seed).fit(_descriptors(sift, learn_from, rng))

        def match(picture: Rows) -> Rows:
            descriptors = sift.transform(picture)
            found = words.predict(descriptors.reshape(-1, descriptors.shape[2]))
            return pyramid_histograms(found.reshape(1, *descriptors.shape[:2]), words.n_words)[0]

        features_of: Callable[[Rows], Rows] = match
    else:
        pyramid = SparsePyramid(
            settings["size"], sift=sift, max_batches=1500 if context.scale == "full" else 20, random_state=context.seed
        ).fit(learn_from, progress=context.progress)
        features_of, kernel = pyramid.transform_one, _inner_products
    started = time.perf_counter()
    rows = np.array(list(_features(task, settings["longest"], features_of, context)), np.float32)
    ms = 1000 * (time.perf_counter() - started) / len(rows)
    accuracy = []
    for split in task.splits:
        machine = KernelSVM().fit(kernel(rows[split.train], rows[split.train]), task.labels[split.train])
        predicted = machine.predict(kernel(rows[split.test], rows[split.train]))
        accuracy.append(mean_class_accuracy(task.labels[split.test], predicted))
    return {"accuracy": accuracy, "n_features": rows.shape[1], "ms": ms}


def _inner_products(first: Rows, second: Rows) -> NDArray[Any]:
    return first @ second.T


def _features(task: Task, longest: int, features_of: Callable[[Rows], Rows], context: Context) -> Iterator[Rows]:
    with context.progress.phase("features", len(task.images), "images") as phase:
        for row in map_ordered(lambda index: features_of(_picture(task, index, longest)), range(len(task.images))):
            yield row
            phase.advance()


def _picture(task: Task, index: int, longest: int) -> Rows:
    return grey_up_to(task.images.read(int(index), color=False, at_least=longest), longest)


def _descriptors(sift: DenseSIFT, pictures: list[Rows], rng: np.random.Generator) -> Rows:
    share = -(-ENOUGH_FOR_WORDS // len(pictures))
    drawn = []
    for picture in pictures:
        descriptors = sift.transform(picture).reshape(-1, 128)
        drawn.append(descriptors[rng.permutation(len(descriptors))[:share]])
    return np.concatenate(drawn)


def draw(results: Results, path: Path) -> None:
    """A bar a system, the published value as a line."""
    canvas = new_canvas(6, 3)
    axes = canvas.subplots()
    for place, figure in enumerate(FIGURES):
        found = figure.read(results)
        if found is None or found.value is None:
            continue
        axes.barh(place, found.value, xerr=found.uncertainty, color="#3f6f9f")
        axes.plot([figure.published] * 2, [place - 0.4, place + 0.4], color="black")
        axes.text(1, place, f"{figure.what}: {found.value:.1f}", va="center", fontsize=8, color="white")
    axes.set_yticks([])
    axes.set_xlabel("mean per-class accuracy, %; a line where it was published")
    save_canvas(canvas, path)
