"""The stimuli to which units of a hierarchy respond most: images of fixed norm, found by gradient ascent."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.analysis.coverage import near_one
from striate.errors import UsageError
from striate.hierarchy import Hierarchy
from striate.lazy import needs_torch
from striate.parameters import Instance, Integer, IntegerTuple, Real, checked
from striate.samples import as_array

__all__ = ["OptimalStimuli", "grating_share", "optimal_stimuli"]


class OptimalStimuli(NamedTuple):
    """Stimuli of mean 0 and mean square 1, and the responses of the units."""

    stimuli: NDArray[np.float32]
    """(n_maps, channels, height, width)"""
    responses: NDArray[np.float64]
    """(n_steps + 1, n_maps): of the unit in the middle of each map, after each step."""


def optimal_stimuli(
    hierarchy: Hierarchy,
    shape: tuple[int, int, int],
    *,
    n_steps: int = 200,
    step: float = 0.1,
    n_starts: int = 1,
    random_state: int = 0,
) -> OptimalStimuli:
    """Gradient ascent, for each map, on the response of its unit in the middle, from noise, at a fixed norm.

    Needs the extra ``torch``. The fixed norm keeps the contrast from growing. With normalization in the
    hierarchy, the stimulus is one that excites a map more than the others.

    Parameters
    ----------
    hierarchy : Hierarchy
        With filters.
    shape : (channels, height, width)
        Shape of the stimuli.
    n_steps : int, default 200
    step : float, default 0.1
        Length of the first step relative to the norm; the length falls linearly to 0.
    n_starts : int, default 1
        The number of noise images to start from; for each map the stimulus with the strongest response is kept. A
        rectified unit has many local optima, in which parts of a grating have opposite phases.
    random_state : int

    Raises
    ------
    UsageError
        When torch is not installed.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun, ICCV 2009, figure 3; Saxe, Koh, Chen, Bhand, Suresh, Ng, "On random weights
    and unsupervised feature learning", ICML 2011.
    """
    checked("hierarchy", hierarchy, Instance(Hierarchy, words="a Hierarchy"))
    shape = checked("shape", shape, IntegerTuple(3, low=1))
    n_steps = checked("n_steps", n_steps, Integer(low=0))
    step = checked("step", step, Real(above=0))
    n_starts = checked("n_starts", n_starts, Integer(low=1))
    random_state = checked("random_state", random_state, Integer(low=0, high=2**62))
    hierarchy.shapes(shape)
    with needs_torch("optimal stimuli need torch"):
        from striate.analysis._torch import ascend
    stimuli, responses = ascend(hierarchy, shape, n_steps, step, random_state)
    for start in range(1, n_starts):
        others, theirs = ascend(hierarchy, shape, n_steps, step, random_state + start)
        better = theirs[-1] > responses[-1]
        stimuli[better], responses[:, better] = others[better], theirs[:, better]
    return OptimalStimuli(stimuli, responses)


def grating_share(stimuli: ArrayLike) -> NDArray[np.float64]:
    """Share of an image's power that belongs to one grating: at and around the spectrum's highest pair of peaks.

    Parameters
    ----------
    stimuli : float (n, height, width)

    Returns
    -------
    float64 (n,)
        Near 1 for a grating under a smooth envelope as wide as half the image; for white noise, a few hundredths.
    """
    images = as_array(stimuli, name="stimuli", axes=("n", "height", "width"))
    if not images.size:
        raise UsageError(f"stimuli of shape {images.shape}: give (n, height, width), none of them 0")
    images = near_one(images)
    height, width = images.shape[1:]
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    centered = images - images.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.fft2(centered * window)) ** 2
    y = np.fft.fftfreq(height)[:, None] * height
    x = np.fft.fftfreq(width)[None] * width
    shares = []
    for one in power:
        row, column = np.unravel_index(one.argmax(), one.shape)
        near = np.zeros(one.shape, bool)
        for sign in (1, -1):
            down = np.abs(y - sign * y[row, 0])
            across = np.abs(x - sign * x[0, column])
            near |= np.hypot(np.minimum(down, height - down), np.minimum(across, width - across)) <= 2
        shares.append(one[near].sum() / max(one.sum(), np.finfo(float).tiny))
    return np.array(shares)
