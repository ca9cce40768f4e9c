"""``striate index FOLDER``: codes of a folder's images in one file, for search and duplicates."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from striate.cli._left_out import LeftOut
from striate.cli._options import AsJson, Cluster, Quiet, Seed, Threads, Workers, emit
from striate.errors import one_line

if TYPE_CHECKING:
    from striate.images import ImageCollection
    from striate.progress import Progress
    from striate.retrieval import Changes, ImageIndex

DEFAULT_BITS = 256


def index(
    folder: Annotated[
        Path, typer.Argument(help="A folder of images at any depth, or of tar files.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The index file; an existing one is updated.", show_default=True)] = Path(
        "photos.index"
    ),
    bits: Annotated[
        int | None,
        typer.Option(min=16, max=512, help="Bits of an image's code.", show_default=str(DEFAULT_BITS)),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            help='"auto", or the papers’ notation, e.g. "64F9x9 - Rabs - N - PA10x10/5".', show_default="auto"
        ),
    ] = None,
    encoder: Annotated[
        Literal["itq", "pca", "lsh", "deep-autoencoder"] | None,
        typer.Option(
            help="How features become bits: principal components, rotated (itq) or not (pca), random "
            "hyperplanes (lsh), or the code of a deep autoencoder of the features.",
            show_default="itq",
        ),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            help="Another index, whose encoder a new index takes, so that both can be searched as one.",
            show_default="learn an encoder",
        ),
    ] = None,
    relearn: Annotated[
        bool,
        typer.Option("--relearn", help="Learn the encoder again from all present images, and encode them all."),
    ] = False,
    seed: Seed = 0,
    threads: Threads = None,
    workers: Workers = None,
    dask: Cluster = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make an index of a folder's images, or bring it up to date.

    The first run learns an encoder from the images themselves. Later runs encode new and changed images only, and
    remove images that are gone; after an interruption the next run continues. When an index has grown to several times
    its first size, a message says so: --relearn learns the encoder again from all present images.
    """
    from striate.cli._images import images_in, is_tar
    from striate.cli._outputs import INDEX, Output, check_files
    from striate.errors import StriateError, UsageError
    from striate.file_lock import hold
    from striate.progress import RichProgress

    started = time.perf_counter()
    progress = RichProgress(quiet=quiet)
    if not folder.is_dir() and not is_tar(folder):
        what = "is no folder" if folder.exists() else "there is no such folder"
        raise UsageError(f"{folder}: {what}: give a folder of images.")
    check_files(Output("--out", out, INDEX), inputs=[folder])
    left_out = LeftOut()
    images = left_out.of(images_in(folder))
    with hold(out) as mine:
        if not mine:
            raise StriateError(f"{out} is being written by another run of striate index: wait until it has ended.")
        found = _opened_or_learned(
            images, folder, out, left_out, bits=bits, method=encoder, architecture=architecture, like=like,
            relearn=relearn, seed=seed, progress=progress,
        )  # fmt: skip
        try:
            with left_out.told_with_errors():
                changes = found.update(images, save_to=out, progress=progress)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"interrupted; {len(found):,} images are in {out}: run the command again to go on"
            ) from None
    if not len(found):
        raise StriateError(f"none of the {len(images):,} images in {folder} can be read: see that they are images.")
    left_out.skipped += changes.skipped
    outgrown = found.outgrown()
    result = {
        **_described(found, changes, out),
        "outgrown": outgrown is not None,
        "bytes": out.stat().st_size,
        "seconds": time.perf_counter() - started,
        **left_out.for_json(),
    }
    emit(result, as_json, _summary(found, changes, left_out, out))
    if outgrown is not None:
        sys.stderr.write(one_line(f"{out}: {outgrown}; striate index {folder} --out {out} --relearn does it") + "\n")


def _described(found: ImageIndex, changes: Changes, out: Path) -> dict[str, Any]:
    return {
        "index": str(out),
        "images": len(found),
        "bits": found.encoder.n_bits,
        "added": changes.added,
        "changed": changes.changed,
        "removed": changes.removed,
        "unchanged": changes.unchanged,
        "out_of_reach": changes.out_of_reach,
        "learned_from": found.encoder.n_images,
    }


def _opened_or_learned(
    images: ImageCollection,
    folder: Path,
    out: Path,
    left_out: LeftOut,
    *,
    bits: int | None,
    method: Literal["itq", "pca", "lsh", "deep-autoencoder"] | None,
    architecture: str | None,
    like: Path | None,
    relearn: bool,
    seed: int,
    progress: Progress,
) -> ImageIndex:
    """The existing index, or a new one with an encoder that is learned from the folder."""
    from striate.errors import UsageError
    from striate.retrieval import ImageIndex, learn_encoder

    if like is not None and (relearn or out.exists() or (bits, method, architecture) != (None, None, None)):
        raise UsageError(
            "--like gives a new index the encoder of another: leave out --bits, --encoder, --architecture and "
            "--relearn, and give --out a new name."
        )
    if out.exists():
        found = ImageIndex.load(out)
        _check_same_folder(found, images, folder, out)
        old = found.encoder
        given = (
            ("--bits", bits, old.n_bits, f"has codes of {old.n_bits} bits"),
            ("--encoder", method, old.projection.method, f"has codes by {old.projection.method}"),
            ("--architecture", architecture, old.architecture, f"was made with {old.architecture or 'another one'}"),
        )
        if not relearn:
            for option, wanted, there, what in given:
                if wanted is not None and wanted != there:
                    raise UsageError(f"{out} {what}: leave out {option}, or give --relearn or another --out.")
            found.folder = str(folder.resolve())
            return found
        bits, method = bits or old.n_bits, method or old.projection.method  # type: ignore[assignment]
        architecture = architecture or old.architecture
    if like is not None:
        learned = ImageIndex.load(like).encoder
    else:
        with left_out.told_with_errors():
            learned = learn_encoder(
                images, n_bits=bits or DEFAULT_BITS, method=method or "itq", architecture=architecture or "auto",
                random_state=seed, progress=progress,
            )  # fmt: skip
    found = ImageIndex(learned, str(folder.resolve()))
    if not out.exists():  # so that an interruption does not lose the encoder
        found.complete = False
        found.save(out)
    return found


def _summary(found: ImageIndex, changes: Changes, left_out: LeftOut, out: Path) -> str:
    from striate.images.names import printable

    lines = [
        f"{len(found):,} images in {printable(out)}: {changes.added:,} new, {changes.changed:,} changed, "
        f"{changes.removed:,} removed, {changes.unchanged:,} as they were"
    ]
    if changes.out_of_reach:
        lines.append(
            f"{changes.out_of_reach:,} images stay in the index although they cannot be looked at for now: "
            "see that their folders can be opened"
        )
    return "\n".join([*lines, left_out.text()])


def _check_same_folder(found: ImageIndex, images: ImageCollection, folder: Path, out: Path) -> None:
    """Raise UsageError if the index is of another folder, since the update would remove all its images."""
    from striate.errors import UsageError

    if len(found) and found.folder != str(folder.resolve()) and not set(images.names) & set(found.items.names()):
        raise UsageError(f"{out} is an index of {found.folder}, and nothing in {folder} is in it: give another --out.")
