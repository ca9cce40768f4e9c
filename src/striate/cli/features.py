"""``striate features MODEL IMAGES…``: a model's features of images, as an array or a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli._options import AsJson, Cluster, Images, Threads, Workers, emit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_FORMATS = ("npy", "csv", "json")


def features(
    model: Annotated[Path, typer.Argument(help="A model file of striate train.", show_default=False)],
    images: Images,
    out: Annotated[
        Path,
        typer.Option(
            help="The file to write, .npy, .csv or .json; for .npy the images' names go beside it, .json. "
            "- is standard output."
        ),
    ] = Path("features.npy"),
    format_: Annotated[
        str | None,
        typer.Option("--format", help="npy, csv or json, for a name of any ending.", show_default="by the name"),
    ] = None,
    per_file: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Write one .npy file per so many images into the folder --out, which is made; complete files of an "
            "earlier run are kept.",
            show_default="one file",
        ),
    ] = None,
    threads: Threads = None,
    workers: Workers = None,
    dask: Cluster = None,
    as_json: AsJson = False,
) -> None:
    """Write a model's features of images: float32, one row per image."""
    from striate.cli._images import named_images
    from striate.cli._left_out import LeftOut
    from striate.cli._outputs import Output, beside, check_files, format_of
    from striate.errors import StriateError, UsageError
    from striate.images.names import printable
    from striate.recognition import ImageClassifier

    if per_file is not None:
        if format_ is not None:
            raise UsageError("--per-file writes .npy files: leave out --format.")
        _write_files(model, images, out, per_file, as_json)
        return
    to_stdout = out == Path("-")
    if to_stdout and format_ is None:
        raise UsageError("--out - is standard output: say with --format csv or --format json what to write there.")
    written_as = format_of(out, format_, _FORMATS, default="npy", what="features")
    names_file = beside(out, ".json", (".npy",)) if written_as == "npy" else None
    if to_stdout:
        if as_json or written_as == "npy":
            raise UsageError("--out - takes --format csv or --format json, and no --json.")
        check_files(inputs=[model, *images])
    else:
        # With --format the name may have any ending.
        endings = (f".{written_as}",) if format_ is None else ()
        outputs = [Output("--out", out, endings)]
        if names_file is not None:
            outputs.append(Output("the file of the names", names_file, (".json",)))
        check_files(*outputs, inputs=[model, *images])
    classifier = ImageClassifier.load(model).set_params(feature_cache=True)
    left_out = LeftOut()
    named = named_images(images, left_out)
    found = classifier.extract(named, require_half=False)
    left_out.skipped += found.skipped
    values, names = found.rows, [named.names[position] for position in found.positions]
    left_out.tell(len(names))
    if not names:
        raise StriateError("there are no images to compute features of.")
    if to_stdout:
        emit([], False, _encoded(values, names, written_as).decode())
        return
    _write({out: _encoded(values, names, written_as)} | ({names_file: _json(names)} if names_file else {}))
    result = {
        "features": str(out),
        "format": written_as,
        "names": None if names_file is None else str(names_file),
        "shape": list(values.shape),
        **left_out.for_json(),
    }
    text = f"{values.shape[0]} × {values.shape[1]} features: {printable(out)}"
    emit(result, as_json, text if names_file is None else f"{text}\nnames of the images: {printable(names_file)}")


def _write_files(model: Path, images: Sequence[Path], folder: Path, per_file: int, as_json: bool) -> None:
    """Write the features into a folder, one file per so many images."""
    from striate.cli._images import named_images
    from striate.cli._left_out import LeftOut
    from striate.cli._outputs import check_files
    from striate.errors import StriateError, UsageError
    from striate.hierarchy import write_feature_files
    from striate.images.names import printable
    from striate.progress import RichProgress
    from striate.recognition import ImageClassifier

    if folder == Path("features.npy"):
        raise UsageError("--per-file writes several files: give the name of a folder with --out.")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is no folder: give --out another name.")
    check_files(inputs=[model, *images])
    classifier, left_out = ImageClassifier.load(model), LeftOut()
    found = named_images(images, left_out)
    files = write_feature_files(
        found, classifier.preprocessing_, classifier.hierarchy_, folder, per_file=per_file, progress=RichProgress(),
    )  # fmt: skip
    n_images = sum(len(one.names) for one in files)
    left_out.skipped += [skipped for one in files for skipped in one.skipped]
    left_out.tell(n_images)
    if not n_images:
        raise StriateError("none of the images can be read: see that they are images.")
    result = {
        "features": str(folder),
        "files": [str(one.path) for one in files],
        "shape": [n_images, files[0].rows.shape[1]],
        **left_out.for_json(),
    }
    emit(result, as_json, f"{n_images} × {files[0].rows.shape[1]} features in {len(files)} files: {printable(folder)}")


def _encoded(values: NDArray[np.float32], names: Sequence[str], written_as: str) -> bytes:
    """The content of the file, complete before anything is written to disk."""
    import numpy as np

    from striate.images.names import printable

    if written_as == "npy":
        array = io.BytesIO()
        np.save(array, values)
        return array.getvalue()
    # str of a float32 is the shortest number that is read back as the same one.
    rows = ([str(value) for value in row] for row in values)
    if written_as == "json":
        return _json([{"path": name, "features": list(map(float, row))} for name, row in zip(names, rows, strict=True)])
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["path", *range(values.shape[1])])
    writer.writerows([printable(name), *row] for name, row in zip(names, rows, strict=True))
    return table.getvalue().encode()


def _json(value: object) -> bytes:
    """JSON in UTF-8; bytes of a name that are not valid text become escaped surrogates."""
    return json.dumps(value, ensure_ascii=False, indent=0).encode("utf-8", "backslashreplace")


def _write(contents: dict[Path, bytes]) -> None:
    from striate.whole_file import whole_file

    with ExitStack() as files:  # no file appears before all are written
        for path, content in contents.items():
            file = files.enter_context(whole_file(path))
            file.write(content)
            file.flush()
