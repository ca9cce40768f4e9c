"""``striate evaluate MODEL FOLDER``: accuracy of a model on labeled images."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Annotated

import typer

from striate.cli._options import AsJson, Cluster, Quiet, Threads, Workers, emit


def evaluate(
    model: Annotated[Path, typer.Argument(help="A model file of striate train.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Labeled images: sub-folders, CSV, .npz or idx.", show_default=False)],
    threads: Threads = None,
    workers: Workers = None,
    dask: Cluster = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure a model on labeled images.

    Images of classes that are not in the model count as wrong; the accuracy of the others is also printed.
    """
    from striate.cli._images import images_in
    from striate.cli._left_out import LeftOut
    from striate.cli._outputs import check_files
    from striate.cli._training import foreign_note
    from striate.images.names import printable
    from striate.progress import RichProgress
    from striate.recognition import ImageClassifier, evaluate_classifier

    check_files(inputs=[model, folder])
    classifier = ImageClassifier.load(model).set_params(feature_cache=True)
    left_out = LeftOut()
    images = left_out.of(images_in(folder))
    with left_out.told_with_errors():
        result = evaluate_classifier(classifier, images, progress=RichProgress(quiet=quiet))
    left_out.skipped += result.skipped
    left_out.notes += foreign_note(result)
    labels = result.images.labels or []
    known = [
        one.label == label
        for one, label in zip(result.predictions, labels, strict=True)
        if label not in result.foreign_classes
    ]
    per_class = {name: value for name, value in result.per_class.items() if name not in result.foreign_classes}
    in_model = statistics.fmean(known) if known else None
    summary = {
        "model": str(model),
        "n_test": result.n_test,
        "accuracy": result.accuracy,
        "mean_class_accuracy": result.mean_class_accuracy,
        "per_class": per_class,
        "unknown_rate": result.unknown_rate,
        "classes_not_in_model": result.foreign_classes,
        "n_not_in_model": result.n_test - len(known),
        "accuracy_of_classes_in_model": in_model,
        "confusion": {"classes": [str(name) for name in classifier.classes_], "counts": result.confusion},
        **left_out.for_json(),
    }
    text = [f"{result.accuracy:.1%} of {result.n_test:,} images right"]
    if in_model is None:
        text[0] += ": none of their classes is in the model"
    else:
        if result.foreign_classes:
            text[0] += f"; {in_model:.1%} of the {len(known):,} whose class is in the model"
        text[0] += f" ({statistics.fmean(per_class.values()):.1%} mean of {len(per_class)} classes)"
        worst = sorted(per_class.items(), key=lambda item: item[1])[:5]
        text.append("hardest: " + ", ".join(f"{printable(name)} {value:.0%}" for name, value in worst))
    if result.unknown_rate is not None:
        text.append(f"{result.unknown_rate:.1%} called unknown")
    emit(summary, as_json, "\n".join(filter(None, [*text, left_out.text()])))
