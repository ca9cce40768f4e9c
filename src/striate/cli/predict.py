"""``striate predict MODEL IMAGES…``: what is on pictures."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli._options import AsJson, Threads, emit

if TYPE_CHECKING:
    from striate.images import Skipped
    from striate.recognition import Prediction


def predict(
    model: Annotated[Path, typer.Argument(help="A model file of striate train.", show_default=False)],
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.", show_default=False)],
    top: Annotated[int, typer.Option(min=1, help="How many classes to list for each picture.")] = 5,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print path,label,probability,unknown.")] = False,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Name what is on pictures.

    Pictures that cannot be read are listed with the reason; the others are named all the same.
    """
    from striate.cli._pictures import each_picture, fail_if_skipped
    from striate.recognition import ImageClassifier

    classifier = ImageClassifier.load(model)
    predictions: list[Prediction] = []
    skipped: list[Skipped] = []
    for names, batch in each_picture(images, classifier.preprocessing_, skipped):
        features = classifier.hierarchy_.transform(batch).reshape(len(batch), -1)
        predictions += classifier.classify_features(features, names, n_top=top)
    result = [
        {
            "path": one.name,
            "label": "unknown" if one.unknown else one.label,
            "probability": one.probability,
            "top": [{"label": label, "probability": probability} for label, probability in one.top],
            "unknown": one.unknown,
        }
        for one in predictions
    ]
    emit(result, as_json, _table(predictions) if as_csv else _lines(predictions))
    fail_if_skipped(skipped, len(predictions) + len(skipped))


def _lines(predictions: list[Prediction]) -> str:
    lines = []
    for one in predictions:
        label = f"unknown (nearest: {one.label}" if one.unknown else one.label
        lines.append(
            f"{one.name}: {label}{',' if one.unknown else ''} {one.probability:.1%}{')' if one.unknown else ''}"
        )
    return "\n".join(lines)


def _table(predictions: list[Prediction]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "probability", "unknown"])
    for one in predictions:
        label = "unknown" if one.unknown else one.label
        writer.writerow([one.name, label, f"{one.probability:.6f}", str(one.unknown).lower()])
    return text.getvalue()
