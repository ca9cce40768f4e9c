"""CSV files of `path,label`, which label images without moving them.

Programs write CSV in many ways. Delimiter, column of paths and header are found by trial: those are chosen with which
most paths lead to existing files.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from striate.errors import UsageError
from striate.images.collection import as_class
from striate.images.kinds import EXTENSIONS
from striate.images.names import printable
from striate.images.opening import require_file

# Known titles of columns, in lower case, reduced to letters and digits.
_PATH_TITLES = frozenset(
    {"path", "paths", "file", "files", "filename", "filenames", "filepath", "filepaths", "name", "image", "images"}
    | {"imagepath", "imagename", "imagefile", "imageid", "img", "imgname", "imgpath", "imgid", "idcode", "url", "src"}
    | {"picture", "photo", "photopath"}
)
_LABEL_TITLES = frozenset(
    {"label", "labels", "class", "classes", "classname", "category", "categories", "cat", "cats", "target", "targets"}
    | {"diagnosis", "species", "kind", "tag", "y"}
)
_DELIMITERS = ",;\t|"
_LOOKED_AT = 50  # rows that are examined to find the format
_QUOTE = "and put a path that holds a comma in double quotes"


class _Row(NamedTuple):
    line: int
    cells: list[str]


def read_csv(path: Path, *, missing: list[tuple[str, int]] | None = None) -> tuple[list[str], list[str] | None]:
    """Paths and labels from a CSV file.

    Parameters
    ----------
    path : Path
        One row per image, `path,label` or `path` alone; in UTF-8, UTF-16, or, when its paths then lead to files,
        Windows-1252. Empty rows are skipped. The delimiter may be a comma, a semicolon, a tab or
        a bar; a first row of titles is a header; the label may come first, and a column of row numbers is ignored. A
        path may have backslashes, or lack its ending when only one such file exists.
    missing : list of (str, int), optional
        Paths that lead to no file, and their lines, are appended here.

    Returns
    -------
    names : list of str
        The paths; relative ones start at the folder of the CSV file.
    labels : list of str, or None
        ``""`` where the label is blank; None when no image has one.

    Raises
    ------
    UsageError
        When the file cannot be read or is malformed; the message names the line.
    """
    shown = printable(path)
    require_file(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{shown}: there is no such file") from None
    except OSError as error:
        raise UsageError(f"{shown}: cannot be read ({error.strerror})") from None
    files = _Files(path.parent)
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = _as_windows_text(content, shown, files)
    return _listed(_best_table(text, shown, files), shown, files, [] if missing is None else missing)


def _as_windows_text(content: bytes, shown: str, files: _Files) -> str:
    """Text of a file that is not UTF-8, if read as Windows-1252 its paths lead to files."""
    try:
        text = content.decode("cp1252")
        if _best_table(text, shown, files).n_found:
            return text
    except (UnicodeDecodeError, UsageError):
        pass
    raise UsageError(f"{shown}: is not UTF-8 text; save the CSV as UTF-8") from None


class _Files:
    """Find the file that a written path means."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stems: dict[str, defaultdict[str, list[str]]] = {}

    def find(self, written: str) -> str | None:
        """The path of the file that is meant, relative if it was written so; None if there is none, or several."""
        ways = dict.fromkeys(way for plain in (written, written.strip()) for way in (plain, plain.replace("\\", "/")))
        return next((way for way in ways if self._is_file(way)), None) or next(
            filter(None, map(self._named, ways)), None
        )

    def _is_file(self, name: str) -> bool:
        return bool(name) and os.path.isfile(self._folder / name)

    def _named(self, name: str) -> str | None:
        """The path with its missing ending."""
        parent, stem = os.path.split(name)
        if not stem:
            return None
        if parent not in self._stems:
            stems = self._stems[parent] = defaultdict(list)
            try:
                for file in os.listdir(self._folder / parent):
                    root, ending = os.path.splitext(file)
                    if ending.lower() in EXTENSIONS:
                        stems[root].append(ending)
            except (OSError, ValueError):
                pass
        endings = self._stems[parent].get(stem, [])
        return name + endings[0] if len(endings) == 1 else None


class _Table(NamedTuple):
    """Rows, and which columns hold paths and labels."""

    rows: list[_Row]
    path_column: int
    label_column: int | None
    n_found: int  # number of the first rows that lead to a file


