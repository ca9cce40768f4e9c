"""Features of images in the workers of `striate.distribute`, with the bits of one process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.distribute import map_shards, n_workers
from striate.hierarchy.features import Features, Transform, extract_features, feature_batches
from striate.images.collection import ImageCollection
from striate.images.parts import part_of
from striate.images.preprocessing import Preprocessing
from striate.images.stream import BATCH, Skipped, require_most
from striate.progress import Progress

__all__ = ["batches_in_workers", "extract_in_workers"]

_SHARD = 4 * BATCH  # images that a worker takes at a time: some tenths of a second of work

Batch = tuple[NDArray[np.int64], NDArray[Any]]


def batches_in_workers(
    images: ImageCollection,
    preprocessing: Preprocessing,
    transform: Transform,
    *,
    indices: Sequence[int] | NDArray[np.int64] | None = None,
    skipped: list[Skipped] | None = None,
    cache: bool = False,
) -> Iterator[Batch]:
    """`feature_batches`, in workers where there are any: each reads, prepares and transforms 256 images at a time.

    Parameters
    ----------
    images, preprocessing, transform, indices, skipped, cache
        See `feature_batches`.

    Yields
    ------
    indices : int64 (n,)
    rows : (n, n_features)
    """
    if n_workers() == 1:
        yield from feature_batches(images, preprocessing, transform, indices=indices, skipped=skipped, cache=cache)
        return
    chosen = np.arange(len(images)) if indices is None else np.asarray(indices, np.int64).reshape(-1)
    shards = [chosen[first : first + _SHARD] for first in range(0, len(chosen), _SHARD)]
    parts = (part_of(images, shard.tolist(), preprocessing) for shard in shards)
    work = partial(_of_part, preprocessing, transform, cache, skipped is None)
    for shard, (batches, left_out) in zip(shards, map_shards(work, parts), strict=True):
        if skipped is not None:
            skipped += left_out
        for found, rows in batches:
            yield shard[found], rows


def extract_in_workers(
    images: ImageCollection,
    preprocessing: Preprocessing,
    transform: Transform,
    *,
    cache: bool = False,
    require_half: bool = True,
    name: str = "features",
    progress: Progress | None = None,
) -> Features:
    """`extract_features` of all images into memory, in workers where there are any.

    Parameters
    ----------
    images, preprocessing, transform, cache, require_half, name, progress
        See `extract_features`.
    """
    if n_workers() == 1:
        return extract_features(
            images, preprocessing, transform, cache=cache, require_half=require_half, name=name, progress=progress
        )
    none = extract_features(images, preprocessing, transform, indices=[])
    batches, skipped = [(none.positions, none.rows)], list[Skipped]()
    with (progress or Progress()).phase(name, total=len(images), unit="images") as phase:
        for found, rows in batches_in_workers(images, preprocessing, transform, skipped=skipped, cache=cache):
            batches.append((found, rows))
            phase.advance(int(found[-1]) + 1 - phase.done)
        if require_half:
            require_most(skipped, len(images))
        phase.advance(len(images) - phase.done)
    positions = np.concatenate([found for found, _ in batches])
    return Features(np.concatenate([rows for _, rows in batches]), positions, skipped)


def _of_part(
    preprocessing: Preprocessing, transform: Transform, cache: bool, strict: bool, images: ImageCollection
) -> tuple[list[Batch], list[Skipped]]:
    """What a worker does: features of some images, and those of them that cannot be read."""
    left_out: list[Skipped] = []
    skipped = None if strict else left_out
    return list(feature_batches(images, preprocessing, transform, skipped=skipped, cache=cache)), left_out
