"""``striate manifest FOLDER``: list the images of a very large folder once, for all later commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from striate.cli._options import AsJson, Quiet, emit


def manifest(
    folder: Annotated[
        Path, typer.Argument(help="A folder of images, with one sub-folder per class or without.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The manifest; its name ends in .manifest.csv.", show_default="FOLDER.manifest.csv"),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """List the images of a folder in a file that other commands take in its place.

    They then begin at once, where listing millions of files takes minutes. The list is not brought up to date by
    itself: run the command again when the folder has changed. If it is interrupted, the same command goes on.
    """
    from striate.images import write_manifest
    from striate.progress import RichProgress

    whole = folder.absolute()
    path = out or whole.with_name(whole.name + ".manifest.csv")
    n_images = write_manifest(folder, path, progress=RichProgress(quiet=quiet))
    emit({"manifest": path, "n_images": n_images}, as_json, f"{path}: {n_images:,} image{'s'[: n_images != 1]}")
