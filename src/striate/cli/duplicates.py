"""``striate duplicates INDEX``: groups of pictures that are copies of each other, or nearly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from striate.cli._options import AsJson, Threads, emit

MOST_PRINTED = 100


def duplicates(
    index: Annotated[Path, typer.Argument(help="An index file of striate index.", show_default=False)],
    threshold: Annotated[
        int | None,
        typer.Option(min=0, help="Bits in which near-copies may differ; 0 for equal codes.", show_default="8 %"),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a contact sheet: a group a row.", show_default=False)] = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Find copies and near-copies among indexed pictures: resized, compressed again, cut a little.

    Nothing is deleted. Groups are transitive: each picture is near another of its group, the largest files first.
    """
    from striate.cli._training import check_writable
    from striate.errors import UsageError
    from striate.report import SheetPicture, SheetRow, write_contact_sheet
    from striate.retrieval import DUPLICATE_SHARE, ImageIndex, near_duplicates

    if html is not None:
        check_writable(html)
    found = ImageIndex.load(index)
    n_bits = found.encoder.n_bits
    if not found.encoder.binary:
        raise UsageError(f"{index} has real codes: duplicates are found among binary ones.")
    if threshold is None:
        threshold = round(DUPLICATE_SHARE * n_bits)
    if threshold >= n_bits:
        raise UsageError(f"--threshold {threshold}: codes have {n_bits} bits, give less.")
    folder = Path(found.folder)
    groups: list[list[dict[str, Any]]] = []
    for rows in near_duplicates(found.codes, n_bits, threshold):
        members = [
            {
                "path": str(folder / found.items.name(row)),
                "name": found.items.name(row),
                "bytes": found.items.stamp(row)[0],
            }
            for row in rows.tolist()
        ]
        groups.append(sorted(members, key=lambda one: (-one["bytes"], one["name"])))
    n_images = sum(map(len, groups))
    if html is not None:
        sheet = [
            SheetRow([SheetPicture(Path(one["path"]), one["name"], f"{one['bytes']:,} bytes") for one in group])
            for group in groups
        ]
        note = f"{len(groups):,} groups with {n_images:,} of {len(found):,} pictures; up to {threshold} bits apart."
        write_contact_sheet(html, sheet, title=f"Near-duplicates in {index.name}", note=note)
    lines = [f"{len(groups):,} groups of near-duplicates, {n_images:,} of {len(found):,} pictures"]
    for group in groups[:MOST_PRINTED]:
        lines += ["", *(f"{one['bytes']:>12,}  {one['name']}" for one in group)]
    if len(groups) > MOST_PRINTED:
        lines += ["", f"… and {len(groups) - MOST_PRINTED:,} more groups: --json or --html shows all"]
    result = {"index": str(index), "threshold": threshold, "bits": n_bits, "images": len(found), "groups": groups}
    emit(result, as_json, "\n".join(lines))