def _best_table(text: str, shown: str, files: _Files) -> _Table:
    """The file, read with the delimiter that gives the most paths of existing files."""
    if re.search("\r(?!\n)", text):  # line ends of the old Macintosh
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    stated = re.match(r"sep=(.)\r?\n", text)  # some spreadsheets state the delimiter
    first = next((line for line in text.splitlines() if line.strip()), "")
    candidates = stated[1] if stated else [one for one in _DELIMITERS if one == "," or one in first]
    tables: list[_Table] = []
    problem: UsageError | None = None
    for delimiter in candidates:
        try:
            rows = _rows(text, delimiter, shown)
            if stated:
                del rows[0]
            tables.append(_understood(rows, shown, files))
        except UsageError as error:
            problem = problem or error
    # The comma comes first and wins unless another delimiter gives more paths, or more than one column.
    best = max(tables, key=lambda table: (table.n_found, table.label_column is not None), default=None)
    if best is None or (problem and not best.n_found and best.label_column is None):
        raise problem or UsageError(f"{shown}: names no images; give path,label, one row per image")
    return best


def _rows(text: str, delimiter: str, shown: str) -> list[_Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[_Row] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if rows and len(cells) != len(rows[0].cells) and not re.match("sep=", rows[0].cells[0]):
                raise UsageError(
                    f"{shown}, line {reader.line_num}: has {len(cells)} columns, the first row has "
                    f"{len(rows[0].cells)}; give path,label in every row, {_QUOTE}"
                )
            rows.append(_Row(reader.line_num, cells))
    except csv.Error as error:
        raise UsageError(f"{shown}, line {reader.line_num}: is malformed ({error}); give path,label") from None
    return rows


def _understood(rows: list[_Row], shown: str, files: _Files) -> _Table:
    """Find the columns and the header by existing files or, when there are none, by the titles."""
    if not rows:
        raise UsageError(f"{shown}: names no images; give path,label, one row per image")
    titles = [re.sub(r"[^a-z0-9]", "", cell.lower()) for cell in rows[0].cells]
    found = [
        sum(files.find(row.cells[column]) is not None for row in rows[:_LOOKED_AT]) for column in range(len(titles))
    ]
    path_column = found.index(max(found))
    n_found = found[path_column]
    if not n_found:
        path_column = 0
    if titles[path_column] in _PATH_TITLES or (n_found and _is_title(rows[0].cells[path_column], files)):
        header, rows = titles, rows[1:]
    else:
        header = [""] * len(titles)
    others = [column for column in range(len(titles)) if column != path_column]
    if len(others) > 1 or (n_found and header[path_column]):
        others = [column for column in others if header[column] or not _are_numbers(rows, column)]
    if len(others) > 1 and n_found:
        others = [column for column in others if header[column] in _LABEL_TITLES] or others
    if len(others) > 1:
        line = rows[0].line if rows else 1
        raise UsageError(f"{shown}, line {line}: has {len(titles)} columns; give path,label, {_QUOTE}")
    return _Table(rows, path_column, others[0] if others else None, n_found)


def _is_title(cell: str, files: _Files) -> bool:
    return files.find(cell) is None and os.path.splitext(cell.strip())[1].lower() not in EXTENSIONS


def _are_numbers(rows: list[_Row], column: int) -> bool:
    """Whether a column numbers the rows, from 0 or 1."""
    numbers = [row.cells[column].strip() for row in rows]
    return any(numbers == [str(number) for number in range(first, len(rows) + first)] for first in (0, 1))


def _listed(
    table: _Table, shown: str, files: _Files, missing: list[tuple[str, int]]
) -> tuple[list[str], list[str] | None]:
    line_of: dict[str, int] = {}
    labels: list[str] = []
    for line, cells in table.rows:
        written, where = cells[table.path_column], f"{shown}, line {line}"
        if not written.strip():
            raise UsageError(f"{where}: the path is blank; give path,label")
        if "\0" in written:
            raise UsageError(f"{where}: holds a zero byte; save the CSV as plain UTF-8 text")
        # A file name may begin or end with spaces, so that a path that leads to no file is kept as written.
        name = files.find(written)
        if name is None:
            missing.append((written, line))
            name = written
        if name in line_of:
            raise UsageError(f"{where}: {printable(name)} is already on line {line_of[name]}; name it once")
        line_of[name] = line
        labels.append("" if table.label_column is None else as_class(cells[table.label_column].strip()))
    if not line_of:
        raise UsageError(f"{shown}: names no images; give path,label, one row per image")
    return list(line_of), labels if any(labels) else None
