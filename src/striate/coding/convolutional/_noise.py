"""The level of white noise in an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["noise_level"]

_NORMAL = 0.6744897501960817  # median magnitude of a standard normal number


def noise_level(image: NDArray[np.float64]) -> float:
    """The standard deviation of white noise, from an image (n_channels, height, width) of at least 3×3 pixels.

    Second differences along rows and columns leave nothing of a slope, little of an image and all of the noise. Their
    median magnitude ignores the edges, which are rare. Fine texture counts as noise.

    References
    ----------
    Immerkær, "Fast noise variance estimation", Computer Vision and Image Understanding 1996: the mask; Donoho,
    Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 1994: the median.
    """
    differences = np.diff(np.diff(image, n=2, axis=1), n=2, axis=2)
    return float(np.median(np.abs(differences)) / (6 * _NORMAL))  # 6 is the norm of (1, −2, 1) ⊗ (1, −2, 1)
