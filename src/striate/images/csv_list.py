"""A CSV file of `path,label`: the way to label pictures without moving them."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from striate.errors import UsageError
from striate.images.collection import as_class
from striate.images.names import printable

# What the first cell of a header may say; anything else is the path of a picture already.
_PATH_TITLES = frozenset({"path", "file", "filename", "file_name", "filepath", "image", "image_path", "name"})

_QUOTE = "and put a path that holds a comma in double quotes"


def read_csv(path: Path) -> tuple[list[str], list[str] | None]:
    """Paths and labels from a CSV file.

    Parameters
    ----------
    path : Path
        UTF-8, with or without a byte-order mark; comma-separated; one row a picture, `path,label` or `path`
        alone. A first row whose first cell is ``path`` (or ``file``, ``image``, …) is a header. Rows without
        anything in them are skipped.

    Returns
    -------
    names : list of str
        The paths as they are written; relative ones are meant from the CSV's own folder. Whether the files
        exist is not looked at.
    labels : list of str, or None
        ``""`` where the label is blank; None when no picture has one.

    Raises
    ------
    UsageError
        When the file cannot be read or is malformed; the message names the line.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return _parse(file, printable(path))
    except FileNotFoundError:
        raise UsageError(f"{printable(path)}: there is no such file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{printable(path)}: is not UTF-8 text; save the CSV as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{printable(path)}: cannot be read ({error.strerror})") from None


def _parse(file: Iterable[str], shown_path: str) -> tuple[list[str], list[str] | None]:
    line_of: dict[str, int] = {}
    labels: list[str] = []
    n_columns = 0
    rows = csv.reader(file, strict=True)
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            where = f"{shown_path}, line {rows.line_num}"
            if n_columns == 0:
                n_columns = len(cells)
                if n_columns > 2:
                    raise UsageError(f"{where}: has {n_columns} columns; give path,label, {_QUOTE}")
                if cells[0].lower() in _PATH_TITLES:
                    continue
            if len(cells) != n_columns:
                raise UsageError(
                    f"{where}: has {len(cells)} columns, the first row has {n_columns}; "
                    f"give path,label in every row, {_QUOTE}"
                )
            # A file name may begin or end with spaces, so that the path is taken as it is written.
            name = row[0]
            if not cells[0]:
                raise UsageError(f"{where}: the path is blank; give path,label")
            if "\0" in name:
                raise UsageError(f"{where}: holds a zero byte; save the CSV as plain UTF-8 text")
            if name in line_of:
                first = line_of[name]
                raise UsageError(f"{where}: {printable(name)} is already on line {first}; name it once")
            line_of[name] = rows.line_num
            labels.append(as_class(cells[1]) if n_columns == 2 else "")
    except csv.Error as error:
        where = f"{shown_path}, line {rows.line_num}"
        raise UsageError(f"{where}: is malformed ({error}); give path,label") from None
    if not line_of:
        raise UsageError(f"{shown_path}: names no pictures; give path,label, one row a picture")
    return list(line_of), labels if any(labels) else None
