"""Finds images that are copies of each other: similar codes propose pairs, and pixels decide.

Codes ignore differences between images of one kind; side views of two airplanes may differ in only a few bits.
Candidate pairs are therefore compared by their pixels (see `striate.retrieval.pixels`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from striate.errors import UnreadableImage, UsageError
from striate.images import ImageCollection, as_images, file_identity
from striate.images.collection import View as SomeImages
from striate.parameters import Choice, Integer, Real, checked
from striate.progress import Progress
from striate.retrieval.duplicates import near_duplicates
from striate.retrieval.image_index import ImageIndex
from striate.retrieval.index_shards import IndexShards
from striate.retrieval.nearest import nearest_codes, nearest_vectors
from striate.retrieval.pixels import Sketch, View, agreement, sketch, viewed

__all__ = ["ALSO", "CODE_SHARE", "MIN_SIMILARITY", "CopyGroup", "Pair", "linked_names", "near_copies"]

CODE_SHARE = 0.1
"""Share of a code's bits in which copies may differ: of 200 photographs of Caltech-101 that were resized,
compressed again or cut by 5 %, at most one in twenty had a larger distance to its copy."""

MIN_SIMILARITY = 0.7
"""Minimum similarity of the pixels of copies, chosen on labeled pairs, see `benchmarks/duplicates.py`."""

ALSO: dict[str, View] = {"mirrored": "mirrored", "bordered": "without border"}
"""Other kinds of copies that can be searched for."""

_CANDIDATES = 16  # members of a group that each image is compared with: the nearest by codes, and by pixels
_ROUNDING = 1e-4  # by which an image's similarity to itself may be below 1
_KEPT = 400  # images whose sketches are in memory: 140 MB


class Pair(NamedTuple):
    """Two images that are copies.

    Attributes
    ----------
    first, second : int
        Rows of the index.
    similarity : float
        Similarity of their pixels, at most 1.
    how : str
        "as it is"; "mirrored" or "without border" if one of the images matches only in this form.
    """

    first: int
    second: int
    similarity: float
    how: str


@dataclass(frozen=True)
class CopyGroup(Sequence[int]):
    """A sequence of the rows of images that are copies of each other.

    Parameters
    ----------
    rows : tuple of int
        One row per file, increasing.
    pairs : tuple of Pair
        Pairs that connect the group, and the pairs of the largest file with all similar ones.
    links : dict of int to tuple of int
        Rows that are other names (hard or symbolic links) of a row's file.
    """

    rows: tuple[int, ...]
    pairs: tuple[Pair, ...] = ()
    links: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...

    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        return self.rows[index]

    def pair(self, one: int, other: int) -> Pair | None:
        """The pair of two rows; None if they are connected only through other images."""
        wanted = (min(one, other), max(one, other))
        return next((pair for pair in self.pairs if (pair.first, pair.second) == wanted), None)


def near_copies(
    index: ImageIndex,
    *,
    threshold: int | None = None,
    min_similarity: float = MIN_SIMILARITY,
    also: Iterable[str] = (),
    progress: Progress | None = None,
) -> list[CopyGroup]:
    """Groups of indexed images that are copies of each other: resized, compressed again, cut a little.

    Images with similar codes are read again and compared; other images are not read. Several names of one file are not
    copies: the file is in a group once, and its other names are links.

    Parameters
    ----------
    index : ImageIndex
        Index of a folder, which must exist; an image that cannot be read is in no group.
    threshold : int, optional
        Number of bits in which codes of copies may differ; by default a tenth of the bits.
    min_similarity : float
        Minimum similarity of pixels, in the places with the least agreement.
    also : iterable of {"mirrored", "bordered"}
        Also find mirrored copies, or copies with a border of one color. All images are encoded once more for each.
    progress : Progress, optional

    Returns
    -------
    list of CopyGroup
        Groups of two or more files, transitive; each group is a sequence of rows of the index.
    """
    if not index.encoder.binary:
        raise UsageError("copies are found among binary codes, and this index has real ones")
    progress = progress or Progress()
    min_similarity = checked("min_similarity", min_similarity, Real(low=0, high=1))
    n_bits = index.encoder.n_bits
    if threshold is None:
        threshold = round(CODE_SHARE * n_bits)
    threshold = checked("threshold", threshold, Integer(low=0, high=n_bits - 1))
    views: list[View] = [ALSO[checked("also", word, Choice(*ALSO))] for word in dict.fromkeys(also)]
    items = [(row, "as it is") for row in range(len(index))]
    codes = [np.asarray(index.codes)]
    for view in views:
        rows, some = _codes_of_view(index, view, progress)
        items += [(row, view) for row in rows]
        codes.append(some)
    every = np.concatenate(codes) if views else codes[0]
    candidates = near_duplicates(every, n_bits, threshold) if len(every) else []
    search = _Search(index, threshold, min_similarity)
    with progress.phase("candidates", total=sum(map(len, candidates)), unit="images") as phase:
        for group in candidates:
            search.look_among([items[item] for item in group.tolist()], every[group])
            phase.advance(len(group))
    return search.groups()


def linked_names(index: ImageIndex | IndexShards, rows: Iterable[int]) -> dict[int, list[int]]:
    """Rows by the file that they name: one row that represents the file, and its other rows.

    A file that cannot be accessed represents itself. If a name of a file is not a symbolic link and not reached through
    one, it represents the file.
    """
    folder = Path(index.folder)
    of_file: dict[Any, list[int]] = {}
    for row in rows:
        of_file.setdefault(file_identity(folder / index.items.name(row)) or ("row", row), []).append(row)
    result = {}
    for several in of_file.values():
        if len(several) > 1:
            several.sort(key=lambda row: (is_link(folder / index.items.name(row), folder), row))
        result[several[0]] = several[1:]
    return result


def is_link(path: Path, folder: Path) -> bool:
    """Whether a path below a folder is a symbolic link, or passes through one."""
    return os.path.realpath(path) != os.path.join(os.path.realpath(folder), os.path.relpath(path, folder))


class _Viewed(SomeImages):
    """Images in a view; an image without this view counts as unreadable."""

    def __init__(self, images: ImageCollection, view: View) -> None:
        super().__init__(images, range(len(images)))
        self._view = view

    def read(self, index: int, *, color: bool | None = None, at_least: int | None = None) -> NDArray[np.float32]:
        """See `ImageCollection.read`."""
        seen = viewed(super().read(index, color=color, at_least=at_least), self._view)
        if seen is None:
            raise UnreadableImage(self.names[index], "has no border")
        return seen

    def prepared(self, index: int, prepare: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
        """See `ImageCollection.prepared`."""
        return ImageCollection.prepared(self, index, prepare)


def _codes_of_view(index: ImageIndex, view: View, progress: Progress) -> tuple[list[int], NDArray[Any]]:
    """Codes of all images that have the given view, and their rows."""
    images = as_images([str(Path(index.folder) / name) for name in index.items.names()])
    rows: list[int] = []
    codes = [index.encoder.no_codes()]
    with progress.phase(view, total=len(images), unit="images") as phase:
        for some, batch in index.encoder.code_batches(_Viewed(images, view), skipped=[]):
            rows += some.tolist()
            codes.append(batch)
            phase.advance(len(some))
        phase.advance(len(images) - len(rows))
    return rows, np.concatenate(codes)


Item = tuple[int, View]


class _Search:
    """Finds copies among groups of candidates, and joins them over all groups."""

    def __init__(self, index: ImageIndex, threshold: int, min_similarity: float) -> None:
        self._index, self._threshold, self._min = index, threshold, min_similarity - _ROUNDING
        self._parents: dict[int, int] = {}
        self._pairs: dict[tuple[int, int], Pair] = {}
        self._links: dict[int, tuple[int, ...]] = {}
        folder = Path(index.folder)
        self._sketch: Callable[[int, View], Sketch | None] = lru_cache(maxsize=_KEPT)(
            lambda row, view: sketch(folder / index.items.name(row), view)
        )

    def look_among(self, items: Sequence[Item], codes: NDArray[Any]) -> None:
        """Join the copies among images with similar codes."""
        files = linked_names(self._index, dict.fromkeys(row for row, _ in items))
        self._links |= {row: tuple(others) for row, others in files.items() if others}
        chosen = [k for k, (row, _) in enumerate(items) if row in files]
        items, codes = [items[k] for k in chosen], codes[chosen]
        for one, other in _proposed(items, codes, self._threshold, self._sketch):
            self._compare(items[one], items[other])

    def _compare(self, one: Item, other: Item) -> None:
        if one[0] == other[0] or (one[1] == other[1] == "mirrored") or self._root(one[0]) == self._root(other[0]):
            return
        pair = self._measured(one, other)
        if pair is not None and pair.similarity >= self._min:
            self._pairs[pair.first, pair.second] = pair
            low, high = sorted((self._root(one[0]), self._root(other[0])))
            self._parents[high] = low

    def _measured(self, one: Item, other: Item) -> Pair | None:
        first, second = self._sketch(*one), self._sketch(*other)
        if first is None or second is None:
            return None
        how = next((view for _, view in (one, other) if view != "as it is"), "as it is")
        low, high = sorted((one[0], other[0]))
        return Pair(low, high, min(1.0, agreement(first, second)), how)

    def _root(self, row: int) -> int:
        while (above := self._parents.get(row, row)) != row:
            row = above
        return row

    def groups(self) -> list[CopyGroup]:
        """The groups of copies, in the order of their first rows."""
        members: dict[int, set[int]] = {}
        for first, second in self._pairs:
            members.setdefault(self._root(first), set()).update((first, second))
        found = []
        for rows in sorted(tuple(sorted(some)) for some in members.values()):
            largest = min(rows, key=lambda row: (-self._index.items.stamp(row)[0], row))
            pairs = {(a, b): pair for (a, b), pair in self._pairs.items() if a in rows and b in rows}
            for row in rows:
                a, b = sorted((row, largest))
                if a != b and (a, b) not in pairs:
                    pair = self._measured((a, "as it is"), (b, "as it is"))
                    if pair is not None and pair.similarity >= self._min:
                        pairs[a, b] = pair
            links = {row: self._links[row] for row in rows if row in self._links}
            found.append(CopyGroup(rows, tuple(pairs[key] for key in sorted(pairs)), links))
        return found


def _proposed(
    items: Sequence[Item], codes: NDArray[Any], threshold: int, read: Callable[[int, View], Sketch | None]
) -> Iterator[tuple[int, int]]:
    """Pairs to compare: images with the nearest codes, and images with the nearest small versions.

    If many images have nearly the same code, for example forms that are filled in differently, only pixels show which
    of them may be copies.
    """
    n = min(len(items), 1 + _CANDIDATES)
    near = nearest_codes(codes, codes, n)
    by_code = [
        [other for other, distance in zip(others, distances, strict=True) if distance <= threshold]
        for others, distances in zip(near.rows.tolist(), near.distances.tolist(), strict=True)
    ]
    by_pixels: list[list[int]] = [[] for _ in items]
    if n < len(items):
        sketches: dict[bool, list[int]] = {True: [], False: []}
        vectors: dict[bool, list[NDArray[Any]]] = {True: [], False: []}
        for k, item in enumerate(items):
            found = read(*item)
            if found is not None:
                sketches[found.flat].append(k)
                vectors[found.flat].append(found.color if found.flat else _described(found))
        for flat, members in sketches.items():
            if members:
                table = np.stack(vectors[flat])
                for k, others in zip(members, nearest_vectors(table, table, min(n, len(members))).rows, strict=True):
                    by_pixels[k] = [members[other] for other in others]
    done: set[tuple[int, int]] = set()
    for k, others in enumerate(map(itertools.chain, by_pixels, by_code)):
        for other in others:
            pair = (min(k, other), max(k, other))
            if k != other and pair not in done:
                done.add(pair)
                yield pair


def _described(one: Sketch) -> NDArray[np.float32]:
    """A small version, of 16 × 16 pixels."""
    small = one.small[0]
    side = len(small) // 16
    return small[: 16 * side, : 16 * side].reshape(16, side, 16, side).mean(axis=(1, 3)).reshape(-1)
