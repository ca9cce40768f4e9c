"""Read images in threads and yield them in batches, with memory for a few batches only."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import cast

import numpy as np

from striate.errors import StriateError, UnreadableImage, UsageError
from striate.images.collection import ImageCollection
from striate.images.names import printable
from striate.parameters import Integer, checked
from striate.threads import map_ordered
from striate.threads import n_threads as default_n_threads

BATCH = 64
"""Images in a batch: enough work for two threads, and 6 MB at 151×151 pixels."""


@dataclass(frozen=True)
class Skipped:
    """An image that was left out, and the reason."""

    name: str
    reason: str


def stream(
    images: ImageCollection,
    prepare: Callable[[np.ndarray], np.ndarray],
    *,
    batch_size: int | None = None,
    indices: Sequence[int] | np.ndarray | None = None,
    start: int = 0,
    n_threads: int | None = None,
    skipped: list[Skipped] | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Prepared images in batches, in the order of `indices`: the one way in which many images are read.

    While the caller works on a batch, threads decode and prepare the next one.

    Parameters
    ----------
    images : ImageCollection
        The images.
    prepare : Preprocessing or callable
        (channels, height, width) float32 → array, of the same shape for every image; called in several
        threads at once. See `ImageCollection.prepared` for how images are read.
    batch_size : int, optional
        Images in a batch; the last may have fewer. Default: `BATCH`.
    indices : (n,) sequence of int, optional
        Which images, in which order. Default: all.
    start : int
        Position in `indices` at which to begin, to continue an earlier stream; `skipped` then holds the images that
        were left out before.
    n_threads : int, optional
        Threads that decode. Default: `striate.threads.n_threads()`.
    skipped : list of Skipped, optional
        Images that cannot be read are left out, and appended here in order; their places in a batch are filled from
        the images that follow. Without this list, the first image that cannot be read is an error.

    Yields
    ------
    indices : (batch_size,) int64 array
        Which images these are.
    batch : (batch_size, ...) float32 array
        The prepared images; a new array for every batch.

    Raises
    ------
    UsageError
        When `prepare` gives arrays of different shapes, or a parameter is none of these.
    UnreadableImage
        When an image cannot be read and `skipped` is None.
    """
    batch_size = checked("batch_size", BATCH if batch_size is None else batch_size, Integer(low=1))
    start = checked("start", start, Integer(low=0))
    n_threads = checked("n_threads", n_threads, Integer(low=1) | None)
    chosen = np.arange(len(images)) if indices is None else np.asarray(indices).reshape(-1)
    if chosen.size and chosen.dtype.kind not in "iu":
        raise UsageError(f"indices of images are whole numbers, not {chosen.dtype}")
    chosen = chosen.astype(np.int64)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= len(images)):
        raise UsageError(f"indices go beyond the {len(images)} images; give 0 to {len(images) - 1}")
    return _batches(
        images,
        lambda index: images.prepared(index, prepare),
        chosen,
        batch_size,
        default_n_threads() if n_threads is None else n_threads,
        skipped,
        start,
    )


def _batches(
    images: ImageCollection,
    load: Callable[[int], np.ndarray],
    chosen: np.ndarray,
    batch_size: int,
    n_threads: int,
    skipped: list[Skipped] | None,
    start: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    def load_or_skip(index: int) -> np.ndarray | Skipped:
        try:
            return np.asarray(load(index))
        except UnreadableImage as error:
            if skipped is None:
                raise
            return Skipped(images.names[index], error.reason)

    batch = _Batch(batch_size)
    # At most one batch is prepared ahead of the one that is being filled.
    lookahead = max(batch_size, n_threads + 1)
    positions: list[int] = chosen[start:].tolist()
    loaded = map_ordered(load_or_skip, positions, n_threads=min(n_threads, len(positions) or 1), lookahead=lookahead)
    # Closed at once, with its threads, when the caller stops.
    with closing(cast(Generator[np.ndarray | Skipped], loaded)):
        for index, result in zip(positions, loaded, strict=True):
            if isinstance(result, Skipped):
                assert skipped is not None
                skipped.append(result)
                continue
            batch.add(index, result, images.names[index])
            if batch.full:
                yield batch.taken()
    if not batch.empty:
        yield batch.taken()


def require_most(skipped: Sequence[Skipped], n_images: int) -> None:
    """Refuse a collection of which more than half could not be read.

    Parameters
    ----------
    skipped : sequence of Skipped
        Images that could not be read.
    n_images : int
        Number of all images.

    Raises
    ------
    StriateError
    """
    if len(skipped) > n_images / 2:
        first = skipped[0]
        raise StriateError(
            f"{len(skipped)} of {n_images} images could not be read, the first is {printable(first.name)}: "
            f"{first.reason}; at least half must be readable"
        )


class _Batch:
    """A batch that is being filled; its array is as large as the batch from the first image on."""

    def __init__(self, size: int) -> None:
        self._indices = np.empty(size, dtype=np.int64)
        self._values: np.ndarray | None = None
        self._shape: tuple[int, ...] | None = None
        self._n = 0

    @property
    def empty(self) -> bool:
        return self._n == 0

    @property
    def full(self) -> bool:
        return self._n == len(self._indices)

    def add(self, index: int, values: np.ndarray, name: str) -> None:
        self._shape = self._shape or values.shape
        if values.shape != self._shape:
            raise UsageError(
                f"{printable(name)}: became an array of shape {values.shape}, the images before it of "
                f"shape {self._shape}; prepare every image to the same shape"
            )
        if self._values is None:
            self._values = np.empty((len(self._indices), *self._shape), dtype=np.float32)
        self._indices[self._n] = index
        self._values[self._n] = values
        self._n += 1

    def taken(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the content and empty the batch."""
        assert self._values is not None
        indices, values = self._indices[: self._n].copy(), self._values[: self._n]
        self._values, self._n = None, 0
        return indices, values
