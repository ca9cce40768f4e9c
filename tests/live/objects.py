"""What the camera of the browser tests shows, one after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.live.fake_camera import crop_square

__all__ = ["ASTRONAUT", "COFFEE", "MARKUP", "ROCKET", "SECONDS", "photographs"]

ASTRONAUT, COFFEE, ROCKET = 0, 1, 2
SECONDS = 2.0  # for which each of them is shown
MARKUP = "<img src=x onerror=alert(1)>"
"""A name of a class, since a folder may have any name."""


def photographs() -> list[NDArray[np.uint8]]:
    """Photographs that scikit-image ships, as squares."""
    from skimage import data

    return [crop_square(picture) for picture in (data.astronaut(), data.coffee(), data.rocket())]
