"""Manifests: the files of a folder, listed once, for folders of millions of files.

A manifest is a CSV file of ``path,label``, which other programs read as well. It is written while the folder is
walked, and read by its lines, so that neither needs all names in memory.
"""

from __future__ import annotations

import csv
import io
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, overload

import numpy as np
from numpy.typing import NDArray

from striate.errors import StriateError, UsageError
from striate.images.collection import as_class
from striate.images.folder import _LEFTOVERS, ImageFiles, _is_folder, _is_image, file_identity
from striate.images.names import printable
from striate.images.opening import require_file
from striate.progress import Progress

__all__ = ["MANIFEST", "ManifestImages", "write_manifest"]

MANIFEST = ".manifest.csv"
"""How the name of a manifest ends."""

_HEADER = b"path,label\n"
_CHUNK = 1 << 24  # bytes that are searched for lines at a time
_FLUSH = 20_000  # rows


def write_manifest(
    folder: str | os.PathLike[str], path: str | os.PathLike[str], *, progress: Progress | None = None
) -> int:
    """List the images of a folder in a file, from which `ManifestImages` begins at once.

    The order is that of the names, and the class of an image the first folder of its path, as in `ImageFolder`. Links
    are followed, except to folders that they lie in. A walk that was interrupted goes on after the last name that was
    written: folders that are complete are not opened again.

    Parameters
    ----------
    folder : str or path
    path : str or path
        The manifest, whose name ends in ``.manifest.csv``. Until it is complete it is called ``….partial``. Paths in it
        start at its own folder.
    progress : Progress, optional

    Returns
    -------
    int
        The number of images.

    Raises
    ------
    UsageError
        If the name has another ending, or there is no such folder or no image in it.
    StriateError
        If the folder or one in it cannot be opened, or the manifest cannot be written. Call it again to go on.
    """
    root, target = Path(folder), Path(path)
    if not target.name.endswith(MANIFEST):
        raise UsageError(f"{printable(target)}: give a manifest a name that ends in {MANIFEST}")
    if not root.is_dir():
        raise UsageError(f"{printable(root)}: there is no such folder")
    partial = target.with_name(target.name + ".partial")
    start = os.path.relpath(root, target.parent).replace(os.sep, "/")
    start = "" if start == "." else start + "/"
    try:
        with open(partial, "a+b") as file:
            n_images, last = _resumed(file, start)
            n_images += _write(file, root, start, last, progress or Progress(), n_images)
        if not n_images:
            partial.unlink()
            raise UsageError(f"{printable(root)}: holds no images")
        os.replace(partial, target)
    except OSError as error:
        where = printable(error.filename or target)
        raise StriateError(f"{where}: {error.strerror or error}; run the same again to go on") from None
    return n_images


def _resumed(file: IO[bytes], start: str) -> tuple[int, str]:
    """Cut off an incomplete line; the number of complete ones, and the last name relative to the folder."""
    file.seek(0)
    n_lines, end, last = 0, 0, b""
    for line in file:
        if not line.endswith(b"\n"):
            break
        n_lines, end, last = n_lines + 1, end + len(line), line
    if n_lines and not (n_lines > 1 or last == _HEADER):
        raise UsageError("an unfinished manifest of another kind is in the way: delete the file that ends in .partial")
    file.truncate(end)
    if not n_lines:
        file.write(_HEADER)
    return max(0, n_lines - 1), "" if n_lines < 2 else _fields(last)[0].removeprefix(start)


