"""Other names of a file, by hard or symbolic links, in the output of search and duplicates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.retrieval import ImageIndex, IndexShards

__all__ = ["link_of", "links_in_words", "links_of"]

_MOST_LISTED = 10


def link_of(index: ImageIndex | IndexShards, row: int) -> dict[str, Any]:
    """Description of an indexed name that is a link to a file of another name."""
    from striate.retrieval import is_link

    folder = Path(index.folder)
    name = index.items.name(row)
    kind = "symbolic" if is_link(folder / name, folder) else "hard"
    return {"path": str(folder / name), "name": name, "bytes": index.items.stamp(row)[0], "kind": kind}


def links_of(index: ImageIndex) -> list[dict[str, Any]]:
    """Files of an index that have several names, each with its links."""
    from striate.retrieval import linked_names

    folder = Path(index.folder)
    return [
        {
            "path": str(folder / index.items.name(row)),
            "name": index.items.name(row),
            "links": [link_of(index, other) for other in others],
        }
        for row, others in linked_names(index, range(len(index))).items()
        if others
    ]


def links_in_words(files: list[dict[str, Any]]) -> list[str]:
    """Lines of text about files with several names; empty if there are none."""
    from striate.images.names import printable

    if not files:
        return []
    n = sum(len(one["links"]) for one in files)
    lines = ["", f"{n:,} of the names are links to files that are there under another name, and no copies:"]
    lines += [
        f"  {printable(link['name'])}: {link['kind']} link, {printable(one['name'])}"
        for one in files
        for link in one["links"]
    ][:_MOST_LISTED]
    if n > _MOST_LISTED:
        lines.append(f"  … and {n - _MOST_LISTED:,} more: --json lists all")
    return lines
