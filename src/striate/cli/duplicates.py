"""``striate duplicates INDEX``: groups of images that are copies of each other, or nearly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.cli._links import link_of, links_in_words, links_of
from striate.cli._options import AsJson, Quiet, Threads, emit

if TYPE_CHECKING:
    from striate.retrieval import CopyGroup, ImageIndex

MOST_PRINTED = 100


def duplicates(
    index: Annotated[Path, typer.Argument(help="An index file of striate index.", show_default=False)],
    threshold: Annotated[
        int | None,
        typer.Option(min=0, help="Number of bits in which codes of copies may differ.", show_default="a tenth of them"),
    ] = None,
    similarity: Annotated[
        float,
        typer.Option(
            "--similarity",
            "--correlation",
            min=0.0,
            max=1.0,
            help="Required similarity of the pixels of copies; 1 means equal.",
        ),
    ] = 0.7,
    also: Annotated[
        str,
        typer.Option(help='Also find such copies: "mirrored", "bordered" or "mirrored,bordered".', show_default="none"),
    ] = "",
    html: Annotated[
        Path | None, typer.Option(help="Write a contact sheet: one group per row.", show_default=False)
    ] = None,
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Find copies and near-copies among indexed images: resized, compressed again, cut a little.

    Images with similar codes are read again, and their pixels are compared. Nothing is deleted. Groups are transitive:
    each image is a copy of another image of its group. The largest file comes first, and similarities are to it.
    Several names of one file, by hard or symbolic links, are not copies: they are listed as its links.
    """
    from striate.cli._outputs import PAGE, Output, check_files
    from striate.progress import RichProgress
    from striate.retrieval import ImageIndex, near_copies

    pages = [] if html is None else [Output("--html", html, PAGE)]
    check_files(*pages, inputs=[index])
    words = _views(also)
    found = ImageIndex.load(index)
    _check(found, index, threshold)
    copies = near_copies(
        found, threshold=threshold, min_similarity=similarity, also=words, progress=RichProgress(quiet=quiet)
    )
    groups = [_members(found, group) for group in copies]
    if html is not None:
        _write_sheet(html, groups, len(found), index.name)
    files = links_of(found)
    gone, unreadable = _not_compared(found)
    lines = _in_words(groups, len(found)) + links_in_words(files)
    lines += _not_compared_in_words(gone, "gone") + _not_compared_in_words(unreadable, "not to be opened for now")
    result = {
        "index": str(index),
        "images": len(found),
        "similarity": similarity,
        "groups": groups,
        "pairs": [_pairs(found, group) for group in copies],
        "files_of_several_names": files,
        "gone": gone,
        "unreadable": unreadable,
    }
    emit(result, as_json, "\n".join(lines))


def _views(also: str) -> list[str]:
    """The words of --also."""
    from striate.errors import UsageError

    words = [word.strip() for word in also.split(",") if word.strip()]
    for word in words:
        if word not in ("mirrored", "bordered"):
            raise UsageError(f"--also {word}: give mirrored, bordered, or mirrored,bordered.")
    return words


def _check(found: ImageIndex, index: Path, threshold: int | None) -> None:
    """Raise UsageError if duplicates cannot be found in an index."""
    from striate.errors import UsageError

    n_bits = found.encoder.n_bits
    if not found.encoder.binary:
        raise UsageError(f"{index} has real codes: duplicates are found among binary ones.")
    if threshold is not None and threshold >= n_bits:
        raise UsageError(f"--threshold {threshold}: codes have {n_bits} bits, give less.")
    if not Path(found.folder).is_dir():
        raise UsageError(f"{found.folder} is gone, where the images of {index} were: run striate index on them.")


def _counted(groups: list[list[dict[str, Any]]]) -> str:
    return f"{len(groups):,} group{'' if len(groups) == 1 else 's'}"


