"""Images for these systems: grey, with their aspect ratio, up to a maximum size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from striate.images import fit_to_canvas, to_grey

__all__ = ["grey_up_to"]


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
