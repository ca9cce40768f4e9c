"""Images for these systems: grey, with their aspect ratio, up to a maximum size; or squares of one size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.images import fit_to_canvas, to_grey

__all__ = ["grey_up_to", "square"]


def grey_up_to(image: NDArray[np.float32], longest: int, *, shortest: int = 32) -> NDArray[np.float32]:
    """Return a decoded image in grey, reduced to `longest` pixels on its longer side.

    Parameters
    ----------
    image : float32 (1 or 3, height, width), 0–1
    longest : int
        Smaller images are not enlarged.
    shortest : int, default 32
        The edges of thinner images are repeated up to this number of pixels, so that a grid of patches fits.

    Returns
    -------
    float32 (height, width)
    """
    canvas, (top, left, height, width) = fit_to_canvas(to_grey(image), (longest, longest), enlarge=False)
    content = canvas[0, top : top + height, left : left + width]
    missing = [max(0, shortest - side) for side in content.shape]
    if any(missing):
        content = np.pad(content, [(lack // 2, lack - lack // 2) for lack in missing], mode="edge")
    return np.ascontiguousarray(content)


def square(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return an image that was resized to a square, whatever its aspect ratio.

    Nothing is cropped and nothing is padded: a border of zeros would be an edge that tells the aspect ratio.

    Parameters
    ----------
    image : float32 (channels, height, width), 0–1
    side : int
        Pixels per side of the square.

    Returns
    -------
    float32 (channels, side, side)
        Resampled with the Lanczos filter, and cut off below 0 and above 1, where that filter overshoots.
    """
    if image.shape[1:] == (side, side):
        return image
    planes = [Image.fromarray(np.ascontiguousarray(channel, dtype=np.float32)) for channel in image]
    resized = [np.asarray(plane.resize((side, side), Image.Resampling.LANCZOS)) for plane in planes]
    return np.clip(np.stack(resized), 0, 1)