def _write_sheet(path: Path, groups: list[list[dict[str, Any]]], n_indexed: int, name: str) -> None:
    """Write the contact sheet, one group per row."""
    from striate.report import SheetImage, SheetRow, write_contact_sheet

    rows = [
        SheetRow([SheetImage(Path(one["path"]), one["name"], "; ".join(_notes(one))) for one in group])
        for group in groups
    ]
    note = (
        f"{_counted(groups)} with {sum(map(len, groups)):,} of {n_indexed:,} images, the largest file first. The "
        "similarity of the others is to it, 1 for equal pixels; one without is like another of its group."
    )
    write_contact_sheet(path, rows, title=f"Near-duplicates in {name}", note=note)


def _in_words(groups: list[list[dict[str, Any]]], n_indexed: int) -> list[str]:
    """Lines of text about the first groups."""
    from striate.images.names import printable

    lines = [f"{_counted(groups)} of near-duplicates, {sum(map(len, groups)):,} of {n_indexed:,} images"]
    if groups:
        lines += ["", f"{'bytes':>12}  {'similarity':>10}  name"]
    for group in groups[:MOST_PRINTED]:
        lines.append("")
        for one in group:
            name = printable(one["name"])
            lines.append(f"{one['bytes']:>12,}  {_shown(one['similarity']):>10}  {name}{_how(one)}")
            lines += [f"{'':>12}  {'':>10}    {link['kind']} link: {printable(link['name'])}" for link in one["links"]]
    if len(groups) > MOST_PRINTED:
        lines += ["", f"… and {len(groups) - MOST_PRINTED:,} more groups: --json or --html shows all"]
    return lines


def _not_compared(index: ImageIndex) -> tuple[list[str], list[str]]:
    """Names of images that no longer exist, and of images that cannot be read."""
    from striate.images.stamps import ABSENT, UNAVAILABLE, stamp_of

    gone: list[str] = []
    unreadable: list[str] = []
    for name in index.items.names():
        path = Path(index.folder) / name
        stamp = stamp_of(path)
        if stamp == ABSENT:
            gone.append(name)
        elif stamp == UNAVAILABLE or not os.access(path, os.R_OK):
            unreadable.append(name)
    return gone, unreadable


def _not_compared_in_words(names: list[str], state: str) -> list[str]:
    from striate.images.names import printable

    if not names:
        return []
    some = ", ".join(map(printable, names[:3])) + (", …" if len(names) > 3 else "")
    n = f"{len(names):,} images are" if len(names) > 1 else "1 image is"
    return ["", f"note: {n} {state}, and took no part: {some}"]


def _members(index: ImageIndex, group: CopyGroup) -> list[dict[str, Any]]:
    """Description of each image of a group, the largest file first."""
    from striate.retrieval import is_link

    folder = Path(index.folder)

    def described(row: int) -> dict[str, Any]:
        name = index.items.name(row)
        return {"path": str(folder / name), "name": name, "bytes": index.items.stamp(row)[0]}

    rows = sorted(group, key=lambda row: (-index.items.stamp(row)[0], index.items.name(row)))
    members = []
    for row in rows:
        pair = group.pair(rows[0], row)
        members.append(
            {
                **described(row),
                "similarity": None if pair is None else pair.similarity,
                "how": None if pair is None else pair.how,
                "is_link": is_link(folder / index.items.name(row), folder),
                "links": [link_of(index, other) for other in group.links.get(row, ())],
            }
        )
    return members


def _pairs(index: ImageIndex, group: CopyGroup) -> list[dict[str, Any]]:
    return [
        {
            "first": index.items.name(pair.first),
            "second": index.items.name(pair.second),
            "similarity": pair.similarity,
            "how": pair.how,
        }
        for pair in group.pairs
    ]


def _shown(similarity: float | None) -> str:
    return "" if similarity is None else f"{similarity:.2f}"


def _how(one: dict[str, Any]) -> str:
    words = [one["how"]] if one["how"] not in (None, "as it is") else []
    words += ["a link"] if one["is_link"] else []
    return f"  ({', '.join(words)})" if words else ""


def _notes(one: dict[str, Any]) -> list[str]:
    notes = [f"{one['bytes']:,} bytes"]
    if one["similarity"] is not None:
        notes.append(f"similarity {_shown(one['similarity'])}{_how(one)}")
    elif one["is_link"]:
        notes.append("a link")
    return notes + [f"{link['kind']} link: {link['name']}" for link in one["links"]]
