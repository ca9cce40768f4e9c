"""A contact sheet: rows of thumbnails, beside the image that they were found for, in one HTML file."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from striate.errors import UnreadableImage
from striate.images import read_image
from striate.images.names import printable
from striate.report._page import render_page
from striate.report.drawings import image
from striate.whole_file import whole_file

__all__ = ["SheetImage", "SheetRow", "write_contact_sheet"]

_SIDE = 128  # pixels of a thumbnail's longer side


@dataclass(frozen=True)
class SheetImage:
    """An image of the sheet.

    Parameters
    ----------
    path : Path
        If the file cannot be read, a note replaces the thumbnail.
    name : str
        The text below it.
    note : str
        A second line, such as a distance.
    """

    path: Path
    name: str
    note: str = ""


@dataclass(frozen=True)
class SheetRow:
    """Images that were found, and the image they were found for, if there is one."""

    found: Sequence[SheetImage]
    query: SheetImage | None = None


def write_contact_sheet(path: str | os.PathLike[str], rows: Sequence[SheetRow], *, title: str, note: str = "") -> None:
    """Write rows of images as one self-contained HTML file, with thumbnails inside it.

    Parameters
    ----------
    path : str or os.PathLike
        The file; its folder must exist.
    rows : sequence of SheetRow
    title, note : str
        Heading, and a line below it.

    Raises
    ------
    UsageError
        If the file cannot be written there.
    """
    cells = [
        {"query": _cell(row.query) if row.query else None, "found": [_cell(one) for one in row.found]} for row in rows
    ]
    page = render_page("contact_sheet.html", {"title": title, "note": note, "rows": cells})
    with whole_file(path) as file:
        file.write(page.encode("utf-8", "backslashreplace"))


def _cell(one: SheetImage) -> dict[str, object]:
    return {"image": _thumbnail(one), "name": one.name, "note": one.note}


def _thumbnail(one: SheetImage) -> Markup | None:
    """The image as a small JPEG inside the page; None where it cannot be read."""
    from PIL import Image

    try:
        values = read_image(one.path, color=True, at_least=_SIDE)
    except UnreadableImage:
        return None
    picture = Image.fromarray(np.rint(255 * values.transpose(1, 2, 0)).clip(0, 255).astype(np.uint8))
    picture.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=80)
    width, height = picture.size
    return image(file.getvalue(), printable(one.name), width=width, height=height, kind="photo", media="jpeg")
