"""``striate index FOLDER``: codes of a folder's pictures in one file, to search and to find duplicates in."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from striate.cli._options import AsJson, Quiet, Seed, Threads, emit

if TYPE_CHECKING:
    from striate.images import ImageCollection
    from striate.retrieval import ImageIndex

DEFAULT_BITS = 256


def index(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures, at any depth.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="The index file; one that is there is brought up to date.", show_default=True)
    ] = Path("photos.index"),
    bits: Annotated[
        int | None,
        typer.Option(min=16, max=512, help="Bits of a picture's code.", show_default=str(DEFAULT_BITS)),
    ] = None,
    architecture: Annotated[
        str, typer.Option(help='"auto", or the papers’ notation, e.g. "64F9x9 - Rabs - N - PA10x10/5".')
    ] = "auto",
    encoder: Annotated[
        Literal["itq", "pca", "lsh", "deep-autoencoder"] | None,
        typer.Option(
            help="How features become bits: turned principal components, the components themselves, random "
            "hyperplanes, or the code of a deep autoencoder of the features.",
            show_default="itq",
        ),
    ] = None,
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make an index of a folder's pictures, or bring it up to date.

    The first run learns from the pictures themselves how to describe them. Run again, the command encodes new and
    changed pictures only, and drops those that are gone; after a kill it goes on where it was.
    """
    from striate.cli._outputs import INDEX, Output, check_files
    from striate.cli._training import describe_skipped
    from striate.errors import StriateError, UsageError
    from striate.images import as_images
    from striate.progress import RichProgress
    from striate.retrieval import ImageIndex, learn_encoder

    started = time.perf_counter()
    progress = RichProgress(quiet=quiet)
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder: give a folder of pictures.")
    check_files(Output("--out", out, INDEX), inputs=[folder])
    images = as_images(folder)
    if out.exists():
        found = ImageIndex.load(out)
        if bits is not None and bits != found.encoder.n_bits:
            raise UsageError(
                f"{out} has codes of {found.encoder.n_bits} bits: leave out --bits, or give another --out."
            )
        if encoder is not None and encoder != found.encoder.projection.method:
            raise UsageError(
                f"{out} has codes by {found.encoder.projection.method}: leave out --encoder, or give another --out."
            )
        _check_same_folder(found, images, folder, out)
        found.folder = str(folder.resolve())
    else:
        learned = learn_encoder(
            images, n_bits=bits or DEFAULT_BITS, method=encoder or "itq", architecture=architecture, random_state=seed,
            progress=progress,
        )  # fmt: skip
        found = ImageIndex(learned, str(folder.resolve()))
    try:
        changes = found.update(images, save_to=out, progress=progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; {len(found):,} pictures are in {out}: run the command again to go on"
        ) from None
    if not len(found):
        raise StriateError(f"none of the {len(images):,} pictures in {folder} can be read: see that they are pictures.")
    result = {
        "index": str(out),
        "images": len(found),
        "bits": found.encoder.n_bits,
        "added": changes.added,
        "changed": changes.changed,
        "removed": changes.removed,
        "unchanged": changes.unchanged,
        "bytes": out.stat().st_size,
        "seconds": time.perf_counter() - started,
        "skipped": [{"name": one.name, "reason": one.reason} for one in changes.skipped],
    }
    text = (
        f"{len(found):,} pictures in {out}: {changes.added:,} new, {changes.changed:,} changed, "
        f"{changes.removed:,} removed, {changes.unchanged:,} as they were\n{describe_skipped(changes.skipped)}"
    )
    emit(result, as_json, text)


def _check_same_folder(found: ImageIndex, images: ImageCollection, folder: Path, out: Path) -> None:
    """UsageError where an index would lose everything that is in it to another folder."""
    from striate.errors import UsageError

    if len(found) and found.folder != str(folder.resolve()) and not set(images.names) & set(found.items.names()):
        raise UsageError(f"{out} is an index of {found.folder}, and nothing in {folder} is in it: give another --out.")
