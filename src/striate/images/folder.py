"""Images in files: a folder with one sub-folder per class, a flat folder, a CSV of paths, or a list of paths.

One rule decides the labels: the class of an image is the sub-folder directly below the folder that contains it, at
any depth; an image in the folder itself has no label.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from striate.errors import UsageError
from striate.images.collection import ImageCollection, as_class
from striate.images.csv_list import read_csv
from striate.images.decode import image_size, read_image
from striate.images.kinds import EXTENSIONS, HEIF_FAMILY, is_image_kind, is_read, notes_on_ignored
from striate.images.names import printable

# Files that operating systems create, in lower case; names that begin with a dot are skipped anyway.
_LEFTOVERS = frozenset({"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"})
_DATA_ENDINGS = (".csv", ".npz", "-ubyte", "-ubyte.gz")


class ImageFiles(ImageCollection):
    """Image files, each decoded when it is read.

    Parameters
    ----------
    paths : sequence of str or path
        The files. A missing or damaged file raises an error when it is read.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        self.names = [os.fspath(path) for path in paths]

    def path_of(self, index: int) -> Path:
        """See `ImageCollection.path_of`."""
        return Path(self.names[index])

    def read(self, index: int, *, color: bool | None = None, at_least: int | None = None) -> np.ndarray:
        """See `ImageCollection.read`."""
        return read_image(self.path_of(index), color=color, at_least=at_least)

    def size_of(self, index: int) -> tuple[int, int, int]:
        """See `ImageCollection.size_of`."""
        return image_size(self.path_of(index))


