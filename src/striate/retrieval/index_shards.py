"""Several index files that are searched as one: shards are added and removed as files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.images import as_images
from striate.parameters import Integer, checked
from striate.retrieval.image_encoder import ImageEncoder
from striate.retrieval.image_index import ImageIndex
from striate.retrieval.nearest import Neighbors
from striate.threads import map_ordered

__all__ = ["IndexShards"]


class IndexShards:
    """The images of several index files that share one encoder, searched side by side.

    The result is that of a single index of all images: exact, nearest first, at equal distances in the order of the
    names. A search uses one thread per shard, so that even a single query uses several processors.

    Parameters
    ----------
    source : path, or sequence of paths
        Index files, or a folder, whose files that end in ``.index`` are taken in the order of their names. The second
        and later shards are made with the encoder of the first: ``striate index FOLDER --like FIRST.index``.

    Attributes
    ----------
    shards : list of ImageIndex
    paths : list of Path
    encoder : ImageEncoder
    folder : str
        The deepest folder that holds the folders of all shards; names are relative to it.
    complete : bool
        Whether all shards are.

    Raises
    ------
    UsageError
        If there is no index, or one has another encoder.
    ModelFileError
        If a file is damaged.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from striate.images import as_images, load_mnist_digits
    >>> from striate.retrieval import ImageIndex, IndexShards, learn_encoder
    >>> digits = as_images(load_mnist_digits()[0][::50])
    >>> encoder = learn_encoder(digits, n_bits=64, architecture="8F5x5 - Rabs - PA6x6/6", random_state=0)
    >>> with TemporaryDirectory() as folder:
    ...     for name, part in (("first", range(60)), ("second", range(60, 100))):
    ...         _ = ImageIndex(encoder).update(digits.subset(part), save_to=Path(folder) / f"{name}.index")
    ...     shards = IndexShards(folder)
    ...     neighbors = shards.search(digits.subset([70]), 3)
    ...     len(shards), shards.name(int(neighbors.rows[0, 0]))
    (100, 'images[70]')
    """

    def __init__(self, source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> None:
        self.paths = _index_files(source)
        self.shards = [ImageIndex.load(path) for path in self.paths]
        first = self.shards[0].encoder
        for path, shard in zip(self.paths[1:], self.shards[1:], strict=True):
            if not _equal(first, shard.encoder):
                raise UsageError(
                    f"{path} has another encoder than {self.paths[0]}, so that their codes cannot be compared: make it "
                    f"again with striate index FOLDER --like {self.paths[0]}"
                )
        self.encoder = first
        self.folder = _common_folder([shard.folder for shard in self.shards])
        self.complete = all(shard.complete for shard in self.shards)
        self._prefixes = [_prefix(shard.folder, self.folder) for shard in self.shards]
        self._starts = np.cumsum([0, *map(len, self.shards)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def name(self, row: int) -> str:
        """The name of an image, relative to `folder`."""
        shard, own = self._place(row)
        return self._prefixes[shard] + self.shards[shard].items.name(own)

    def stamp(self, row: int) -> tuple[int, int]:
        """Size and time of the file of an image, when it was indexed."""
        shard, own = self._place(row)
        return self.shards[shard].items.stamp(own)

    @property
    def items(self) -> IndexShards:
        """The object itself, as `name` and `stamp` are those of the items of an index."""
        return self

    def search(self, images: Any, n_neighbors: int = 12) -> Neighbors:
        """The indexed images that are nearest to images; see `ImageIndex.search`.

        Parameters
        ----------
        images : image, folder, list or ImageCollection
        n_neighbors : int

        Returns
        -------
        Neighbors
            Its rows count through the shards in their order.

        Raises
        ------
        UnreadableImage
            If one of the images cannot be read.
        """
        codes = [batch for _, batch in self.encoder.code_batches(as_images(images))]
        return self.search_codes(np.concatenate(codes), n_neighbors)

    def search_codes(self, codes: NDArray[Any], n_neighbors: int = 12) -> Neighbors:
        """The indexed images that are nearest to codes of the encoder."""
        n_neighbors = checked("n_neighbors", n_neighbors, Integer())
        if not 1 <= n_neighbors <= len(self):
            raise UsageError(f"{n_neighbors} neighbors were asked for, of {len(self)}: ask for 1 to {len(self)}")
        filled = [shard for shard in range(len(self.shards)) if len(self.shards[shard])]

        def of_shard(shard: int) -> Neighbors:
            own = self.shards[shard]
            found = own.search_codes(codes, min(n_neighbors, len(own)))
            return Neighbors(found.rows + self._starts[shard], found.distances)

        found = list(map_ordered(of_shard, filled))
        rows = np.concatenate([one.rows for one in found], axis=1)
        distances = np.concatenate([one.distances for one in found], axis=1)
        order = np.argsort(distances, axis=1, kind="stable")
        rows, distances = np.take_along_axis(rows, order, axis=1), np.take_along_axis(distances, order, axis=1)
        for some, far in zip(rows, distances, strict=True):
            self._order_by_name(some, far, n_neighbors)
        return Neighbors(rows[:, :n_neighbors].copy(), distances[:, :n_neighbors].copy())

    def _order_by_name(self, rows: NDArray[np.int64], distances: NDArray[Any], n: int) -> None:
        """Sort rows of equal distances by name, in place, as far as they can be among the first `n`."""
        first = 0
        while first < min(n, len(rows)):
            last = first + int(np.searchsorted(distances[first:], distances[first], side="right"))
            if last - first > 1:
                rows[first:last] = sorted(rows[first:last].tolist(), key=self.name)
            first = last

    def _place(self, row: int) -> tuple[int, int]:
        """The shard of a row, and its row there."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} images")
        shard = int(np.searchsorted(self._starts, row, side="right")) - 1
        return shard, row - int(self._starts[shard])


def _index_files(source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    if not isinstance(source, str | os.PathLike):
        found = [Path(path) for path in source]
        if not found:
            raise UsageError("there is no index to search: give at least one file")
        return found
    path = Path(source)
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() == ".index")
    if not found:
        raise UsageError(f"{path}: there is no file that ends in .index; make one with striate index FOLDER --out")
    return found


def _equal(one: ImageEncoder, other: ImageEncoder) -> bool:
    """Whether codes of two encoders can be compared: they must come from the same numbers."""
    (arrays, header), (others, other_header) = one.to_state(), other.to_state()
    for name in ("n_images", "architecture"):  # remarks about how it was learned
        header.pop(name, None)
        other_header.pop(name, None)
    return (
        header == other_header
        and arrays.keys() == others.keys()
        and all(np.array_equal(array, others[name]) for name, array in arrays.items())
    )


def _common_folder(folders: list[str]) -> str:
    try:
        return os.path.commonpath(folders)
    except ValueError:  # on several drives, or some without a folder
        return ""


def _prefix(folder: str, above: str) -> str:
    """What names of a folder begin with where they are relative to a folder above it."""
    if not above:
        return f"{folder}/" if folder else ""
    relative = os.path.relpath(folder, above).replace(os.sep, "/")
    return "" if relative == "." else f"{relative}/"
