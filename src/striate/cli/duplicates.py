"""``striate duplicates INDEX``: groups of pictures that are copies of each other, or nearly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from striate.cli._options import AsJson, Quiet, Threads, emit

MOST_PRINTED = 100


def duplicates(
    index: Annotated[Path, typer.Argument(help="An index file of striate index.", show_default=False)],
    threshold: Annotated[
        int | None,
        typer.Option(min=0, help="Bits in which codes of copies may differ.", show_default="a tenth of them"),
    ] = None,
    correlation: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="How much the pixels of copies must agree; 1 is exactly.")
    ] = 0.7,
    html: Annotated[Path | None, typer.Option(help="Write a contact sheet: a group a row.", show_default=False)] = None,
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Find copies and near-copies among indexed pictures: resized, compressed again, cut a little.

    Pictures whose codes are near each other are read again, and their pixels compared. Nothing is deleted. Groups are
    transitive: each picture is a copy of another of its group; the largest file comes first.
    """
    from striate.cli._outputs import PAGE, Output, check_files
    from striate.errors import UsageError
    from striate.images import printable
    from striate.progress import RichProgress
    from striate.report import SheetPicture, SheetRow, write_contact_sheet
    from striate.retrieval import ImageIndex, near_copies

    pages = [] if html is None else [Output("--html", html, PAGE)]
    check_files(*pages, inputs=[index])
    found = ImageIndex.load(index)
    n_bits = found.encoder.n_bits
    if not found.encoder.binary:
        raise UsageError(f"{index} has real codes: duplicates are found among binary ones.")
    if threshold is not None and threshold >= n_bits:
        raise UsageError(f"--threshold {threshold}: codes have {n_bits} bits, give less.")
    folder = Path(found.folder)
    if not folder.is_dir():
        raise UsageError(f"{folder} is gone, where the pictures of {index} were: run striate index on them.")
    copies = near_copies(found, threshold=threshold, min_correlation=correlation, progress=RichProgress(quiet=quiet))
    groups: list[list[dict[str, Any]]] = []
    for rows in copies:
        members = [
            {
                "path": str(folder / found.items.name(row)),
                "name": found.items.name(row),
                "bytes": found.items.stamp(row)[0],
            }
            for row in rows
        ]
        groups.append(sorted(members, key=lambda one: (-one["bytes"], one["name"])))
    n_images = sum(map(len, groups))
    if html is not None:
        sheet = [
            SheetRow([SheetPicture(Path(one["path"]), one["name"], f"{one['bytes']:,} bytes") for one in group])
            for group in groups
        ]
        note = f"{len(groups):,} groups with {n_images:,} of {len(found):,} pictures, the largest file first."
        write_contact_sheet(html, sheet, title=f"Near-duplicates in {index.name}", note=note)
    lines = [f"{len(groups):,} groups of near-duplicates, {n_images:,} of {len(found):,} pictures"]
    for group in groups[:MOST_PRINTED]:
        lines += ["", *(f"{one['bytes']:>12,}  {printable(one['name'])}" for one in group)]
    if len(groups) > MOST_PRINTED:
        lines += ["", f"… and {len(groups) - MOST_PRINTED:,} more groups: --json or --html shows all"]
    result = {"index": str(index), "images": len(found), "groups": groups}
    emit(result, as_json, "\n".join(lines))
