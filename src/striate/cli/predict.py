"""``striate predict MODEL IMAGES…``: what is on images."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli._options import AsJson, Cluster, Images, Threads, Workers, emit

if TYPE_CHECKING:
    from striate.recognition import Predictions


def predict(
    model: Annotated[Path, typer.Argument(help="A model file of striate train.", show_default=False)],
    images: Images,
    top: Annotated[int, typer.Option(min=1, help="Number of classes to list for each image.")] = 5,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print path,label,probability,unknown.")] = False,
    threads: Threads = None,
    workers: Workers = None,
    dask: Cluster = None,
    as_json: AsJson = False,
) -> None:
    """Name what is on images.

    Images that cannot be read are listed with the reason, on standard error and with --json; the others are classified
    anyway. In text and CSV, characters of a name that a terminal cannot show are escaped; --json has the exact name.
    """
    from striate.cli._images import named_images
    from striate.cli._left_out import LeftOut
    from striate.cli._outputs import check_files
    from striate.recognition import ImageClassifier

    check_files(inputs=[model, *images])
    classifier = ImageClassifier.load(model)
    left_out = LeftOut()
    predictions = classifier.classify(named_images(images, left_out), n_top=top, skipped=left_out.skipped)
    result = [
        {
            "path": one.name,
            "label": "unknown" if one.unknown else one.label,
            "probability": one.probability,
            "top": [{"label": label, "probability": probability} for label, probability in one.top],
            "unknown": one.unknown,
            "skipped": None,
        }
        for one in predictions
    ] + [
        {"path": one.name, "label": None, "probability": None, "top": [], "unknown": False, "skipped": one.reason}
        for one in left_out.skipped
    ]
    emit(result, as_json, _table(predictions) if as_csv else _lines(predictions))
    left_out.tell(len(predictions))


def _lines(predictions: Predictions) -> str:
    from striate.images.names import printable

    lines = []
    for one in predictions:
        label = printable(one.label)
        said = f"unknown (nearest: {label}, {one.probability:.1%})" if one.unknown else f"{label} {one.probability:.1%}"
        lines.append(f"{printable(one.name)}: {said}")
    return "\n".join(lines)


def _table(predictions: Predictions) -> str:
    from striate.images.names import printable

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "probability", "unknown"])
    for one in predictions:
        label = "unknown" if one.unknown else one.label
        writer.writerow([printable(one.name), printable(label), f"{one.probability:.6f}", str(one.unknown).lower()])
    return text.getvalue()
