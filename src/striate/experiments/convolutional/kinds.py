"""Kinds of filters by a rule that was fixed before any learned filter was counted.

All shares are of the squared weights of a filter without its mean. The kinds are, in this order:

- **center-surround**: at least 80 % are explained by the filter's rotational average, about the pixel or the middle of
  pixels that explains most.
- **grating**: at least 80 % are explained by a Gabor function that has two periods or more inside the width at which
  its envelope is half as high as at its center, along the wave; that width is at most the side of the filter.
- **edge or bar**: at least 80 % are explained by any other Gabor function.
- **other**: corners, crosses, curves, and what is no form at all.

80 % is also what counts as a Gabor function in the experiments on patches. Of drawn filters, rotational averages
explain more than 90 % of spots and differences of Gaussians, and up to 76 % of short bars and of corners. They come
first because a round spot is a Gabor function too, of a frequency near 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.analysis import fit_gabor
from striate.experiments.data.natural_patches import GABOR

__all__ = ["KINDS", "effective_number", "kinds_of", "rotational_share"]

KINDS = ("center-surround", "grating", "edge or bar", "other")

_ROUND = 0.8  # share of the rotational average
_PERIODS = 2.0
_HALF_HEIGHT = 2 * np.sqrt(2 * np.log(2))  # width of a Gaussian at half of its height, in standard deviations


def kinds_of(filters: NDArray[Any]) -> list[str]:
    """The kind of each filter.

    Parameters
    ----------
    filters : float (n_filters, height, width)

    Returns
    -------
    list of str
        Of `KINDS`.
    """
    fits = fit_gabor(filters, random_state=0)
    is_gabor = np.nan_to_num(fits.r_squared) >= GABOR
    width = np.minimum(_HALF_HEIGHT * fits.width_along, max(filters.shape[1:]))
    is_grating = is_gabor & (fits.frequency * width >= _PERIODS)
    is_round = [rotational_share(one) >= _ROUND for one in filters]
    chosen = np.select([np.array(is_round, bool), is_grating, is_gabor], range(3), default=3)
    return [KINDS[number] for number in chosen]


def rotational_share(weights: NDArray[Any]) -> float:
    """The share of a filter without its mean that its rotational average explains.

    The average is over rings of one pixel's width, about each of the centers of pixels and the middles between them in
    the inner half of the filter; the best one counts.

    Parameters
    ----------
    weights : float (height, width)

    Returns
    -------
    float
        From 0 to 1; 0 for a filter without energy.
    """
    centered = weights.astype(np.float64) - weights.mean(dtype=np.float64)
    energy = float(np.square(centered).sum())
    if not energy > 0:
        return 0.0
    height, width = weights.shape
    best = 0.0
    for top in np.arange(height // 4, height - height // 4 - 0.5, 0.5):
        for left in np.arange(width // 4, width - width // 4 - 0.5, 0.5):
            radii = np.hypot(np.arange(height)[:, None] - top, np.arange(width) - left)
            rings = np.floor(radii + 0.5).astype(int).ravel()
            sums, counts = np.bincount(rings, centered.ravel()), np.bincount(rings)
            best = max(best, float((np.square(sums) / np.maximum(counts, 1)).sum()))
    return min(best / energy, 1.0)


def effective_number(kinds: Sequence[str]) -> float:
    """The number of kinds that are equally frequent and as varied: exp of the entropy of the kinds' shares."""
    shares = np.array([kinds.count(kind) for kind in KINDS if kind in kinds]) / len(kinds)
    return float(np.exp(-(shares * np.log(shares)).sum()))
