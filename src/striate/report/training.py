"""The report of a training run, from the result of `striate.recognition.train_and_evaluate`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.figures import descriptor_images, project_to_pixels
from striate.hierarchy import FilterBank, Hierarchy, LearnedStage, PatchDictionary, SparseCodes
from striate.images import ImageCollection
from striate.learning import PSD, ConvolutionalPSD, SparseCoding, TopographicPSD
from striate.progress import Progress, peak_memory_bytes
from striate.provenance import versions
from striate.recognition import Evaluation, ImageClassifier, TrainingResult
from striate.report.data import Reconstructions, ReportData, Sample, StageFilters
from striate.report.report import write_report
from striate.samples import evenly_spread
from striate.threads import n_threads

__all__ = ["training_report", "write_training_report"]

_SAMPLES = 24  # images in each gallery
_PATCHES = 6  # whose codes are drawn
_SIDE = 96  # pixels that an image in a gallery needs at most


def write_training_report(
    path: str | PathLike[str],
    result: TrainingResult,
    *,
    title: str,
    command: str,
    model: Path,
    progress: Progress,
    seconds: float,
    notes: Sequence[str] = (),
) -> None:
    """Write the report of a training run as one HTML file.

    Parameters
    ----------
    path : str or os.PathLike
    result : TrainingResult
    title : str
        The heading of the page.
    command : str
        The shell command that repeats the run.
    model : Path
        The model file, already written.
    progress : Progress
        Its records are the phases of the run.
    seconds : float
        Duration of the whole run.
    notes : sequence of str
        What was left out of the sources, one sentence per entry.
    """
    data = training_report(
        result, title=title, command=command, model=model, progress=progress, seconds=seconds, notes=notes
    )
    write_report(path, data)


def training_report(
    result: TrainingResult,
    *,
    title: str,
    command: str,
    model: Path,
    progress: Progress,
    seconds: float,
    notes: Sequence[str] = (),
) -> ReportData:
    """The content of the report that `write_training_report` writes."""
    classifier, test = result.classifier, result.test
    return ReportData(
        title=title,
        command=command,
        accuracy=test.accuracy,
        mean_class_accuracy=test.mean_class_accuracy,
        accuracy_before=None if result.before is None else result.before.accuracy,
        n_classes=len(classifier.classes_),
        n_train=result.n_train,
        n_test=test.n_test,
        n_unlabeled=result.n_unlabeled,
        model_path=str(model),
        model_bytes=model.stat().st_size,
        reasons=classifier.record_.reasons,
        notation=str(classifier.hierarchy_),
        architecture=_architecture(classifier),
        stages=[*_stages(classifier), *_refined(classifier)],
        reconstructions=_reconstructions(classifier.record_.stages),
        curve=result.curve,
        pixel_curve=result.pixel_curve,
        ablations=result.ablations,
        confusion=(test.confusion, [str(name) for name in classifier.classes_]),
        samples=_samples(test, evenly_spread(test.n_test, _SAMPLES).tolist()),
        mistakes=_samples(test, _mistakes(test)),
        unknown=_unknown(classifier, test),
        phases=progress.records,
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes(),
        versions=versions(),
        seed=classifier.random_state,
        threads=n_threads(),
        skipped=[(one.name, one.reason) for one in result.skipped],
        left_out=notes,
        # Images of a class that is not in the model are always wrong; the class is listed under "left out".
        per_class={name: value for name, value in test.per_class.items() if name not in test.foreign_classes},
        color="yuv" if classifier.preprocessing_.color == "yuv" else "rgb",
    )


def _architecture(classifier: ImageClassifier) -> list[dict[str, Any]]:
    shape = classifier.preprocessing_.shape
    rows = [{"kind": "input", "label": "image", "shape": shape}, *_rows(classifier.hierarchy_, shape)]
    label = f"classifier, {'linear' if classifier.classifier_.kernel_ == 'linear' else 'Gaussian'} kernel"
    return [*rows, {"kind": "classifier", "label": label, "shape": (len(classifier.classes_),)}]


def _rows(hierarchy: Hierarchy, shape: tuple[int, int, int]) -> list[dict[str, Any]]:
    """The rows of a hierarchy, and inside those of its paths, for maps of this shape."""
    rows = []
    for layer, after in zip(hierarchy, hierarchy.shapes(shape), strict=True):
        paths = [_rows(path, shape) for path in layer.hierarchies]
        rows.append({"kind": layer.drawn_as, "label": layer.words, "shape": after, "paths": paths})
        shape = after
    return rows


def _stages(classifier: ImageClassifier) -> list[StageFilters]:
    learned = classifier.record_.stages
    result = []
    for stage in learned:
        bank = stage.bank
        if isinstance(bank, SparseCodes):
            result.append(_dictionary(stage))
            continue
        if isinstance(bank, PatchDictionary):
            result.append(_patch_dictionary(bank, stage.name))
        if not isinstance(bank, FilterBank):
            continue
        shape = (bank.n_maps, -1, *bank.size)
        psd = [learner for learner in stage.learners if isinstance(learner, PSD | ConvolutionalPSD)]
        projected = None
        first = learned[0].bank
        # Inside a path, the stage before may be of another path.
        if (
            stage.name == "stage 2"
            and isinstance(first, FilterBank)
            and first.filters is not None
            and bank.filters is not None
        ):
            stride = _stride(classifier.hierarchy_.stages[0])
            projected = project_to_pixels(bank.filters, first.filters, table=bank.table, stride=stride)
        result.append(
            StageFilters(
                name=stage.name,
                kind=_kind(stage.learners[0]),
                encoder=np.concatenate([one.encoder_ for one in stage.learners]).reshape(shape),
                decoder=np.concatenate([one.components_ for one in psd]).reshape(shape) if psd else None,
                projected=projected,
                energies=[(record.batch, record.energy) for record in psd[0].history_] if psd else (),
                active_fraction=float(np.mean([one.usage_.mean() for one in psd])) if psd else None,
                dead_units=sum(int((one.usage_ == 0).sum()) for one in psd) if psd else None,
            )
        )
    return result


def _kind(learner: Any) -> str:
    """The method of learning of filters."""
    if isinstance(learner, ConvolutionalPSD):
        return "convolutional PSD"
    if isinstance(learner, TopographicPSD):
        return "topographic PSD"
    return "PSD" if isinstance(learner, PSD) else "random"


def _refined(classifier: ImageClassifier) -> list[StageFilters]:
    """The filters of the same stages after refinement."""
    shown = []
    for name, layer in classifier.record_.refined.items():
        filters = layer.drawn_filters
        if filters is not None:
            shown.append(StageFilters(name=f"{name}, refined", kind="the labels, end to end", encoder=filters))
    return shown


def _dictionary(stage: LearnedStage) -> StageFilters:
    """The units of a dictionary of SIFT descriptors."""
    (learner,) = stage.learners
    assert isinstance(learner, SparseCoding)
    return StageFilters(
        name="dictionary",
        kind="sparse coding",
        encoder=descriptor_images(learner.components_),
        energies=[(record.batch, record.objective) for record in learner.history_],
        active_fraction=float(learner.usage_.mean()),
        dead_units=int((learner.usage_ == 0).sum()),
    )


_LEARNED_BY = {
    "kmeans": "K-means of whitened patches",
    "sparse": "sparse coding of whitened patches",
    "psd": "PSD of whitened patches",
    "random": "random",
}


def _patch_dictionary(layer: PatchDictionary, name: str) -> StageFilters:
    """Filters that the whitening is folded into, and the patches that the units stand for."""
    return StageFilters(name, _LEARNED_BY[layer.learner], layer.folded.filters[: layer.n_units], layer.drawn_filters)


def _stride(stage: Hierarchy) -> int:
    """Pixels between neighbouring outputs of a stage."""
    return math.prod(layer.spacing for layer in stage)


def _reconstructions(stages: Sequence[LearnedStage]) -> Reconstructions | None:
    if not stages or not isinstance(bank := stages[0].bank, FilterBank):
        return None
    stage, learner = stages[0], stages[0].learners[0]
    if not isinstance(learner, PSD):
        return None
    patches = stage.patches[:_PATCHES]
    codes = learner.infer(patches)
    shape = (len(patches), -1, *bank.size)
    centered = patches - patches.mean(axis=1, keepdims=True)  # the code does not contain the mean
    return Reconstructions(centered.reshape(shape), codes, learner.inverse_transform(codes).reshape(shape))


def _mistakes(test: Evaluation) -> list[int]:
    labels = test.images.labels or []
    wrong = [
        (-prediction.probability, index)
        for index, (prediction, label) in enumerate(zip(test.predictions, labels, strict=True))
        if prediction.label != label
    ]
    return [index for _, index in sorted(wrong)[:_SAMPLES]]


def _samples(test: Evaluation, indices: Sequence[int]) -> list[Sample]:
    labels = test.images.labels or []
    return [
        Sample(
            image=_image(test.images, index),
            true=labels[index],
            predicted=test.predictions[index].label,
            probability=test.predictions[index].probability,
            unknown=test.predictions[index].unknown,
            name=test.predictions[index].name,
        )
        for index in indices
    ]


def _image(images: ImageCollection, index: int) -> NDArray[np.uint8]:
    """(height, width) or (height, width, 3)."""
    image = np.clip(255 * images.read(index, at_least=_SIDE), 0, 255).round().astype(np.uint8)
    return image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))


def _unknown(classifier: ImageClassifier, test: Evaluation) -> dict[str, float] | None:
    if classifier.rejection_ is None or test.unknown_rate is None:
        return None
    return {
        "error_rate": classifier.rejection_.error_rate,
        "false_alarm_rate": test.unknown_rate,
        "n_held_out": classifier.rejection_.n_held_out_,
    }
