"""Prepared pictures in batches, in threads, with those that cannot be read set aside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from striate.errors import UnreadableImage
from striate.images.collection import ImageCollection
from striate.images.preprocessing import Preprocessing
from striate.images.stream import Skipped
from striate.threads import map_ordered

__all__ = ["load_pictures"]


def load_pictures(
    images: ImageCollection, preprocessing: Preprocessing, indices: Sequence[int], *, batch_size: int = 64
) -> Iterator[tuple[list[int], NDArray[np.float32], list[Skipped]]]:
    """Chosen pictures, a batch at a time.

    Unlike `striate.images.stream`, it does not end where most pictures are broken: of a thousand that are indexed
    already, one may be new, and damaged.

    Yields
    ------
    indices : list of int
        Those of the batch that could be read.
    pictures : float32 (n, channels, height, width)
    skipped : list of Skipped
        The others.
    """

    def load(index: int) -> NDArray[np.float32] | Skipped:
        try:
            return preprocessing(images.read(index, **preprocessing.reading))
        except UnreadableImage as error:
            return Skipped(images.names[index], error.reason)

    for start in range(0, len(indices), batch_size):
        some = list(indices[start : start + batch_size])
        loaded = list(map_ordered(load, some, n_threads=1 if len(some) == 1 else None))
        good = [(index, one) for index, one in zip(some, loaded, strict=True) if not isinstance(one, Skipped)]
        pictures = np.stack([one for _, one in good]) if good else np.empty((0, *preprocessing.shape), np.float32)
        yield [index for index, _ in good], pictures, [one for one in loaded if isinstance(one, Skipped)]
