"""Are two pictures copies of one another? Their pixels tell, where codes say only that they look alike.

Codes are made to forget what differs between pictures of a kind; side views of two airplanes may agree in all but a few
bits. So codes propose pairs, and small versions of the pictures decide: one is slid inside the other, a little larger,
for copies that were cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from striate.errors import UnreadableImage
from striate.images import local_contrast_normalization, read_image, to_grey
from striate.progress import Progress
from striate.retrieval.codes import Codes
from striate.retrieval.duplicates import near_duplicates
from striate.retrieval.image_index import ImageIndex
from striate.retrieval.nearest import nearest_codes

__all__ = ["CODE_SHARE", "MIN_CORRELATION", "correlation_of_copies", "near_copies", "small_versions"]

CODE_SHARE = 0.1
"""Share of a code's bits in which copies may differ: of 200 photographs of Caltech-101 that were made smaller,
compressed again or cut by 5 %, at most one in twenty lay farther from its copy."""

MIN_CORRELATION = 0.7
"""Of the pixels of copies: made smaller, compressed again or cut by up to 10 %, nineteen of twenty photographs are
above; of different ones whose codes are near, hardly any."""

_SIDE = 48
# Enlarged by up to a tenth: a copy may have lost as much at its edges.
_SIDES = (48, 49, 50, 51, 52, 53)
_CANDIDATES = 16  # nearest members of a group that each is compared with
_FLAT = 1e-3  # deviation of a picture without content, where normalization makes that of others about 1
_ROUNDING = 1e-4  # a picture's correlation with itself may fall short of 1 by as much
_KEPT = 1024  # pictures whose small versions are in memory: 64 MB


def near_copies(
    index: ImageIndex,
    *,
    threshold: int | None = None,
    min_correlation: float = MIN_CORRELATION,
    progress: Progress | None = None,
) -> list[list[int]]:
    """Groups of indexed pictures that are copies of each other: resized, compressed again, cut a little.

    Pictures whose codes are near each other are read once more and compared; all others are not touched.

    Parameters
    ----------
    index : ImageIndex
        Of a folder, which must be there; a picture that cannot be read is in no group.
    threshold : int, optional
        Bits in which the codes of copies may differ; by default, a tenth of them.
    min_correlation : float
        Of their pixels.
    progress : Progress, optional

    Returns
    -------
    list of list of int
        Rows of the index, in transitive groups of two and more.
    """
    n_bits = index.encoder.n_bits
    if threshold is None:
        threshold = round(CODE_SHARE * n_bits)
    candidates = near_duplicates(index.codes, n_bits, threshold)
    found: list[list[int]] = []
    with (progress or Progress()).phase("candidates", total=sum(map(len, candidates)), unit="images") as phase:
        for rows in candidates:
            paths = [Path(index.folder) / index.items.name(row) for row in rows.tolist()]
            groups = _copies_among(paths, np.asarray(index.codes)[rows], threshold, min_correlation)
            found += [[int(rows[member]) for member in group] for group in groups]
            phase.advance(len(rows))
    return sorted(found)


def _copies_among(paths: list[Path], codes: Codes, threshold: int, min_correlation: float) -> list[list[int]]:
    """Groups of copies among pictures whose codes are near each other: members, smallest first."""
    read = lru_cache(maxsize=_KEPT)(small_versions)
    parents = list(range(len(paths)))

    def root(member: int) -> int:
        while parents[member] != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

    near = nearest_codes(codes, codes, min(len(paths), 1 + _CANDIDATES))
    for one, (others, distances) in enumerate(zip(near.rows.tolist(), near.distances.tolist(), strict=True)):
        for other, distance in zip(others, distances, strict=True):
            if distance > threshold or root(one) == root(other):
                continue
            first, second = read(paths[one]), read(paths[other])
            if first is None or second is None:
                continue
            if correlation_of_copies(first, second) >= min_correlation - _ROUNDING:
                low, high = sorted((root(one), root(other)))
                parents[high] = low
    groups: dict[int, list[int]] = {}
    for member in range(len(paths)):
        groups.setdefault(root(member), []).append(member)
    return [group for group in groups.values() if len(group) > 1]


def correlation_of_copies(first: Sequence[NDArray[np.float32]], second: Sequence[NDArray[np.float32]]) -> float:
    """The largest correlation of either picture with a window of the other, enlarged by up to a tenth.

    Two pictures of nothing at all, such as blank pages, have 1.

    Parameters
    ----------
    first, second : sequence of float32 (side, side)
        The picture at growing sides, the first of them the window's.
    """
    if first[0].std() < _FLAT and second[0].std() < _FLAT:
        return 1.0
    return max(_best_window(first[0], second), _best_window(second[0], first))


def _best_window(one: NDArray[np.float32], others: Sequence[NDArray[np.float32]]) -> float:
    centered = (one - one.mean()).reshape(-1)
    norm = float(np.linalg.norm(centered))
    best = -1.0
    for other in others:
        windows = np.lib.stride_tricks.sliding_window_view(other, one.shape).reshape(-1, one.size)
        deviations = windows.std(axis=1) * np.sqrt(one.size)
        products = windows @ centered / np.maximum(deviations * norm, 1e-12)
        best = max(best, float(products.max()))
    return best


def small_versions(path: Path) -> tuple[NDArray[np.float32], ...] | None:
    """The picture as squares of `_SIDES`, its local contrast normalized; None where it cannot be read."""
    from PIL import Image

    try:
        grey = to_grey(read_image(path, color=False, at_least=2 * _SIDE))
    except UnreadableImage:
        return None
    picture = Image.fromarray(grey[0])
    versions = []
    for side in _SIDES:
        square = np.asarray(picture.resize((side, side), Image.Resampling.BOX), np.float32)
        versions.append(local_contrast_normalization(square[np.newaxis])[0])
    return tuple(versions)
