"""Images in tar files, read where they lie: shards of large collections, as WebDataset and others write them."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UnreadableImage, UsageError
from striate.images.collection import ImageCollection, as_class
from striate.images.decode import decoded, size_in_header
from striate.images.kinds import EXTENSIONS
from striate.images.names import printable
from striate.images.opening import Refused, opened, pixel_limit, require_file

__all__ = ["TarImages", "tar_files"]

_LABEL = ".cls"  # WebDataset's ending of the file that holds the class of the image of the same name
_LARGEST_LABEL = 1000  # bytes


class TarImages(ImageCollection):
    """The images of tar files, in the order of the files and, within one, of their places.

    The headers are read once; an image is read by one seek when it is needed. The label of an image is what the file of
    the same name and the ending ``.cls`` holds, as WebDataset writes it, or else the first folder of its path within
    the archive. Other files are ignored and counted. Files must not be compressed: images are, already.

    Parameters
    ----------
    source : str or path, or sequence of them
        A tar file, a folder that holds some, or several tar files. Their contents must not change while the collection
        is used; add images as further files.

    Attributes
    ----------
    names : list of str
        Name of the archive without its ending, and path of the image within it: ``shard-0001/cat/7.jpg``.

    Raises
    ------
    UsageError
        If a file is missing, damaged or compressed, two have the same name, or there is no image in them.
    """

    def __init__(self, source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> None:
        if isinstance(source, str | os.PathLike):
            path = Path(source)
            source = sorted(path.glob("*.tar")) if path.is_dir() else [path]
            if not source:
                raise UsageError(f"{printable(path)}: there is no file that ends in .tar")
        self._paths = [Path(path) for path in source]
        stems = [path.stem for path in self._paths]
        if len(set(stems)) < len(stems):
            twice = next(stem for stem in stems if stems.count(stem) > 1)
            raise UsageError(f"two tar files are called {printable(twice)}: give each of them another name")
        self.names: list[str] = []
        labels: list[str] = []
        places: list[tuple[int, int]] = []
        ends = []
        for path in self._paths:
            content = _scan(path)
            prefix = f"{path.stem}/"
            self.names += [prefix + name for name in content.names]
            labels += content.labels
            places += content.places
            ends.append(len(self.names))
            for ending, n in content.ignored.items():
                self.ignored[ending] = self.ignored.get(ending, 0) + n
        if not self.names:
            raise UsageError(
                f"{printable(self._paths[0])}: holds no images; striate reads {' '.join(sorted(EXTENSIONS))}"
            )
        self.labels = labels if any(labels) else None
        self._places = np.array(places, np.int64)
        self._ends = np.array(ends, np.int64)

    @property
    def archives(self) -> list[Path]:
        """The tar files, in the order of their images."""
        return list(dict.fromkeys(self._paths))

    def read(self, index: int, *, color: bool | None = None, at_least: int | None = None) -> NDArray[np.float32]:
        """See `ImageCollection.read`."""
        with self._opened(index) as file:
            return decoded(file, pixel_limit(None), color=color, at_least=at_least)

    def size_of(self, index: int) -> tuple[int, int, int]:
        """See `ImageCollection.size_of`."""
        with self._opened(index) as file:
            return size_in_header(file, pixel_limit(None))

    def part(self, indices: Sequence[int]) -> TarImages:
        """Some of the images, in an object that holds nothing of the others."""
        part = TarImages.__new__(TarImages)
        shards = np.searchsorted(self._ends, indices, side="right")
        part._paths = [self._paths[shard] for shard in shards]
        part._ends = np.arange(1, len(indices) + 1)
        part._places = self._places[indices]
        part.names = [self.names[index] for index in indices]
        return part

    @contextmanager
    def _opened(self, index: int) -> Iterator[BinaryIO]:
        """The content of an image; errors name the archive and the image."""
        path = self._paths[int(np.searchsorted(self._ends, index, side="right"))]
        offset, size = self._places[index].tolist()
        try:
            with opened(path) as archive:
                archive.seek(offset)
                content = archive.read(size)
                if len(content) < size or not size:
                    raise Refused("is cut off before its end (truncated)" if size else "is empty (zero bytes)")
                yield io.BytesIO(content)
        except UnreadableImage as error:
            name = self.names[index].partition("/")[2]
            raise UnreadableImage(f"{printable(path)}/{printable(name)}", error.reason) from None


def tar_files(folder: Path) -> list[Path]:
    """The tar files of a folder that holds nothing else to take images from; otherwise none.

    Parameters
    ----------
    folder : Path
        Hidden files and files of other kinds do not count, but sub-folders and images do.

    Returns
    -------
    list of Path
        Sorted by name.
    """
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                ending = os.path.splitext(entry.name)[1].lower()
                if entry.name.startswith("."):
                    continue
                if ending == ".tar" and entry.is_file():
                    found.append(folder / entry.name)
                elif ending in EXTENSIONS or entry.is_dir():
                    return []
    except OSError:  # ImageFolder says why
        return []
    return sorted(found)


class _Content(NamedTuple):
    names: list[str]
    labels: list[str]
    places: list[tuple[int, int]]
    ignored: dict[str, int]


def _scan(path: Path) -> _Content:
    """Names, labels and places of the images of a tar file."""
    shown = printable(path)
    require_file(path)
    content = _Content([], [], [], {})
    classes: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                ending = os.path.splitext(name)[1].lower()
                if not member.isreg() or os.path.basename(name).startswith("."):
                    continue
                if member.sparse is None and ending in EXTENSIONS:
                    content.names.append(name)
                    content.places.append((member.offset_data, member.size))
                elif ending == _LABEL and member.size <= _LARGEST_LABEL:
                    file = archive.extractfile(member)
                    assert file is not None
                    classes[_key(name)] = file.read().decode("utf-8", "replace").strip()
                else:
                    content.ignored[ending] = content.ignored.get(ending, 0) + 1
                archive.members.clear()  # type: ignore[attr-defined]
    except FileNotFoundError:
        raise UsageError(f"{shown}: there is no such file") from None
    except tarfile.ReadError as error:
        raise UsageError(f"{shown}: {_why_unread(path, error)}") from None
    except OSError as error:
        raise UsageError(f"{shown}: cannot be read ({error.strerror or error})") from None
    content.labels.extend(
        as_class(classes.get(_key(name), name.rpartition("/")[0].partition("/")[0])) for name in content.names
    )
    return content


def _key(name: str) -> str:
    """What the files of one sample have in common: the path up to the first dot of the file's name."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def _why_unread(path: Path, error: tarfile.ReadError) -> str:
    with open(path, "rb") as file:
        head = file.read(6)
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        return "is compressed, so that its images could not be read one by one; unpack it to a plain .tar"
    return f"is damaged, or no tar file ({error}); write it again"
