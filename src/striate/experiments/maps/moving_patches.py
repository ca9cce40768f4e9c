"""Sequences of moving patches: cut from photographs with a known displacement, or from videos, where it is measured."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from striate.experiments.data.natural_patches import Part, photographs
from striate.experiments.engine.unit import Context
from striate.images import as_images, load_mnist_digits, local_contrast_normalization, to_grey, whiten

__all__ = [
    "Moving",
    "displacements",
    "frames_of_videos",
    "mirrored",
    "moving_patches",
    "patches_of_frames",
    "translations",
]

MIN_STD = 0.3  # of a patch in images of standard deviation 1, below which it counts as flat
FARTHEST = 5  # pixels; phase correlation looks no farther
_PARTS = {"train": (0.0, 0.6), "val": (0.65, 1.0)}  # of each video's frames; those between are too close to both


class Moving(NamedTuple):
    """Sequences of patches, and how they move.

    Attributes
    ----------
    frames : float32 (n_sequences, n_frames, side²)
    displacement : float (n_sequences, n_frames − 1, 2)
        Rows down and columns to the right, from each frame to the next.
    peak : float (n_sequences, n_frames − 1)
        How clear the displacement is: the peak of the phase correlation; 1 where it is known.
    """

    frames: NDArray[np.float32]
    displacement: NDArray[Any]
    peak: NDArray[Any]


def translations(
    context: Context, part: Part, side: int, n: int, *, n_frames: int, fastest: float, factor: int
) -> Moving:
    """Windows that move over photographs, each with a velocity of its own and a third of a pixel of jitter."""
    from scipy.ndimage import map_coordinates, spline_filter

    rng = np.random.default_rng([context.seed, {"train": 0, "val": 1}[part]])
    given = photographs(context, part)
    images = [spline_filter(_prepared(given[k], factor)) for k in range(min(len(given), 100))]
    rows, columns = np.mgrid[:side, :side].astype(float)
    margin = int(np.ceil((n_frames - 1) * (fastest + 1 / 3))) + 1
    frames: list[NDArray[np.float32]] = []
    moves: list[NDArray[Any]] = []
    while len(frames) < n:
        image = images[rng.integers(len(images))]
        steps = rng.uniform(-fastest, fastest, 2) + rng.uniform(-1 / 3, 1 / 3, (n_frames - 1, 2))
        offsets = np.vstack([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
        top, left = (rng.integers(margin, size - side - margin + 1) for size in image.shape)
        places = np.stack(
            [top + rows[None] - offsets[:, :1, None], left + columns[None] - offsets[:, 1:, None]]
        )  # a pattern moves down where the window moves up
        cut = map_coordinates(image, places, order=3, prefilter=False).reshape(n_frames, -1)
        if cut.std(axis=1).min() > MIN_STD:
            frames.append(cut.astype(np.float32))
            moves.append(steps)
    return Moving(np.stack(frames), np.stack(moves), np.ones((n, n_frames - 1)))


def frames_of_videos(context: Context, part: Part, factor: int) -> list[NDArray[np.float32]]:
    """Frames (n_frames, height, width) of one part of each video, reduced by a factor and whitened."""
    first, last = _PARTS[part]
    found = []
    for video in _videos(context):
        chosen = range(int(first * len(video)), int(last * len(video)))
        found.append(np.stack([_prepared(video[t], factor) for t in chosen]).astype(np.float32))
    return found


def patches_of_frames(videos: Iterable[NDArray[np.float32]], side: int, spacing: int, n_frames: int) -> Moving:
    """Patches at places `spacing` pixels apart that stay where they are, in every `n_frames` frames of the videos.

    Their displacement is that of a window half as wide again, which tells it more surely than the patch alone.
    """
    around = side // 4
    wide = side + 2 * around
    parts: list[Moving] = []
    for frames in videos:
        windows = sliding_window_view(frames, (wide, wide), axis=(1, 2))[:, ::spacing, ::spacing]
        length, *places = windows.shape[:3]
        windows = windows.reshape(length, -1, wide, wide)
        moves, peaks = zip(*(displacements(before, after) for before, after in pairwise(windows)), strict=True)
        patches = windows[:, :, around:-around, around:-around].reshape(length, int(np.prod(places)), -1)
        kept = patches.std(axis=2) > MIN_STD
        for t in range(length - n_frames + 1):
            shown = kept[t : t + n_frames].all(axis=0)
            parts.append(
                Moving(
                    patches[t : t + n_frames, shown].transpose(1, 0, 2),
                    np.stack(moves[t : t + n_frames - 1], axis=1)[shown],
                    np.stack(peaks[t : t + n_frames - 1], axis=1)[shown],
                )
            )
    return Moving(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def displacements(before: NDArray[Any], after: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """How far windows have moved, by phase correlation, to a part of a pixel.

    Parameters
    ----------
    before, after : float (n_windows, side, side)

    Returns
    -------
    displacement : float (n_windows, 2)
        Rows down and columns to the right, at most `FARTHEST` pixels, from the parabola through the peak.
    peak : float (n_windows,)
        1 for a pure translation of all frequencies, 0 for unrelated windows.
    """
    side = before.shape[-1]
    taper = np.hanning(side + 2)[1:-1]
    first, second = (np.fft.rfft2(windows * np.outer(taper, taper)) for windows in (before, after))
    cross = second * first.conj()
    size = np.abs(cross)
    # Frequencies that the windows do not contain have no phase.
    cross /= size + 0.01 * size.max(axis=(1, 2), keepdims=True) + 1e-12
    found = np.fft.fftshift(np.fft.irfft2(cross, (side, side)), axes=(1, 2))
    middle, reach = side // 2, min(FARTHEST, side // 2 - 1)
    near = found[:, middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    best = near.reshape(len(near), -1).argmax(axis=1)
    row, column = (place + middle - reach for place in np.divmod(best, 2 * reach + 1))
    each = np.arange(len(found))

    def between(lower: NDArray[Any], top: NDArray[Any], upper: NDArray[Any]) -> NDArray[Any]:
        bend = lower - 2 * top + upper
        return np.asarray(np.clip(0.5 * (lower - upper) / np.where(bend < 0, bend, -np.inf), -0.5, 0.5))

    top = found[each, row, column]
    down = row - middle + between(found[each, row - 1, column], top, found[each, row + 1, column])
    right = column - middle + between(found[each, row, column - 1], top, found[each, row, column + 1])
    return np.stack([down, right], axis=1), top


def mirrored(given: Moving, side: int) -> Moving:
    """The sequences, and the same upside down, from left to right, and both."""
    images = given.frames.reshape(*given.frames.shape[:2], side, side)
    parts = []
    for down, right in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
        turned = images[:, :, ::down, ::right].reshape(given.frames.shape)
        parts.append(Moving(turned, given.displacement * (down, right), given.peak))
    return Moving(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def moving_patches(given: Moving, rows: NDArray[np.int64]) -> Moving:
    """Some of the sequences."""
    return Moving(*(array[rows] for array in given))


def _prepared(image: NDArray[Any], factor: int) -> NDArray[np.float64]:
    """One channel, reduced by means over squares, whitened up to 0.15 cycles per pixel, its contrast normalized.

    Waves of less than twice the displacement would look as if they moved backwards, hence the low cutoff.
    """
    grey = to_grey(image)[0]
    height, width = (size // factor for size in grey.shape)
    small = grey[: height * factor, : width * factor].reshape(height, factor, width, factor).mean(axis=(1, 3))
    return np.asarray(local_contrast_normalization(whiten(small[None], cutoff=0.15))[0], dtype=np.float64)


def _videos(context: Context) -> list[Any]:
    """Both videos; at quick scale digits that drift."""
    if context.scale == "full":
        return [as_images(context.data("video") / name) for name in ("bag", "tennis")]
    from scipy.ndimage import shift

    digits, _ = load_mnist_digits()
    rng = np.random.default_rng(context.seed)
    image = np.block([[digit[0] for digit in digits[first::1250]] for first in range(3)])
    places = np.cumsum(rng.uniform(-0.8, 0.8, (24, 2)), axis=0)
    return [np.stack([shift(image, place, order=1, mode="wrap") for place in places])[:, None]]
