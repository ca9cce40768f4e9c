"""Features of many images, which are decoded, prepared and transformed in batches, in memory or on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.checkpoint import Checkpoint
from striate.hierarchy.feature_cache import FeatureCache
from striate.hierarchy.hierarchy import Hierarchy
from striate.images.collection import ImageCollection
from striate.images.preprocessing import Preprocessing
from striate.images.stream import Skipped, require_most, stream
from striate.memory_map import mapped_array
from striate.progress import Progress

Transform = Hierarchy | Callable[[NDArray[np.float32]], NDArray[Any]]
"""Computes features of prepared images (n, channels, height, width): a hierarchy, or any callable → (n, ...)."""


@dataclass
class Features:
    """Features of the images that could be read.

    Attributes
    ----------
    rows : float32 (n_read, n_features)
        In the order of the indices; a memory map if they were written to disk.
    positions : int64 (n_read,)
        Positions of these images among the indices.
    skipped : list of Skipped
        The images that could not be read.
    """

    rows: NDArray[np.float32]
    positions: NDArray[np.int64]
    skipped: list[Skipped] = field(default_factory=list)


def feature_batches(
    images: ImageCollection,
    preprocessing: Preprocessing,
    transform: Transform,
    *,
    indices: Sequence[int] | NDArray[np.int64] | None = None,
    start: int = 0,
    skipped: list[Skipped] | None = None,
    cache: bool = False,
) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Features of images, a batch at a time: the one path from images to features, classes and codes.

    Parameters
    ----------
    images : ImageCollection
    preprocessing : Preprocessing
    transform : Hierarchy, or callable (n, channels, height, width) → (n, ...)
        A callable computes other features of the same images, such as their pixels or their codes.
    indices, start, skipped
        See `stream`: which images, where to begin, and the list that receives the images that cannot be read; without
        it, the first of them is an error.
    cache : bool
        Whether features of a hierarchy are looked up in the `FeatureCache`, and kept there.

    Yields
    ------
    indices : int64 (n,)
        Which images these are.
    rows : (n, n_features)
        Their features, one row per image.
    """
    run: Callable[[NDArray[np.float32]], NDArray[Any]] = transform  # type: ignore[assignment]
    if isinstance(transform, Hierarchy):
        run = FeatureCache(transform) if cache else transform.transform
    for found, batch in stream(images, preprocessing, indices=indices, start=start, skipped=skipped):
        yield found, run(batch).reshape(len(batch), -1)


def extract_features(
    images: ImageCollection,
    preprocessing: Preprocessing,
    transform: Transform,
    *,
    indices: Sequence[int] | NDArray[np.int64] | None = None,
    checkpoint: Checkpoint | None = None,
    folder: Path | None = None,
    cache: bool = False,
    require_half: bool = True,
    name: str = "features",
    progress: Progress | None = None,
) -> Features:
    """Features of a collection, in the memory of a few batches if they are written to disk.

    Parameters
    ----------
    images : ImageCollection
    preprocessing : Preprocessing
    transform : Hierarchy, or callable (n, channels, height, width) → (n, ...)
        See `feature_batches`.
    indices : (n,) sequence of int, optional
        Which images, in which order; all by default.
    checkpoint : Checkpoint, optional
        Features then go to a memory map in its folder, and a run that starts again continues after the last
        batch that was saved.
    folder : Path, optional
        Folder of the memory map without a checkpoint; None keeps the features in memory.
    cache : bool
        Whether features of a hierarchy are looked up in the `FeatureCache`, and kept there.
    require_half : bool
        Whether it is an error if most images cannot be read. False for a part of a collection, if the caller checks
        the whole.
    name : str
        Of phase, checkpoint and file.

    Raises
    ------
    StriateError
        When more than half of the images cannot be read and `require_half` is set.
    """
    progress = progress or Progress()
    chosen = np.arange(len(images)) if indices is None else np.asarray(indices, dtype=np.int64)
    if isinstance(transform, Hierarchy):
        n_features = int(np.prod(transform.output_shape(preprocessing.shape)))
    else:
        n_features = transform(np.zeros((1, *preprocessing.shape), dtype=np.float32)).size
    file = name.replace(" ", "-")
    path = checkpoint.path(f"{file}.npy") if checkpoint else (folder / f"{file}.npy" if folder else None)
    written = _Written.load(checkpoint, file)
    rows = _open(path, (len(chosen), n_features), keep=written.done > 0)
    written.keep_whole(rows)
    position_of = {int(index): position for position, index in enumerate(chosen)}
    with progress.phase(name, total=len(chosen), unit="images") as phase:
        phase.advance(written.done)
        batches = feature_batches(
            images,
            preprocessing,
            transform,
            indices=chosen,
            start=written.done,
            skipped=written.skipped,
            cache=cache,
        )
        for found, features in batches:
            n_rows, done = len(written.positions), written.done
            rows[n_rows : n_rows + len(features)] = features
            written.add([position_of[int(index)] for index in found])
            if checkpoint is not None:
                written.digests.append(_digest(rows[n_rows : len(written.positions)]))
            phase.advance(written.done - done)
            if checkpoint is not None and checkpoint.due():
                written.save(checkpoint, file, rows)
        if require_half:
            require_most(written.skipped, len(chosen))
        phase.advance(len(chosen) - written.done)
    written.done = len(chosen)
    if checkpoint is not None:
        written.save(checkpoint, file, rows)
    return Features(rows[: len(written.positions)], np.array(written.positions, dtype=np.int64), written.skipped)


