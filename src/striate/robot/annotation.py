"""What a robot's eye sees, drawn: stereo's labels nearby, predictions beyond, and the map of costs beside them."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from striate.errors import UsageError
from striate.parameters import Integer, Real, checked
from striate.robot.eye import far_ground
from striate.robot.features import COLUMN_STEP
from striate.robot.grid import CostMap
from striate.robot.labels import UNKNOWN, obstacle_share
from striate.robot.recorded import ReplayedFrame
from striate.whole_file import whole_file

__all__ = ["annotated", "write_clip"]

# Ground green, feet of obstacles violet, obstacles red: as on the talk's slides.
_COLORS = np.array([[0, 110, 40], [60, 200, 90], [190, 80, 220], [240, 90, 70], [170, 10, 10]], np.float32)
_COST_COLORS = np.array([[60, 200, 90], [240, 200, 60], [220, 30, 30]], np.float32)  # of 0, ½ and 1
_UNSEEN = (70, 70, 74)
_STRENGTH = 0.5  # of colors over the image
_AHEAD = 60.0  # meters that the map shows
_NEAR = 12.0  # stereo's range, drawn as an arc
_SCALES = (1.0, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)


def annotated(found: ReplayedFrame) -> NDArray[np.uint8]:
    """Draw a frame of a replay.

    Parameters
    ----------
    found : ReplayedFrame

    Returns
    -------
    (height, width + height, 3) uint8 array
        The left image with stereo's labels (ground green, foot of an obstacle violet, obstacle red) and, beyond them,
        the predicted cost of the ground from green over yellow to red; beside it the map as seen from above, with the
        robot in the middle of the lower edge and 60 m ahead at the upper one. What is unknown is not colored in the
        image, and grey on the map. Where a frame has problems, the first one is written into the image.
    """
    image = _image_with_labels(found)
    drawn = Image.fromarray(np.concatenate([image, _map(found.costs, image.shape[0])], axis=1))
    pen = ImageDraw.Draw(drawn)
    text = found.frame.name if not found.problems else f"{found.frame.name}: {found.problems[0]}"
    # The built-in font has no more than Latin letters.
    text = text.encode("latin-1", "replace").decode("latin-1")
    box = pen.textbbox((4, 2), text)
    pen.rectangle((0, 0, box[2] + 4, box[3] + 3), fill=(0, 0, 0))
    pen.text((4, 2), text, fill=(255, 255, 255))
    return np.asarray(drawn)


def write_clip(
    path: str | os.PathLike[str],
    frames: Sequence[NDArray[np.uint8]],
    *,
    seconds: float = 0.25,
    most_bytes: int = 2_000_000,
) -> None:
    """Write a GIF that loops, reduced until it is small enough.

    Parameters
    ----------
    path : str or os.PathLike
    frames : sequence of uint8 (height, width, 3)
    seconds : float, default 0.25
        Duration of a frame.
    most_bytes : int, default 2,000,000
        Images are made smaller, and at last frames left out, until the file has no more.

    Raises
    ------
    UsageError
        If there are no frames, or a single frame does not fit.
    """
    seconds = checked("seconds", seconds, Real(low=0.01, high=600))
    most_bytes = checked("most_bytes", most_bytes, Integer(low=1))
    frames = [np.asarray(frame) for frame in frames]
    if not frames or any(frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 for frame in frames):
        raise UsageError("a clip needs at least one frame, an array of uint8 (height, width, 3)")
    while True:
        for scale in _SCALES:
            content = _gif(frames, scale, seconds)
            if len(content) <= most_bytes:
                with whole_file(path) as file:
                    file.write(content)
                return
        if len(frames) == 1:
            raise UsageError(f"a clip of one frame has {len(content):,} bytes, more than {most_bytes:,}: allow more")
        frames, seconds = frames[::2], min(600.0, 2 * seconds)


def _gif(frames: Sequence[NDArray[np.uint8]], scale: float, seconds: float) -> bytes:
    images = []
    for frame in frames:
        image = Image.fromarray(frame)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        small = image.resize(size, Image.Resampling.LANCZOS) if scale != 1 else image
        # Without dithering, whose noise compresses badly.
        images.append(small.quantize(128, dither=Image.Dither.NONE))
    file = io.BytesIO()
    images[0].save(file, format="GIF", save_all=True, append_images=images[1:], duration=round(1000 * seconds), loop=0)
    return file.getvalue()


def _image_with_labels(found: ReplayedFrame) -> NDArray[np.uint8]:
    left, look = found.frame.left, found.look
    image = np.repeat(left, 3, axis=0) if len(left) == 1 else left
    pixels = 255 * np.clip(np.nan_to_num(image), 0, 1).transpose(1, 2, 0)
    color = np.zeros_like(pixels)
    covered = _predicted(found, color)
    known = look.labels.label != UNKNOWN
    color[known] = _COLORS[look.labels.label[known]]
    covered |= known
    pixels[covered] += _STRENGTH * (color[covered] - pixels[covered])
    return np.rint(pixels).astype(np.uint8)


def _predicted(found: ReplayedFrame, color: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Fill the ground beyond stereo with the colors of its predicted costs; where it is filled."""
    covered = np.zeros(color.shape[:2], bool)
    look, cameras = found.look, found.frame.calibration
    if look.bands is None or look.probabilities is None:
        return covered
    windows = look.bands.windows
    own = far_ground(look.bands, look.probabilities, _NEAR)
    colors = _cost_colors(obstacle_share(look.probabilities[own]))
    pixels = np.array([band.pixels for band in look.bands.bands])[windows.band[own]]
    ranges = np.array([band.range for band in look.bands.bands])
    ratio = float(np.sqrt(ranges[1] / ranges[0])) if len(ranges) > 1 else 1.06
    wide = 0.5 * COLUMN_STEP * cameras.fx / pixels
    tall = 0.5 * cameras.fy * look.bands.plane.camera_height / windows.range[own] * (ratio - 1 / ratio)
    row, column = windows.image_row[own], windows.image_column[own]
    limits = [np.ceil(row - tall), np.ceil(row + tall), np.ceil(column - wide), np.ceil(column + wide)]
    top, low, first, last = (np.maximum(limit, 0).astype(np.int64) for limit in limits)
    for number in range(len(own)):
        where = slice(top[number], max(low[number], top[number] + 1)), slice(first[number], last[number])
        color[where] = colors[number]
        covered[where] = True
    return covered


def _cost_colors(cost: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.stack([np.interp(cost, (0, 0.5, 1), channel) for channel in _COST_COLORS.T], axis=-1).astype(np.float32)


def _map(costs: CostMap, side: int) -> NDArray[np.uint8]:
    """The map from above, (side, side, 3), in the direction in which the robot looks."""
    scale = _AHEAD / side  # meters per pixel
    ahead = (side - 0.5 - np.arange(side))[:, np.newaxis] * scale
    right = (np.arange(side) - (side - 1) / 2)[np.newaxis] * scale
    right, ahead = np.broadcast_arrays(right, ahead)
    cost = costs.at(*costs.pose.to_world(np.stack([right, ahead])))
    seen = np.isfinite(cost)
    drawn = np.full((side, side, 3), _UNSEEN, np.float32)
    drawn[seen] = _cost_colors(cost[seen])
    arc = np.abs(np.hypot(right, ahead) - _NEAR) < 0.5 * scale
    drawn[arc] = 255
    drawn[(ahead < 2.5) & (np.abs(right) < 0.4 * (3 - ahead))] = 255  # the robot
    drawn[:, 0] = 0
    return np.rint(drawn).astype(np.uint8)