class ImageFolder(ImageFiles):
    """The images of a folder, or those that a CSV file names.

    Three layouts:

    - *sub-folders*: every sub-folder that holds images, at any depth, is a class, and its name is the label.
      Images beside the sub-folders have no label;
    - *flat*: images without sub-folders have no labels;
    - *CSV*: rows `path,label`, header optional, relative paths from the CSV's folder, a blank label for none; as
      spreadsheets and pandas write it, see `csv_list.read_csv`.

    Hidden files and files of the operating system (``Thumbs.db``, ``__MACOSX``) are skipped; other files that are not
    images are ignored and counted. Links are followed, but no folder is entered twice within a class, so that circles
    of links end. Only names are kept in memory: 50,000 files are listed in a fraction of a second.

    Labels are in Unicode's composed form (NFC), so that "é" from a Mac's folder and "é" from Linux are one
    class. Folders that cannot be opened are left out, and named in `unreadable_folders`.

    Parameters
    ----------
    path : str or path
        The folder or the ``.csv`` file.

    Attributes
    ----------
    path : Path
        The folder that `names` are relative to.
    ignored, notes, unreadable_folders
        See `ImageCollection`.
    n_ignored : int
        Number of ignored files.

    Raises
    ------
    UsageError
        When there is no such folder, it cannot be opened, or no image is found; when a CSV is malformed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            scan = _Scan(self.path)
            self.names = scan.names
            self.labels = scan.labels()
            self.ignored = dict(scan.ignored)
            self.notes = scan.notes
            self.unreadable_folders = scan.unreadable
        elif self.path.suffix.lower() == ".csv":
            self._read_csv()
        elif self.path.exists():
            raise UsageError(f"{printable(path)}: is neither a folder nor a .csv file of path,label")
        else:
            raise UsageError(f"{printable(path)}: there is no such folder")

    def __repr__(self) -> str:
        return f"ImageFolder({self._contents()}, in {printable(self.path)})"

    def _read_csv(self) -> None:
        shown = printable(self.path)
        missing: list[tuple[str, int]] = []
        self.names, self.labels = read_csv(self.path, missing=missing)
        self.path = self.path.parent
        if missing:
            first, line = missing[0]
            what = "is a folder" if (self.path / first).is_dir() else "does not exist"
            if len(missing) == len(self.names):
                raise UsageError(
                    f"{shown}, line {line}: {printable(first)} {what}, and no other file that is named exists; "
                    "give path,label, with paths from the CSV's own folder"
                )
            self.notes.append(
                f"{shown}: {len(missing)} of {len(self.names)} files that are named do not exist, the first is "
                f"{printable(first)} on line {line}"
            )

    @property
    def n_ignored(self) -> int:
        """Number of ignored files."""
        return sum(self.ignored.values())

    def path_of(self, index: int) -> Path:
        """See `ImageCollection.path_of`."""
        return self.path / self.names[index]


class _Scan:
    """One walk through a folder."""

    def __init__(self, root: Path) -> None:
        self.names: list[str] = []  # relative, with "/" on every system, sorted
        self.ignored: Counter[str] = Counter()
        self.notes: list[str] = []
        self.unreadable: list[str] = []
        self._lost: list[str] = []  # a note on each class of which nothing can be read
        self._empty: list[str] = []  # sub-folders without images
        self._n_folders_skipped = 0
        self._data_files: list[str] = []

        loose, classes = self._list(root, "")
        self.names += loose
        for name in classes:
            self._walk_class(root, name)
        self.names.sort()
        if not self.names:
            raise UsageError(self._why_empty(root))
        self._take_notes(root, len(loose))

    def labels(self) -> list[str] | None:
        """The first part of every name that has more than one; None when all images are loose."""
        labels = [as_class(name.partition("/")[0]) if "/" in name else "" for name in self.names]
        return labels if any(labels) else None

    def _walk_class(self, root: Path, class_name: str) -> None:
        """Collect the images below one sub-folder."""
        n_before, n_unreadable = len(self.names), len(self.unreadable)
        ignored_before = self.ignored.copy()
        # Each real folder is entered once per class, however it is reached: this ends circles of links, and keeps the
        # walk short when links cross.
        entered = {file_identity(root) or root}
        waiting = [class_name]
        while waiting:
            prefix = waiting.pop()
            identity = file_identity(root / prefix) or root / prefix
            if identity in entered:
                self._n_folders_skipped += 1
                continue
            entered.add(identity)
            pictures, folders = self._list(root / prefix, prefix + "/")
            self.names += pictures
            waiting += [f"{prefix}/{name}" for name in reversed(folders)]
        if len(self.names) == n_before:
            self._note_without_images(class_name, self.ignored - ignored_before, len(self.unreadable) > n_unreadable)

    def _note_without_images(self, class_name: str, ignored: Counter[str], unreadable: bool) -> None:
        """Distinguish a class without readable images from a sub-folder that is not a class."""
        lost = [ending for ending, _ in ignored.most_common() if is_image_kind(ending)]
        if lost:
            n = ignored.total()
            files = f"none of its {n} files can be read" if n > 1 else "its only file cannot be read"
            self._lost.append(f"class {printable(class_name)}: {files} ({', '.join(lost)})")
        elif not unreadable:
            self._empty.append(class_name)

    def _list(self, folder: Path, prefix: str) -> tuple[list[str], list[str]]:
        """Images (with the prefix) and sub-folders of one folder; folders sorted."""
        pictures: list[str] = []
        folders: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith(".") or name.lower() in _LEFTOVERS:
                        continue
                    if _is_folder(entry):
                        folders.append(name)
                    elif _is_image(entry):
                        # Broken links are included: they are listed as unreadable.
                        pictures.append(prefix + name)
                    else:
                        self.ignored[os.path.splitext(name)[1].lower()] += 1
                        if not prefix and name.lower().endswith(_DATA_ENDINGS):
                            self._data_files.append(name)
        except OSError as error:
            if not prefix:
                raise UsageError(f"{printable(folder)}: cannot be opened ({error.strerror})") from None
            self.unreadable.append(prefix.rstrip("/"))
            self.notes.append(f"{printable(folder)}: was left out, it cannot be opened ({error.strerror})")
        return pictures, sorted(folders)

    def _why_empty(self, root: Path) -> str:
        if self.notes:
            return self.notes[0]
        if self._data_files:
            # Of MNIST's four files, the images to learn from.
            best = min(self._data_files, key=lambda name: ("train" not in name, "images" not in name, name))
            data_file = printable(root / best)
            return f"{printable(root)}: holds no image files; to use the data file in it, give {data_file}"
        endings = " ".join(sorted(EXTENSIONS))
        n_ignored = self.ignored.total()
        what = f"none of its {n_ignored} files is an image" if n_ignored else "holds no images"
        where = "in the folder itself or in one sub-folder per class"
        images = {ending: count for ending, count in self.ignored.items() if is_image_kind(ending)}
        if images:
            return "; ".join(notes_on_ignored(printable(root), images))
        return f"{printable(root)}: {what}; striate reads {endings}, {where}"

    def _take_notes(self, root: Path, n_loose: int) -> None:
        shown = printable(root)
        n_classes = len(set(self.labels() or ()) - {""})
        if n_loose and n_classes:
            self.notes.append(
                f"{shown}: {n_loose} images lie beside the sub-folders and count as unlabeled; "
                "to label them, move them into a sub-folder"
            )
        self.notes += self._lost
        if n_classes and self._empty:
            self.notes.append(f"{shown}: sub-folders without images are no classes: {_some(self._empty)}")
        if n_classes == 1 and not n_loose and all(name.count("/") > 1 for name in self.names):
            inner = printable(root / self.names[0].partition("/")[0])
            self.notes.append(f"{shown}: all images lie below one sub-folder; give {inner} if the classes are in it")
        if self._n_folders_skipped:
            n_links = self._n_folders_skipped
            self.notes.append(f"{shown}: {n_links} links to folders that were read already were not followed")
        self.notes += notes_on_ignored(shown, self.ignored)


def file_identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Device and number of a file or folder, which are the same for all its names.

    Hard and symbolic links to one file have one identity; copies have different ones.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    tuple of int, or None
        None when there is no such file, or its status cannot be read.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _is_image(entry: os.DirEntry[str]) -> bool:
    """Whether a file counts as an image: by its ending, or for the HEIF family by its first box."""
    ending = os.path.splitext(entry.name)[1].lower()
    if ending not in HEIF_FAMILY:
        return ending in EXTENSIONS
    head = None
    try:
        if entry.is_file():  # reading a pipe would block
            with open(entry.path, "rb") as file:
                head = file.read(32)
    except OSError:
        pass
    return is_read(ending, head, EXTENSIONS)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # for example a link to itself
        return False


def _some(names: list[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(printable(name) for name in names[:limit]) + more