def small_pixels(images: NDArray[np.float32], *, side: int = 32) -> NDArray[np.float32]:
    """Prepared images as raw pixels, the baseline for learned features.

    Parameters
    ----------
    images : float32 (n, channels, height, width)
    side : int
        Larger images are reduced by averaging to at most this number of pixels per side, which improves a linear
        classifier on raw pixels and bounds the number of features.

    Returns
    -------
    float32 (n, channels, new_height, new_width)
    """
    height, width = images.shape[2:]
    factor = -(-max(height, width) // side)
    if factor == 1:
        return images
    cropped = images[:, :, : height - height % factor, : width - width % factor]
    blocks = cropped.reshape(*images.shape[:2], height // factor, factor, width // factor, factor)
    return np.asarray(blocks.mean(axis=(3, 5)), dtype=np.float32)


@dataclass
class _Written:
    """The progress of a feature file: images done, the positions of those that have a row, and the others.

    The rows are in a memory map; each block of them has a digest, so that the intact beginning of a damaged file is
    kept, and the rest is computed again.
    """

    done: int = 0
    positions: list[int] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  # ends of the blocks, in rows
    digests: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, checkpoint: Checkpoint | None, name: str) -> _Written:
        saved = checkpoint.load(name) if checkpoint else None
        if saved is None:
            return cls()
        arrays, state = saved
        skipped = [Skipped(*pair) for pair in state["skipped"]]
        return cls(state["done"], arrays["positions"].tolist(), skipped, arrays["ends"].tolist(), state["digests"])

    def add(self, positions: list[int]) -> None:
        """Append a block of rows."""
        self.positions += positions
        self.done = self.positions[-1] + 1
        self.ends.append(len(self.positions))

    def keep_whole(self, rows: NDArray[np.float32]) -> None:
        """Drop everything from the first damaged block on."""
        starts = [0, *self.ends]
        n_blocks = next(
            (
                block
                for block, (start, end) in enumerate(pairwise(starts))
                if _digest(rows[start:end]) != self.digests[block]
            ),
            len(self.ends),
        )
        if n_blocks == len(self.ends):
            return
        n_rows = starts[n_blocks]
        self.positions, self.ends, self.digests = self.positions[:n_rows], self.ends[:n_blocks], self.digests[:n_blocks]
        self.done = self.positions[-1] + 1 if n_rows else 0
        self.skipped = self.skipped[: self.done - n_rows]

    def save(self, checkpoint: Checkpoint, name: str, rows: NDArray[np.float32]) -> None:
        if isinstance(rows, np.memmap):
            rows.flush()
        # The stream reads ahead: images after the last row will be read again.
        behind = self.skipped[: self.done - len(self.positions)]
        state = {
            "done": self.done,
            "skipped": [[one.name, one.reason] for one in behind],
            "digests": self.digests,
        }
        arrays = {"positions": np.array(self.positions, dtype=np.int64), "ends": np.array(self.ends, dtype=np.int64)}
        checkpoint.save(name, arrays, state)


def _digest(rows: NDArray[np.float32]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(rows).data, digest_size=16).hexdigest()


def _open(path: Path | None, shape: tuple[int, int], *, keep: bool) -> NDArray[np.float32]:
    return np.empty(shape, dtype=np.float32) if path is None else mapped_array(path, shape, keep=keep)
