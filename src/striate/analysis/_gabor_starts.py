"""Starting points of the search for a Gabor function: peaks of a filter's spectrum, and the position of its energy."""

from __future__ import annotations

import numpy as np

from striate.analysis._gabor_search import (
    ACROSS,
    ALONG,
    FREQUENCY,
    HIGHEST_FREQUENCY,
    LOWEST_FREQUENCY,
    NARROWEST,
    ORIENTATION,
    Floats,
    SearchSpace,
)

__all__ = ["N_PEAKS", "spectral_starts"]

_PADDING = 4  # the spectrum is sampled this many times finer than the patch's own
N_PEAKS = 3  # of the spectrum, that starts are made of


def spectral_starts(targets: Floats, space: SearchSpace, count: int) -> Floats:
    """Starts (n, count, 6) at the peaks of each target's spectrum, where its energy is; the most likely first."""
    n = len(targets)
    orientation, frequency = _spectral_peaks(targets.reshape(n, *space.shape))

    energy = np.square(targets)  # sums to 1
    center = np.stack([energy @ space.x, energy @ space.y], axis=1)
    dx, dy = space.x - center[:, :1], space.y - center[:, 1:]
    xx, xy, yy = (np.einsum("ij,ij->i", energy, product)[:, np.newaxis] for product in (dx * dx, dx * dy, dy * dy))
    cos, sin = np.cos(orientation), np.sin(orientation)
    # The energy is the envelope's square: half its variance.
    along = np.sqrt(2 * (cos * cos * xx + 2 * cos * sin * xy + sin * sin * yy))
    across = np.sqrt(2 * (sin * sin * xx - 2 * cos * sin * xy + cos * cos * yy))
    strongest = _blurred(energy.reshape(n, *space.shape)).reshape(n, -1).argmax(axis=1)
    peak = np.stack([space.x[strongest], space.y[strongest]], axis=1)

    # Noise spreads the energy over the patch: the true receptive field may be smaller, and not at the mean.
    starts = np.empty((n, 4, N_PEAKS, 6))
    for i, (position, shrinkage) in enumerate([(center, 0.9), (peak, 0.5), (center, 0.5), (peak, 0.9)]):
        starts[:, i, :, :2] = position[:, np.newaxis]
        starts[:, i, :, ORIENTATION] = orientation
        starts[:, i, :, FREQUENCY] = np.log(frequency)
        starts[:, i, :, ALONG] = np.log(np.maximum(shrinkage * along, NARROWEST))
        starts[:, i, :, ACROSS] = np.log(np.maximum(shrinkage * across, NARROWEST))
    return starts.reshape(n, -1, 6)[:, :count]


def _spectral_peaks(images: Floats) -> tuple[Floats, Floats]:
    """Orientation and frequency (n, `N_PEAKS`) of the highest peaks, falling, the first repeated if they are fewer."""
    n, height, width = images.shape
    size = _PADDING * height, _PADDING * width
    power = np.square(np.abs(np.fft.fft2(images, s=size)))
    by_y, by_x = np.fft.fftfreq(size[0])[:, np.newaxis], np.fft.fftfreq(size[1])
    frequency = np.hypot(by_x, by_y)
    wanted = (frequency >= LOWEST_FREQUENCY) & (frequency <= HIGHEST_FREQUENCY)
    wanted &= (by_x > 0) | ((by_x == 0) & (by_y > 0))  # the other half is symmetric
    is_peak = np.broadcast_to(wanted, power.shape).copy()
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        neighbor = np.roll(power, shift, axis=(1, 2))
        is_peak &= power >= neighbor
        is_peak &= power >= np.roll(power, (-shift[0], -shift[1]), axis=(1, 2))
    height_of_peak = np.where(is_peak, power, 0).reshape(n, -1)
    places = np.argsort(-height_of_peak, axis=1, kind="stable")[:, :N_PEAKS]
    missing = np.take_along_axis(height_of_peak, places, axis=1) == 0
    everywhere = np.where(wanted, power, 0).reshape(n, -1).argmax(axis=1)[:, np.newaxis]
    places = np.where(missing, everywhere, places)
    orientation = np.broadcast_to(np.arctan2(by_y, by_x), size).ravel()[places]
    return orientation, frequency.ravel()[places]


def _blurred(images: Floats) -> Floats:
    """Sums over 3×3 pixels."""
    n, height, width = images.shape
    framed = np.zeros((n, height + 2, width + 2))
    framed[:, 1:-1, 1:-1] = images
    rows = framed[:, :-2] + framed[:, 1:-1] + framed[:, 2:]
    sums: Floats = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    return sums
