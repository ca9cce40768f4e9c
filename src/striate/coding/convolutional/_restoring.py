"""Estimates of a whole image from its known pixels: a smooth part plus convolutional codes, found by turns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.coding.convolutional._smooth import smooth_part
from striate.coding.convolutional.prepared_filters import PreparedFilters
from striate.coding.convolutional.solving import infer_convolutional
from striate.coding.convolutional.sparse_maps import SparseMaps

__all__ = ["Estimate", "Prior", "estimate", "rarity"]

_GRID = 64  # frequencies per side at which the spectrum is sampled
_ROUNDS = 2  # of the smooth part, then the codes; a third changes the images by less than 0.05 dB
_TOLERANCE = 3e-3  # relative gap of the codes


class Prior(NamedTuple):
    """What is expected of an image: `smoothness` and `order` of its smooth part, `sparsity` of the codes or None.

    Without a sparsity there are no codes: the smooth part alone is to explain the image.
    """

    smoothness: float
    order: int
    sparsity: float | None = None


class Estimate(NamedTuple):
    """An image (n_channels, height, width) with its smooth part and the codes of the rest."""

    image: NDArray[np.float64]
    smooth: NDArray[np.float64]
    codes: SparseMaps | None


def rarity(filters: PreparedFilters) -> NDArray[np.float64]:
    """How rarely natural images use each filter, relative to the median filter, (n_maps,).

    The spectrum of natural images falls as 1/f², so that coefficients of fine filters are smaller than those of coarse
    ones. A Laplacian prior of that scale means a sparsity inversely proportional to it: with the same sparsity for
    all, pixels that are not known fill with detail. Filters of another norm are treated as if their norm were 1.
    """
    from scipy import fft

    shape = max(_GRID, filters.height), max(_GRID, filters.width)
    rows, columns = (4 * np.sin(np.pi * np.arange(n) / n) ** 2 for n in shape)
    frequencies = rows[:, np.newaxis] + columns
    frequencies[0, 0] = min(frequencies[0, 1], frequencies[1, 0])
    power = np.empty(filters.n_maps)
    for k, one in enumerate(filters.filters):
        spectrum = np.square(np.abs(fft.fft2(one.astype(np.float64), shape))).sum(axis=0)
        power[k] = (spectrum / frequencies).mean()
    found = np.full(filters.n_maps, np.inf)
    useful = power > 0
    norms, scale = np.sqrt(filters.squared_norms[useful]), np.sqrt(power[useful])
    found[useful] = np.median(scale / norms) * norms**2 / scale
    return found


def estimate(
    image: NDArray[np.float64],
    known: NDArray[np.bool_],
    filters: PreparedFilters,
    weights: NDArray[np.float64],
    prior: Prior,
    start: Estimate | None = None,
) -> Estimate:
    """The image that minimizes the sum of squares at known pixels and the two penalties, nearly.

    Parameters
    ----------
    image : float (n_channels, height, width)
        0 where it is not known.
    known : bool (n_channels, height, width)
    filters : PreparedFilters
    weights : float (n_maps,)
        Factors of the sparsity.
    prior : Prior
    start : Estimate, optional
        Of a similar problem.
    """
    margin = filters.height - 1, filters.width - 1
    inside = (slice(None), slice(margin[0], margin[0] + image.shape[1]), slice(margin[1], margin[1] + image.shape[2]))
    around = ((0, 0), (margin[0],) * 2, (margin[1],) * 2)
    padded = np.pad(known, around)
    smooth = start.smooth if start is not None else None
    codes = start.codes if start is not None else None
    detail = np.zeros_like(image) if codes is None else filters.reconstruct(codes)[inside]
    for _ in range(_ROUNDS if prior.sparsity is not None else 1):
        smooth = _smooth(image - detail, known, prior, smooth)
        if prior.sparsity is None:
            break
        rest = np.pad(np.where(known, image - smooth, 0), around).astype(np.float32)
        codes = infer_convolutional(
            rest, filters, prior.sparsity * weights, mask=padded, start=codes, tolerance=_TOLERANCE, sparse_output=True
        )
        detail = filters.reconstruct(codes)[inside].astype(np.float64)
    assert smooth is not None
    return Estimate(smooth + detail, smooth, codes)


def _smooth(image: NDArray[Any], known: NDArray[np.bool_], prior: Prior, start: Any) -> NDArray[np.float64]:
    """The smooth part of every channel."""
    starts = [None] * len(image) if start is None else start
    return np.stack(
        [
            smooth_part(channel, of_channel, prior.smoothness, prior.order, of_start)
            for channel, of_channel, of_start in zip(image, known, starts, strict=True)
        ]
    )