def _write(file: IO[bytes], root: Path, start: str, last: str, progress: Progress, n_before: int) -> int:
    """Append the names after the last one."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    n_images = 0

    def flush() -> None:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))
        file.flush()
        text.seek(0)
        text.truncate()

    with progress.phase("images", unit="images") as phase:
        phase.advance(n_before)
        for name in _walk(root, "", last, ()):
            writer.writerow((start + name, as_class(name.partition("/")[0]) if "/" in name else ""))
            n_images += 1
            if n_images % _FLUSH == 0:
                flush()
                phase.advance(_FLUSH)
        flush()
        phase.advance(n_images % _FLUSH)
    return n_images


def _walk(root: Path, prefix: str, last: str, above: tuple[Any, ...]) -> Iterator[str]:
    """Names of images below a folder, in order, after the last one."""
    identity = file_identity(root / prefix) or root / prefix
    if identity in above:  # a circle of links
        return
    found = []
    with os.scandir(root / prefix) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in _LEFTOVERS or "\n" in entry.name:
                continue
            if _is_folder(entry):
                found.append(prefix + entry.name + "/")
            elif _is_image(entry):
                found.append(prefix + entry.name)
    # With "/" behind the names of folders, this is the order of all names below them.
    for name in sorted(found):
        if not name.endswith("/"):
            if name > last:
                yield name
        elif name > last or last.startswith(name):
            yield from _walk(root, name, last, (*above, identity))


class ManifestImages(ImageFiles):
    """The images of a manifest: a collection of millions of files that is there at once.

    The manifest is mapped into memory. Names are read from it when they are asked for; the places of its lines and the
    labels take 16 bytes per image. Whether the files exist is not checked before they are read.

    Parameters
    ----------
    path : str or path
        Written by `write_manifest`.

    Attributes
    ----------
    path : Path
        The folder that `names` are relative to: that of the manifest.

    Raises
    ------
    UsageError
        If there is no such file, or it is not a manifest.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        shown = printable(path)
        require_file(Path(path))
        try:
            with open(path, "rb") as file:
                head = file.read(len(_HEADER))
                if head != _HEADER:
                    raise UsageError(f"{shown}: is not a manifest, its first line is not path,label; write it again")
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise UsageError(f"{shown}: there is no such file") from None
        except OSError as error:
            raise UsageError(f"{shown}: cannot be read ({error.strerror})") from None
        ends = _line_ends(content)
        if len(ends) < 2 or int(ends[-1]) != len(content):
            raise UsageError(f"{shown}: lists no images, or its last line is cut off; write it again")
        self.path = Path(path).parent
        self.names: _Names = _Names(content, ends)
        labels = _labels(content, len(ends) - 1)
        self.labels = labels if any(labels) else None

    def path_of(self, index: int) -> Path:
        """See `ImageCollection.path_of`."""
        return self.path / self.names[index]


class _Names(Sequence[str]):
    """The paths of a manifest, read from it one by one."""

    def __init__(self, content: mmap.mmap, ends: NDArray[np.int64]) -> None:
        self._content, self._ends = content, ends

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no image {index} among {len(self)}")
        place = index % len(self)
        return _fields(self._content[self._ends[place] : self._ends[place + 1]])[0]


def _line_ends(content: mmap.mmap) -> NDArray[np.int64]:
    """Where lines end."""
    parts = []
    for start in range(0, len(content), _CHUNK):
        found = np.flatnonzero(np.frombuffer(content[start : start + _CHUNK], np.uint8) == ord("\n"))
        parts.append(found + start + 1)
    return np.concatenate(parts).astype(np.int64, copy=False)


def _labels(content: mmap.mmap, n_images: int) -> list[str]:
    """The labels, each kept once."""
    known: dict[bytes, str] = {}
    kept: dict[str, str] = {}
    labels: list[str] = []
    content.seek(len(_HEADER))
    for line in iter(content.readline, b""):
        end = line[line.rfind(b",") + 1 :]
        label = known.get(end)
        if label is None:
            label = as_class(_fields(line)[1])
            label = kept.setdefault(label, label)
            if not end.endswith(b'"\n'):  # a label in quotes may have commas
                known[end] = label
        labels.append(label)
    assert len(labels) == n_images
    return labels


def _fields(line: bytes) -> list[str]:
    """Path and label of a line."""
    text = line.decode("utf-8", "surrogateescape").rstrip("\n")
    fields = next(csv.reader([text])) if '"' in text else text.split(",")
    if len(fields) != 2:
        raise UsageError(f"a manifest has a line that is not path,label: {printable(text)}; write it again")
    return fields
