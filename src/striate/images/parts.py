"""Parts of a collection that can be sent to another process: each holds nothing of the other images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from striate.errors import UnreadableImage
from striate.images.collection import ImageCollection, View
from striate.images.folder import ImageFiles
from striate.images.kept import KeptImages
from striate.images.preprocessing import Preprocessing
from striate.images.tar import TarImages

__all__ = ["part_of"]


def part_of(images: ImageCollection, indices: Sequence[int], preprocessing: Preprocessing) -> ImageCollection:
    """Some images of a collection, with their names, as an object that is small to send.

    Files, also those within tar files, are decoded where they are needed, so that the other process must see the same
    folders. Images that are not in files of their own are read here.

    Parameters
    ----------
    images : ImageCollection
    indices : sequence of int
    preprocessing : Preprocessing
        Says how it needs images to be read.

    Returns
    -------
    ImageCollection
        Its `prepared` gives the same arrays, and raises the same errors, with this preprocessing.
    """
    names = [images.names[index] for index in indices]
    whole, places = images, list(indices)
    while type(whole) in (View, KeptImages):
        whole, places = whole._whole, [whole._indices[place] for place in places]  # type: ignore[attr-defined]
    if isinstance(whole, ImageFiles) and type(whole).read is ImageFiles.read:
        return _Files([str(whole.path_of(place)) for place in places], names)
    if isinstance(whole, TarImages):
        return whole.part(places)
    return _Read(images, indices, preprocessing, names)


class _Files(ImageFiles):
    """Files under the names that they have in the whole collection."""

    def __init__(self, paths: Sequence[str], names: Sequence[str]) -> None:
        self.names = names
        self._paths = paths

    def path_of(self, index: int) -> Path:
        return Path(self._paths[index])


class _Read(ImageCollection):
    """Images that were read for one preprocessing."""

    def __init__(
        self, images: ImageCollection, indices: Sequence[int], preprocessing: Preprocessing, names: Sequence[str]
    ) -> None:
        self.names = names
        self._read: list[np.ndarray | str] = []  # the reason, for an image that cannot be read
        self._white = images.white
        for index in indices:
            try:
                self._read.append(images.read(index, **preprocessing.reading))
            except UnreadableImage as error:
                self._read.append(error.reason)

    @property
    def white(self) -> float:
        return self._white

    def read(self, index: int, *, color: bool | None = None, at_least: int | None = None) -> np.ndarray:
        found = self._read[index]
        if isinstance(found, str):
            raise UnreadableImage(self.names[index], found)
        return found

    def size_of(self, index: int) -> tuple[int, int, int]:
        n_channels, height, width = self.read(index).shape
        return height, width, n_channels
