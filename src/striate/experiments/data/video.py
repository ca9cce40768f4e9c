"""Pairs of patches from videos: the same place in successive frames, along the camera's motion, or disturbed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from striate.experiments.data.natural_patches import whitened
from striate.experiments.engine.unit import Context
from striate.images import ImageCollection, as_images, load_mnist_digits

__all__ = ["FRAMES", "MIN_STD", "NOISE", "PAIRS", "Patches", "Scenes", "read_scenes"]

FRAMES = ("next frame", "next frame, followed")
PAIRS = (*FRAMES, "noise", "half a pixel", "one pixel")
MIN_STD = 0.3  # the least standard deviation of a patch in whitened images that counts as not flat
NOISE = 0.05  # of a patch's standard deviation
_MARGIN = 16  # minimum distance of patches from the border, in pixels
_EVERY = 4  # every fourth frame is also shifted and gets noise

Patches = NDArray[np.float32]


class Scenes(NamedTuple):
    """Patches of whitened frames at fixed places, and pairs of them.

    Attributes
    ----------
    patches : float32 (n_patches, side²)
        Patches of the frames, followed by disturbed ones; no patch of a frame is flat.
    of_frames : bool (n_patches,)
        Whether a patch is from an original frame, not a disturbed one.
    pairs : mapping of str to int64 (n_pairs, 3)
        The row before, the row after, and the clip.
    videos : tuple of str, (n_clips,)
        The video that each clip is from.
    """

    patches: Patches
    of_frames: NDArray[np.bool_]
    pairs: Mapping[str, NDArray[np.int64]]
    videos: tuple[str, ...]


def read_scenes(context: Context, side: int, spacing: int, clip_length: int) -> Scenes:
    """Cut the videos: places `spacing` pixels apart, clips of a quarter of the image and `clip_length` frames."""
    rng = np.random.default_rng(context.seed)
    parts: list[Patches] = []
    of_frames: list[bool] = []
    pairs: dict[str, list[NDArray[np.int64]]] = {name: [] for name in PAIRS}
    videos: list[str] = []
    n_rows = 0

    def added(patches: Patches, *, own: bool) -> NDArray[np.int64]:
        nonlocal n_rows
        rows = np.arange(n_rows, n_rows + len(patches))
        n_rows += len(patches)
        parts.append(patches)
        of_frames.extend([own] * len(patches))
        return rows

    for video, frames in _videos(context).items():
        height, width = frames[0].shape[1:]
        tops = np.arange(_MARGIN, height - _MARGIN - side, spacing)
        lefts = np.arange(_MARGIN, width - _MARGIN - side, spacing)
        lower, right = (2 * np.arange(len(starts)) // len(starts) for starts in (tops, lefts))
        quarter = (2 * lower[:, None] + right).ravel()
        n_segments = max(1, round((len(frames) - 1) / clip_length))
        segment = np.arange(len(frames) - 1) * n_segments // (len(frames) - 1)
        clips = len(videos) + 4 * segment[:, None] + quarter

        own, followed, shifted = [], [], {}
        previous: NDArray[np.float32] | None = None
        with context.progress.phase(f"frames of {video}", total=len(frames), unit="frames") as phase:
            for t, image in enumerate(frames):
                frame = whitened(image)[0]
                own.append(_cut(frame, tops, lefts, side))
                if previous is not None:
                    followed.append(_follow(previous, frame, tops, lefts, side))
                previous = frame
                if t % _EVERY == 0 and t < len(frames) - 1:
                    shifted[t] = {
                        "half a pixel": [_cut(_shifted(frame, *by), tops, lefts, side) for by in ((0.5, 0), (0, 0.5))],
                        "one pixel": [_cut(frame, tops + 1, lefts, side), _cut(frame, tops, lefts + 1, side)],
                    }
                phase.advance()
        patches = np.stack(own)  # (frames, places, side²)
        structured = patches.std(axis=2) > MIN_STD
        rows = np.full(structured.shape, -1)
        rows[structured] = added(patches[structured], own=True)

        both = structured[:-1] & structured[1:]
        pairs["next frame"].append(np.stack([rows[:-1][both], rows[1:][both], clips[both]], axis=1))
        moved = np.stack([found for found, _ in followed])
        chosen = np.stack([inside for _, inside in followed]) & structured[:-1] & (moved.std(axis=2) > MIN_STD)
        after = added(moved[chosen], own=False)
        pairs["next frame, followed"].append(np.stack([rows[:-1][chosen], after, clips[chosen]], axis=1))
        for t, by_name in shifted.items():
            chosen = structured[t]
            before = patches[t][chosen]
            noise = NOISE * before.std(axis=1, keepdims=True) * rng.standard_normal(before.shape, dtype=np.float32)
            for name, variants in {"noise": [before + noise], **by_name}.items():
                for variant in variants:
                    after = added(variant if name == "noise" else variant[chosen], own=False)
                    pairs[name].append(np.stack([rows[t][chosen], after, clips[t][chosen]], axis=1))
        videos += [video] * (4 * n_segments)
    return Scenes(
        np.concatenate(parts),
        np.array(of_frames),
        {name: np.concatenate(found) for name, found in pairs.items()},
        tuple(videos),
    )


def _cut(frame: NDArray[np.floating], tops: NDArray[np.int64], lefts: NDArray[np.int64], side: int) -> Patches:
    """Return the patches at all these rows and columns: (n_patches, side²)."""
    windows = sliding_window_view(frame, (side, side))[tops[:, None], lefts]
    return windows.reshape(-1, side * side).astype(np.float32)


def _follow(
    previous: NDArray[np.float32],
    frame: NDArray[np.float32],
    tops: NDArray[np.int64],
    lefts: NDArray[np.int64],
    side: int,
) -> tuple[Patches, NDArray[np.bool_]]:
    """Return patches at places shifted by the camera's motion, and which of these are in the image."""
    height, width = frame.shape
    match = np.fft.irfft2(np.fft.rfft2(frame) * np.conj(np.fft.rfft2(previous)), frame.shape)
    down, right = (int(found) for found in np.unravel_index(match.argmax(), match.shape))
    tops = tops + (down + height // 2) % height - height // 2
    lefts = lefts + (right + width // 2) % width - width // 2
    inside = ((tops >= 0) & (tops <= height - side))[:, None] & (lefts >= 0) & (lefts <= width - side)
    patches = _cut(frame, tops.clip(0, height - side), lefts.clip(0, width - side), side)
    return patches, inside.ravel()


def _shifted(frame: NDArray[np.floating], down: float, right: float) -> NDArray[np.float64]:
    """Return the frame shifted by parts of a pixel, by a phase in its spectrum."""
    padded = np.pad(frame.astype(np.float64), _MARGIN, mode="symmetric")
    height, width = padded.shape
    cycles = down * np.fft.fftfreq(height)[:, None] + right * np.fft.rfftfreq(width)
    moved = np.fft.irfft2(np.fft.rfft2(padded) * np.exp(2j * np.pi * cycles), padded.shape)
    return moved[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]


def _videos(context: Context) -> dict[str, ImageCollection]:
    if context.scale == "full":
        return {name: as_images(context.data("video") / name) for name in ("tennis", "bag")}
    digits, _ = load_mnist_digits()
    rng = np.random.default_rng(context.seed)
    image = np.block([[digit[0] for digit in digits[first::625]] for first in range(6)])
    drift = np.cumsum(rng.uniform(-0.7, 0.7, (16, 2)), axis=0)
    frames = np.stack([_shifted(image, *by) for by in drift]).astype(np.float32)
    return {"drifting digits": as_images(frames[:, None])}
