from __future__ import annotations

import numpy as np
import pytest

from striate.analysis import coherence, orientation_histogram, peak_frequency
from striate.errors import UsageError


@pytest.mark.parametrize("frequency", [0.08, 0.15, 0.3])
@pytest.mark.parametrize("angle", [0.0, 0.7, 2.0])
def test_the_frequency_of_a_grating_is_found(frequency: float, angle: float) -> None:
    y, x = np.mgrid[:16, :16] - 7.5
    wave = np.cos(2 * np.pi * frequency * (x * np.cos(angle) + y * np.sin(angle)) + 0.4)
    grating = wave * np.exp(-(x**2 + y**2) / 32)
    assert peak_frequency(np.stack([grating, 5 * grating + 3])) == pytest.approx([frequency] * 2, abs=0.02)


def test_a_constant_filter_has_frequency_0() -> None:
    assert peak_frequency(np.ones((1, 8, 8))) == 0
    with pytest.raises(UsageError, match="height, width"):
        peak_frequency(np.ones((3, 64)))


def test_bins_of_orientation_are_circular() -> None:
    degrees = np.array([0, 5, 175, 22, 90, 170])
    share = 6 * orientation_histogram(np.radians(degrees))
    np.testing.assert_allclose(share, [4, 1, 0, 0, 1, 0, 0, 0])
    np.testing.assert_allclose(orientation_histogram(np.radians(degrees + 180)), share / 6)
    assert not orientation_histogram(np.zeros(0)).any()


def test_coherence_is_the_largest_cosine(rng: np.random.Generator) -> None:
    dictionary = np.array([[1.0, 0, 0], [3.0, 4.0, 0], [0, 0, -2.0], [0, 0, 0]])
    assert coherence(dictionary) == pytest.approx((0.6, 0.3))
    with pytest.raises(UsageError, match="two"):
        coherence(np.ones((1, 4)))
