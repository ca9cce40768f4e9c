"""The rule of kinds on filters that are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from striate.experiments.convolutional.kinds import effective_number, kinds_of, rotational_share

Y, X = np.mgrid[-4:5, -4:5].astype(float)


def gabor(frequency: float, angle: float, along: float, across: float, phase: float) -> np.ndarray:
    u, v = np.cos(angle) * X + np.sin(angle) * Y, np.cos(angle) * Y - np.sin(angle) * X
    envelope = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))
    return np.asarray(envelope * np.cos(2 * np.pi * frequency * u + phase))


def spot(width: float, y: float = 0.0, x: float = 0.0) -> np.ndarray:
    return np.asarray(np.exp(-0.5 * ((X - x) ** 2 + (Y - y) ** 2) / width**2) / width**2)


def bar(angle: float) -> np.ndarray:
    return np.asarray(np.exp(-0.5 * (np.cos(angle) * X + np.sin(angle) * Y) ** 2 / 0.8**2))


def corner() -> np.ndarray:
    """A quadrant with soft borders, without its surround."""
    from scipy.ndimage import gaussian_filter

    large = np.zeros((41, 41))
    large[20:, 20:] = 1
    return np.asarray((gaussian_filter(large, 0.7) - gaussian_filter(large, 2.0))[16:25, 16:25])


DRAWN = {
    "edge": (gabor(0.15, 1.0, 2.0, 3.0, np.pi / 2), "edge or bar"),
    "bar": (gabor(0.15, 2.0, 1.8, 3.0, 0.0), "edge or bar"),
    "wavelet of one period": (gabor(0.2, 0.3, 2.0, 2.5, 0.7), "edge or bar"),
    "grating": (gabor(0.3, 0.5, 4.0, 3.0, 1.0), "grating"),
    "grating over the whole filter": (gabor(0.25, 0.0, 6.0, 6.0, 0.0), "grating"),
    "difference of Gaussians": (spot(1.0) - spot(2.0), "center-surround"),
    "difference of Gaussians off the middle": (spot(2.0, 1, -1) - spot(1.0, 1, -1), "center-surround"),
    "spot": (spot(1.5), "center-surround"),
    "corner": (corner(), "other"),
    "cross": (bar(0.0) + bar(np.pi / 2), "other"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawn_filter_has_its_kind(name: str) -> None:
    weights, kind = DRAWN[name]
    assert kinds_of(-3 * weights[None] + 0.5) == [kind]  # neither sign, scale nor mean matters


def test_constant_and_noisy_filters_are_other(rng: np.random.Generator) -> None:
    filters = np.stack([np.ones((9, 9)), rng.standard_normal((9, 9))])
    assert kinds_of(filters.astype(np.float32)) == ["other", "other"]


def test_rotational_shares_are_between_zero_and_one(rng: np.random.Generator) -> None:
    radii = np.hypot(X, Y)
    assert rotational_share(np.floor(radii + 0.5)) == pytest.approx(1)
    assert rotational_share(np.zeros((5, 5))) == 0
    assert rotational_share(gabor(0.25, 0.0, 6.0, 6.0, np.pi / 2)) < 0.4  # odd: only rings off its middle see it
    assert 0 < rotational_share(rng.standard_normal((9, 7))) < 0.6


def test_equally_frequent_kinds_count_fully() -> None:
    assert effective_number(["other"] * 5) == pytest.approx(1)
    assert effective_number(["other", "grating"] * 5) == pytest.approx(2)
    assert 1 < effective_number(["other"] * 9 + ["grating"]) < 2
