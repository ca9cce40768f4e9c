"""``striate evaluate MODEL FOLDER``: how right a model is on pictures whose class is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from striate.cli._options import AsJson, Quiet, Threads, emit


def evaluate(
    model: Annotated[Path, typer.Argument(help="A model file of striate train.", show_default=False)],
    folder: Annotated[
        Path, typer.Argument(help="Labeled pictures: sub-folders, CSV, .npz or idx.", show_default=False)
    ],
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure a model on labeled pictures."""
    from striate.cli._training import describe_skipped
    from striate.images import as_images
    from striate.progress import RichProgress
    from striate.recognition import ImageClassifier, evaluate_classifier

    classifier = ImageClassifier.load(model).set_params(feature_cache=True)
    result = evaluate_classifier(classifier, as_images(folder), progress=RichProgress(quiet=quiet))
    summary = {
        "model": str(model),
        "n_test": result.n_test,
        "accuracy": result.accuracy,
        "mean_class_accuracy": result.mean_class_accuracy,
        "per_class": result.per_class,
        "unknown_rate": result.unknown_rate,
        "classes_not_in_model": result.foreign_classes,
        "confusion": {"classes": [str(name) for name in classifier.classes_], "counts": result.confusion},
        "skipped": [{"name": one.name, "reason": one.reason} for one in result.skipped],
    }
    worst = sorted(result.per_class.items(), key=lambda item: item[1])[:5]
    text = (
        f"{result.accuracy:.1%} of {result.n_test:,} pictures right ({result.mean_class_accuracy:.1%} mean of "
        f"{len(result.per_class)} classes)\nhardest: "
        + ", ".join(f"{name} {value:.0%}" for name, value in worst)
        + (f"\n{result.unknown_rate:.1%} called unknown" if result.unknown_rate is not None else "")
    )
    emit(summary, as_json, "\n".join(filter(None, [text, describe_skipped(result.skipped)])))
