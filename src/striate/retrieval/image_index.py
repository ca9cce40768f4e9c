"""An index of images: their codes, and updates when the folder changes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate import __version__, model_file, stored
from striate.errors import UsageError
from striate.images import ImageCollection, Skipped, as_images
from striate.images.stamps import UNAVAILABLE, stamps_of
from striate.model_file import ModelFileError
from striate.parameters import Boolean, Choice, Real, Text, checked
from striate.progress import Progress
from striate.retrieval.image_encoder import ImageEncoder
from striate.retrieval.items import Items, out_of_reach
from striate.retrieval.nearest import Neighbors, nearest_codes, nearest_vectors

__all__ = ["INDEX_VERSION", "Changes", "ImageIndex"]

KIND = "index"
# Increased when codes of images or the layout of the file change.
INDEX_VERSION = 1
# Intermediate saves take at most one twentieth of the time.
_SAVING_SHARE = 20
# An encoder is outgrown if it was learned from at most a quarter of the images, or gives at most a quarter of them
# different codes.
_GROWTH = 4
_DISTINCT_SAMPLE = 10_000
_FEWEST = 16  # images for which a fraction is meaningful


@dataclass
class Changes:
    """Result of an update.

    Attributes
    ----------
    added, changed, removed, unchanged : int
        Numbers of images that were new, had another file size or time, were gone, and were unchanged.
    out_of_reach : int
        Number of images that stay in the index because their folder cannot be read at present.
    skipped : list of Skipped
        Images that could not be read; the next update tries them again.
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    out_of_reach: int = 0
    skipped: list[Skipped] = field(default_factory=list)


