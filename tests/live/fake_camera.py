"""A camera for Chromium that shows one object after the other, from a file of raw video that NumPy writes.

The page crops the centre square of a picture, so the strips left and right of it are free to say which object is shown:
tests read that from the page's own video, and need not guess from the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["SHOWN", "crop_square", "view_at", "write_camera"]

_FIRST, _STEP = 40, 48  # luma of the strips for object 0, and from one object to the next

SHOWN = f"""
() => {{
  const video = document.querySelector("video");
  if (!video || video.readyState < 2) return -1;
  const canvas = document.createElement("canvas");
  canvas.width = 64; canvas.height = 48;
  const pen = canvas.getContext("2d", {{ willReadFrequently: true }});
  pen.drawImage(video, 0, 0, 64, 48);
  const green = pen.getImageData(3, 24, 1, 1).data[1];
  return Math.round((green - {(_FIRST - 16) * 255 / 219:.1f}) / {_STEP * 255 / 219:.1f});
}}
"""
"""JavaScript: the number of the object that the camera shows now, −1 if there is no picture."""


def write_camera(
    path: Path,
    objects: Sequence[NDArray[np.uint8]],
    *,
    seconds: float,
    height: int = 240,
    frames_per_second: int = 10,
    moves_per_second: float = 10,
) -> Path:
    """Write a .y4m file in which each object is shown for some seconds, moving a little, over and over.

    Parameters
    ----------
    path : Path
    objects : sequence of uint8 (side, side, 3)
        RGB. Larger than the height of a frame, so that they can move.
    seconds : float
        How long each object is shown.
    height : int
        Of a frame, in pixels; its width is a third more. A multiple of 12, since planes of color have half the size.
    frames_per_second : int
    moves_per_second : float
        How often an object is elsewhere.
    """
    width, strip = height * 4 // 3, height // 6
    n_frames = round(seconds * frames_per_second)
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{frames_per_second}:1 Ip A1:1 C420jpeg\n".encode())
        for number, picture in enumerate(objects):
            for k in range(n_frames):
                frame = np.full((height, width, 3), 128, np.uint8)
                moved = int(k / frames_per_second * moves_per_second) / moves_per_second
                frame[:, strip:-strip] = view_at(picture, moved, side=height)
                luma, blue, red = _planes(frame)
                luma[:, :strip] = luma[:, -strip:] = _FIRST + _STEP * number
                file.write(b"FRAME\n" + luma.tobytes() + blue.tobytes() + red.tobytes())
    return path


def view_at(picture: NDArray[np.uint8], seconds: float, *, side: int = 240) -> NDArray[np.uint8]:
    """The square out of a picture that the camera shows: its place goes round slowly, as in a hand."""
    room = picture.shape[0] - side
    down = round(room * (0.5 + 0.4 * np.cos(2.1 * seconds)))
    right = round(room * (0.5 + 0.4 * np.sin(1.7 * seconds)))
    return picture[down : down + side, right : right + side]


def crop_square(picture: NDArray, side: int = 300) -> NDArray[np.uint8]:
    """The centre square of a photograph, RGB, scaled."""
    from PIL import Image

    height, width = picture.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = Image.fromarray(picture[top : top + edge, left : left + edge]).convert("RGB")
    return np.asarray(square.resize((side, side), Image.Resampling.LANCZOS))


def _planes(frame: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Y, and Cb and Cr at half the size, of an RGB frame (ITU-R BT.601, studio range)."""
    red, green, blue = np.moveaxis(frame.astype(np.float32), 2, 0)
    luma = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    cb = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
    cr = 128 + 0.439 * red - 0.368 * green - 0.071 * blue

    def halve(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        return plane.reshape(plane.shape[0] // 2, 2, plane.shape[1] // 2, 2).mean(axis=(1, 3))

    y, u, v = (np.clip(np.round(plane), 0, 255).astype(np.uint8) for plane in (luma, halve(cb), halve(cr)))
    return y, u, v
