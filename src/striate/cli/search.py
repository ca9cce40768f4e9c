"""``striate search INDEX IMAGES…``: the indexed images that look most like others."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.cli._links import link_of
from striate.cli._options import AsJson, Images, Threads, emit
from striate.errors import one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.images import ImageCollection, Skipped
    from striate.retrieval import ImageIndex, IndexShards


def search(
    index: Annotated[
        Path, typer.Argument(help="An index file of striate index, or a folder of them.", show_default=False)
    ],
    images: Images,
    top: Annotated[int, typer.Option(min=1, help="Number of neighbors of each image.")] = 12,
    html: Annotated[
        Path | None, typer.Option(help="Write a contact sheet: each image beside its neighbors.", show_default=False)
    ] = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Find the images that look like an image.

    The nearest images come first, with the number of bits in which their codes differ: 0 for a copy, about half of all
    bits for an unrelated image. A file with several names (hard or symbolic links) is listed once, with its links.
    """
    from striate.cli._images import named_images
    from striate.cli._left_out import LeftOut
    from striate.cli._outputs import PAGE, Output, check_files
    from striate.errors import StriateError
    from striate.retrieval import ImageIndex, IndexShards

    pages = [] if html is None else [Output("--html", html, PAGE)]
    check_files(*pages, inputs=[index, *images])
    found = IndexShards(index) if index.is_dir() else ImageIndex.load(index)
    if not len(found):
        raise StriateError(f"{index} holds no images: run striate index on a folder that does.")
    if not found.complete:
        sys.stderr.write(one_line(f"{index} is not complete: {_again(index, Path(found.folder))} goes on") + "\n")
    left_out = LeftOut()
    result = _results(found, named_images(images, left_out), top, left_out.skipped)
    _tell_of_gone(index, Path(found.folder), [one for row in result for one in row["neighbors"]])
    for row in result:
        if row["flat"]:
            sys.stderr.write(one_line(f"{row['path']} is of one color: there is nothing in it to search by") + "\n")
    left_out.tell(len(result))
    if html is not None:
        _write_sheet(html, result, found, index.name)
    skipped = [{"path": one.name, "neighbors": [], "skipped": one.reason} for one in left_out.skipped]
    emit(result + skipped, as_json, _in_words(result))


def _results(
    found: ImageIndex | IndexShards, images: ImageCollection, top: int, skipped: list[Skipped]
) -> list[dict[str, Any]]:
    """The result for each image: its neighbors, and whether it is of one color."""
    from striate.images.stamps import ABSENT, stamp_of

    @cache  # images have neighbors in common
    def exists(path: Path) -> bool:
        return stamp_of(path) != ABSENT

    def described(row: int, distance: float, links: list[int]) -> dict[str, Any]:
        name = found.items.name(row)
        path = Path(found.folder) / name
        return {
            "path": str(path),
            "name": name,
            "distance": distance,
            "exists": exists(path),
            "links": [link_of(found, other) for other in links],
        }

    result = []
    for indices, codes in found.encoder.code_batches(images, skipped=skipped):
        for position, nearest in zip(indices, _nearest_files(found, codes, top), strict=True):
            name = images.names[position]
            neighbors = [described(*one) for one in nearest]
            result.append({"path": name, "neighbors": neighbors, "skipped": None, "flat": _is_of_one_color(name)})
    return result


def _write_sheet(path: Path, result: list[dict[str, Any]], found: ImageIndex | IndexShards, name: str) -> None:
    """Write the contact sheet: each image beside its neighbors."""
    from striate.report import SheetImage, SheetRow, write_contact_sheet

    sheet = [
        SheetRow(
            [SheetImage(Path(one["path"]), one["name"], f"{one['distance']:g}") for one in row["neighbors"]],
            SheetImage(Path(row["path"]), row["path"]),
        )
        for row in result
    ]
    note = f"Each image beside its nearest of {len(found):,}, with the bits of {found.encoder.n_bits} that differ."
    write_contact_sheet(path, sheet, title=f"Neighbors in {name}", note=note)


def _in_words(result: list[dict[str, Any]]) -> str:
    from striate.images.names import printable

    lines = []
    for row in result:
        lines.append(printable(row["path"]))
        for one in row["neighbors"]:
            lines.append(f"  {one['distance']:>4g}  {printable(one['name'])}{'' if one['exists'] else '  (gone)'}")
            lines += [f"          {link['kind']} link: {printable(link['name'])}" for link in one["links"]]
    return "\n".join(lines)


def _nearest_files(
    found: ImageIndex | IndexShards, codes: NDArray[Any], top: int
) -> list[list[tuple[int, float, list[int]]]]:
    """For each code the rows of the nearest files, nearest first, their distances, and rows that are links to them.

    Links to a file have the same code, and would otherwise take the places of other images.
    """
    import numpy as np

    from striate.retrieval import linked_names

    n = min(2 * top, len(found))
    while True:
        neighbors = found.search_codes(codes, n)
        # Prefer names that are not links; images of a batch often have neighbors in common.
        files = linked_names(found, np.unique(neighbors.rows).tolist())
        file_of = {row: file for file, others in files.items() for row in (file, *others)}
        result = []
        for rows, distances in zip(neighbors.rows.tolist(), neighbors.distances.tolist(), strict=True):
            nearest: dict[int, float] = {}
            for row, distance in zip(rows, distances, strict=True):
                nearest.setdefault(file_of[row], distance)
            result.append([(file, distance, files[file]) for file, distance in list(nearest.items())[:top]])
        if n == len(found) or all(len(one) >= min(top, len(found)) for one in result):
            return result
        n = min(2 * n, len(found))


def _tell_of_gone(index: Path, folder: Path, neighbors: Sequence[Mapping[str, Any]]) -> None:
    """Print a line on standard error if found images no longer exist."""
    n_gone = sum(not one["exists"] for one in neighbors)
    if not n_gone:
        return
    from striate.images.stamps import ABSENT, stamp_of

    if stamp_of(folder) != ABSENT:
        said = f"{n_gone:,} of the {len(neighbors):,} neighbors are gone from {folder}"
        advice = f"{_again(index, folder)} brings the index up to date"
    else:
        said = f"{folder} is gone, where the images of {index} were, so that the paths of all neighbors lead nowhere"
        advice = f"if it was moved, run striate index on its new place, with --out {shlex.quote(str(index))}"
    sys.stderr.write(one_line(f"note: {said}; {advice}") + "\n")


def _again(index: Path, folder: Path) -> str:
    if index.is_dir():
        return "striate index for each of its files"
    return f"striate index {shlex.quote(str(folder))} --out {shlex.quote(str(index))}"


def _is_of_one_color(name: str) -> bool:
    from striate.errors import UnreadableImage
    from striate.images import read_image
    from striate.retrieval import is_flat

    try:
        return is_flat(read_image(name, at_least=96))
    except UnreadableImage:
        return False
