"""The images of an index: their names, and file sizes and times to detect changes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.images import ImageCollection, ImageFolder
from striate.model_file import ModelFileError
from striate.stored import array

__all__ = ["Items", "out_of_reach"]


class Items:
    """Names, sizes and times of images, one row per image; all names are in one array, which can be memory-mapped.

    Parameters
    ----------
    text : uint8 (n_bytes,)
        All names, one after the other, in UTF-8.
    ends : int64 (n_items,)
        Where each name ends.
    stamps : int64 (n_items, 2)
        File sizes and times.
    """

    def __init__(self, text: NDArray[np.uint8], ends: NDArray[np.int64], stamps: NDArray[np.int64]) -> None:
        self._text, self._ends, self.stamps = text, ends, stamps

    @classmethod
    def of(cls, names: Sequence[str], stamps: Sequence[tuple[int, int]]) -> Items:
        """Items of names and stamps."""
        # A name on a disk need not be valid Unicode.
        raw = [name.encode("utf-8", "surrogateescape") for name in names]
        ends = np.fromiter(itertools.accumulate(map(len, raw)), np.int64, len(raw))
        text = np.frombuffer(b"".join(raw), np.uint8)
        return cls(text, ends, np.array(stamps, np.int64).reshape(-1, 2))

    def __len__(self) -> int:
        return len(self._ends)

    def name(self, row: int) -> str:
        """One name."""
        begin = int(self._ends[row - 1]) if row else 0
        return self._text[begin : int(self._ends[row])].tobytes().decode("utf-8", "surrogateescape")

    def names(self) -> Iterator[str]:
        """All names, in order."""
        text, begin = self._text.tobytes(), 0
        for end in self._ends.tolist():
            yield text[begin:end].decode("utf-8", "surrogateescape")
            begin = end

    def stamp(self, row: int) -> tuple[int, int]:
        """Size and time of one."""
        size, time = self.stamps[row].tolist()
        return size, time

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON."""
        return {"text": self._text, "ends": self._ends, "stamps": self.stamps}, {}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Items:
        """The inverse of `to_state`."""
        text = array(arrays, "text", (None,), "uint8")
        ends = array(arrays, "ends", (None,), "int64")
        if (np.diff(ends, prepend=0) < 0).any() or (ends[-1] if len(ends) else 0) != len(text):
            raise ModelFileError("the array ends does not part the names")
        return cls(text, ends, array(arrays, "stamps", (len(ends), 2), "int64"))


def out_of_reach(images: ImageCollection, names: Sequence[str]) -> list[str]:
    """Images that may still exist, although a collection cannot list them at present.

    Parameters
    ----------
    images : ImageCollection
        If it is not a folder, no image is out of reach.
    names : sequence of str
        Images that were listed before.

    Returns
    -------
    list of str
        Images in folders that cannot be opened, or below links to folders that do not exist.
    """
    if not isinstance(images, ImageFolder):
        return []
    closed = {f"{folder}/" for folder in images.unreadable_folders}

    @cache
    def hidden(folder: str) -> bool:
        """Whether the content of a folder (a relative path) cannot be listed."""
        if not folder:
            return False
        path = images.path / folder
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return hidden(folder.rpartition("/")[0])
        except OSError:
            return True
        return path.is_symlink() and not path.exists()

    def listed_before(name: str) -> bool:
        if any(name.startswith(folder) for folder in closed) or hidden(name.rpartition("/")[0]):
            return True
        try:
            os.lstat(images.path / name)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return False

    return [name for name in names if listed_before(name)]