class ImageIndex:
    """Codes of images in the order of their names, in one file that is memory-mapped.

    Parameters
    ----------
    encoder : ImageEncoder
    folder : str
        The folder that names are relative to.

    Attributes
    ----------
    codes : uint64 (n_images, n_words), or float32 (n_images, n_bits) where codes are real
        Read-only if they are memory-mapped.
    items : Items
        Names, sizes and times, in the order of the codes.
    complete : bool
        False if an update was interrupted; the next one continues.

    Examples
    --------
    >>> from striate.images import as_images, load_mnist_digits
    >>> from striate.retrieval import ImageIndex, learn_encoder
    >>> digits = as_images(load_mnist_digits()[0][::50])
    >>> encoder = learn_encoder(digits, n_bits=64, architecture="8F5x5 - Rabs - PA6x6/6", random_state=0)
    >>> index = ImageIndex(encoder)
    >>> index.update(digits).added
    100
    >>> neighbors = index.search(digits.subset([7]), 3)
    >>> index.items.name(int(neighbors.rows[0, 0])), int(neighbors.distances[0, 0])
    ('images[7]', 0)
    """

    def __init__(self, encoder: ImageEncoder, folder: str = "") -> None:
        self.encoder = encoder
        self.folder = folder
        self.codes: NDArray[Any] = encoder.no_codes()
        self.items = Items.of([], [])
        self.complete = True

    def __len__(self) -> int:
        return len(self.items)

    def update(
        self,
        images: Any,
        *,
        save_to: str | PathLike[str] | None = None,
        interval: float = 20.0,
        progress: Progress | None = None,
    ) -> Changes:
        """Update the index to a collection: only new and changed images are encoded.

        Images are identified by their names; an image has changed if the size or time of its file has. The result is
        the same as that of a new index of the collection with this encoder.

        Parameters
        ----------
        images : folder or ImageCollection
            All present images.
        save_to : str or path, optional
            A file to which the index is saved at the end, and from time to time before. If a run is killed, the next
            one does not encode the saved images again.
        interval : float
            Minimum number of seconds between two saves.
        progress : Progress, optional

        Returns
        -------
        Changes
        """
        images = as_images(images)
        interval = checked("interval", interval, Real(low=0))
        if len(set(images.names)) != len(images.names):
            raise UsageError("two images have the same name: give each image a different name")
        stamps = stamps_of(images)
        found = _compare(self.items, images, stamps)
        rows = list(found.staying.values())
        parts = _Parts()
        parts.add(list(found.staying), [self.items.stamp(row) for row in rows], self._codes_of(rows))
        changes = Changes(
            removed=found.n_gone, unchanged=len(rows) - found.n_out_of_reach, out_of_reach=found.n_out_of_reach
        )
        saved, saving = time.monotonic(), 0.0
        try:
            with (progress or Progress()).phase("codes", total=len(found.waiting), unit="images") as phase:
                for indices, codes in self.encoder.code_batches(images, indices=found.waiting, skipped=changes.skipped):
                    some = indices.tolist()
                    names = [images.names[index] for index in some]
                    parts.add(names, [stamps[index] for index in some], codes)
                    n_changed = sum(name in found.known for name in names)
                    changes.changed += n_changed
                    changes.added += len(names) - n_changed
                    phase.advance(len(names))
                    now = time.monotonic()
                    if save_to is not None and now - saved >= max(interval, _SAVING_SHARE * saving):
                        self._take(parts, complete=False)
                        self.save(save_to)
                        saved = time.monotonic()
                        saving = saved - now
        except KeyboardInterrupt:
            self._take(parts, complete=False)
            if save_to is not None:
                self.save(save_to)
            raise
        self._take(parts, complete=True)
        if save_to is not None:
            self.save(save_to)
        return changes

    def outgrown(self) -> str | None:
        """A sentence if the encoder was learned from too few of the present images, otherwise None."""
        n_learned = self.encoder.n_images
        if n_learned is not None and len(self) >= _GROWTH * n_learned:
            return (
                f"the codes were learned from {n_learned:,} images, and {len(self):,} are indexed now: "
                "they would be better if they were learned anew"
            )
        if not self.encoder.binary or (n_learned is not None and n_learned >= len(self)):
            return None
        rows = np.linspace(0, len(self) - 1, min(len(self), _DISTINCT_SAMPLE)).astype(np.int64)
        n_distinct = len(np.unique(self._codes_of(rows), axis=0))
        if len(rows) < _FEWEST or _GROWTH * n_distinct > len(rows):
            return None
        return (
            f"{len(rows):,} images have {n_distinct:,} different code{'s' if n_distinct > 1 else ''} among them: "
            "they would be better if they were learned anew"
        )

    def search(self, images: Any, n_neighbors: int = 12) -> Neighbors:
        """The indexed images that are nearest to images, by Hamming distance, or Euclidean for real codes.

        Parameters
        ----------
        images : image, folder, list or ImageCollection
        n_neighbors : int

        Returns
        -------
        Neighbors

        Raises
        ------
        UnreadableImage
            If one of the images cannot be read.
        """
        codes = [batch for _, batch in self.encoder.code_batches(as_images(images))]
        return self.search_codes(np.concatenate(codes), n_neighbors)

    def search_codes(self, codes: NDArray[Any], n_neighbors: int = 12) -> Neighbors:
        """The indexed images that are nearest to codes of this index's encoder."""
        nearest = nearest_codes if self.encoder.binary else nearest_vectors
        return nearest(codes, self.codes, n_neighbors)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the index, either completely or not at all; the same content gives the same bytes."""
        arrays: dict[str, NDArray[Any]] = {"codes": self.codes}
        header: dict[str, Any] = {
            "version": INDEX_VERSION,
            "striate": __version__,
            "folder": self.folder,
            "complete": self.complete,
        }
        for name, part in (("encoder", self.encoder), ("items", self.items)):
            own, header[name] = part.to_state()
            arrays |= model_file.prefixed(name, own)
        model_file.write(path, arrays, header, kind=KIND)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> ImageIndex:
        """Open an index file: it is checked, and its codes and names are memory-mapped.

        Raises
        ------
        UsageError, ModelFileError
            If there is no such file, or it is damaged, not an index, or of another version.
        """
        arrays, header = model_file.read(path, kind=KIND, mapped=True)
        if header.get("version") != INDEX_VERSION:
            version, maker = (str(header.get(name))[:40] for name in ("version", "striate"))
            raise ModelFileError(
                f"{path} has version {version} of the index, made by striate {maker}; "
                f"this one ({__version__}) works with version {INDEX_VERSION}: index the folder again"
            )
        with stored.in_file(path, "index"):
            return cls._from_state(arrays, header)

    @classmethod
    def _from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> ImageIndex:
        encoder = {key: np.array(array) for key, array in model_file.arrays_of("encoder", arrays).items()}
        with stored.part("encoder"):
            index = cls(ImageEncoder.from_state(encoder, stored.field(header, "encoder", stored.Table())))
        index.folder = stored.field(header, "folder", Text() | Choice(""))
        with stored.part("items"):
            index.items = Items.from_state(model_file.arrays_of("items", arrays), stored.field(header, "items"))
        none = index.encoder.no_codes()
        index.codes = stored.array(arrays, "codes", (len(index.items), none.shape[1]), none.dtype.name)
        spare = -index.encoder.n_bits % 64 if index.encoder.binary else 0
        if spare and (index.codes[:, -1] >> np.uint64(64 - spare)).any():
            raise ModelFileError(f"the array codes has more than the {index.encoder.n_bits} bits of a code")
        index.complete = stored.field(header, "complete", Boolean())
        return index

    def _codes_of(self, rows: Any) -> NDArray[Any]:
        return np.asarray(self.codes)[rows] if len(rows) else self.encoder.no_codes()

    def _take(self, found: _Parts, *, complete: bool) -> None:
        """Store what has been encoded so far, in the order of the names."""
        self.items, self.codes = found.in_order()
        self.complete = complete


class _Comparison(NamedTuple):
    """Comparison of an index with the present images.

    `staying` maps names of images that are unchanged or out of reach to their rows; `waiting` holds the indices of new
    and changed images; `known` holds all names of the index.
    """

    staying: dict[str, int]
    n_out_of_reach: int
    n_gone: int
    waiting: list[int]
    known: frozenset[str]


def _compare(items: Items, images: ImageCollection, stamps: Sequence[tuple[int, int]]) -> _Comparison:
    """Compare the images of an index with the present images."""
    row_of = {name: row for row, name in enumerate(items.names())}
    listed = set(images.names)
    beyond = out_of_reach(images, [name for name in row_of if name not in listed])
    kept: dict[str, int] = {}
    waiting: list[int] = []
    for index, (name, stamp) in enumerate(zip(images.names, stamps, strict=True)):
        row = row_of.get(name)
        if row is not None and stamp == UNAVAILABLE:
            beyond.append(name)
        elif row is not None and items.stamp(row) == stamp:
            kept[name] = row
        else:
            waiting.append(index)
    staying = {**kept, **{name: row_of[name] for name in beyond}}
    n_changed = sum(images.names[index] in row_of for index in waiting)
    return _Comparison(staying, len(beyond), len(row_of) - len(staying) - n_changed, waiting, frozenset(row_of))


@dataclass
class _Parts:
    """Names, stamps and codes of images, in several parts."""

    parts: list[tuple[list[str], list[tuple[int, int]], NDArray[Any]]] = field(default_factory=list)

    def add(self, names: list[str], stamps: list[tuple[int, int]], codes: NDArray[Any]) -> None:
        self.parts.append((names, stamps, codes))  # a single step, which an interrupt cannot divide

    def in_order(self) -> tuple[Items, NDArray[Any]]:
        """Items and codes, sorted by name."""
        names = [name for some, _, _ in self.parts for name in some]
        stamps = [stamp for _, some, _ in self.parts for stamp in some]
        codes = np.concatenate([some for _, _, some in self.parts])
        order = sorted(range(len(names)), key=names.__getitem__)
        return Items.of([names[k] for k in order], [stamps[k] for k in order]), codes[order]
