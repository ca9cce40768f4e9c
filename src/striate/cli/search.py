"""``striate search INDEX IMAGES…``: the indexed pictures that look most like others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from striate.cli._options import AsJson, Threads, emit


def search(
    index: Annotated[Path, typer.Argument(help="An index file of striate index.", show_default=False)],
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.", show_default=False)],
    top: Annotated[int, typer.Option(min=1, help="How many neighbors of each picture.")] = 12,
    html: Annotated[
        Path | None, typer.Option(help="Write a contact sheet: each picture beside its neighbors.", show_default=False)
    ] = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Find the pictures that look like a picture.

    They come nearest first, with the number of bits in which their codes differ: 0 is a copy, half of all bits is
    nothing in common.
    """
    from striate.cli._left_out import LeftOut
    from striate.cli._outputs import PAGE, Output, check_files
    from striate.cli._pictures import each_picture
    from striate.errors import StriateError
    from striate.report import SheetPicture, SheetRow, write_contact_sheet
    from striate.retrieval import ImageIndex

    pages = [] if html is None else [Output("--html", html, PAGE)]
    check_files(*pages, inputs=[index, *images])
    found = ImageIndex.load(index)
    if not len(found):
        raise StriateError(f"{index} holds no pictures: run striate index on a folder that does.")
    if not found.complete:
        sys.stderr.write(f"{index} is not complete: striate index {found.folder} --out {index} goes on\n")
    folder = Path(found.folder)
    result: list[dict[str, Any]] = []
    left_out = LeftOut()
    for names, batch in each_picture(images, found.encoder.preprocessing, left_out):
        neighbors = found.search_codes(found.encoder.encode(batch), min(top, len(found)))
        for name, rows, distances in zip(names, neighbors.rows, neighbors.distances, strict=True):
            near = [
                {"path": str(folder / found.items.name(row)), "name": found.items.name(row), "distance": distance}
                for row, distance in zip(rows.tolist(), distances.tolist(), strict=True)
            ]
            result.append({"path": name, "neighbors": near})
    left_out.tell(len(result))
    if html is not None:
        sheet = [
            SheetRow(
                [SheetPicture(Path(one["path"]), one["name"], f"{one['distance']:g}") for one in row["neighbors"]],
                SheetPicture(Path(row["path"]), row["path"]),
            )
            for row in result
        ]
        note = (
            f"Each picture beside its nearest of {len(found):,}, with the bits of {found.encoder.n_bits} that differ."
        )
        write_contact_sheet(html, sheet, title=f"Neighbors in {index.name}", note=note)
    lines = []
    for row in result:
        lines.append(row["path"])
        lines += [f"  {one['distance']:>4g}  {one['name']}" for one in row["neighbors"]]
    emit(result, as_json, "\n".join(lines))
