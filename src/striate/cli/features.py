"""``striate features MODEL IMAGES…``: a model's features of pictures, as an array."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli._options import AsJson, Threads, emit

if TYPE_CHECKING:
    from striate.images import Skipped


def features(
    model: Annotated[Path, typer.Argument(help="A model file of striate train.", show_default=False)],
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The .npy file to write; the pictures' names go beside it, .json.")] = Path(
        "features.npy"
    ),
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Write a model's features of pictures: float32, one row a picture."""
    import numpy as np

    from striate.cli._pictures import each_picture, fail_if_skipped
    from striate.cli._training import check_writable
    from striate.errors import StriateError
    from striate.hierarchy import FeatureCache
    from striate.recognition import ImageClassifier
    from striate.whole_file import whole_file

    check_writable(out)
    classifier = ImageClassifier.load(model)
    transform = FeatureCache(classifier.hierarchy_)
    names: list[str] = []
    rows = []
    skipped: list[Skipped] = []
    for found, batch in each_picture(images, classifier.preprocessing_, skipped):
        names += found
        rows.append(transform(batch).reshape(len(batch), -1))
    fail_if_skipped(skipped, len(names) + len(skipped))
    if not names:
        raise StriateError("there are no pictures to compute features of.")
    values = np.concatenate(rows)
    names_file = out.with_suffix(".json")
    with whole_file(out) as file:
        np.save(file, values)
    with whole_file(names_file) as file:
        file.write(json.dumps(names, ensure_ascii=False, indent=0).encode())
    result = {"features": str(out), "names": str(names_file), "shape": list(values.shape)}
    emit(result, as_json, f"{values.shape[0]} × {values.shape[1]} features: {out}\nnames of the pictures: {names_file}")
