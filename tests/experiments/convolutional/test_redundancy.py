"""Correlations of filters over all shifts: of copies, of what has nothing in common, and beside a slow loop."""

from __future__ import annotations

import numpy as np
import pytest

from striate.experiments.convolutional.redundancy import largest_correlations


def slow(one: np.ndarray, other: np.ndarray) -> float:
    """The largest absolute cosine, shift by shift."""
    channels, height, width = one.shape
    best = 0.0
    for down in range(-height + 1, height):
        for right in range(-width + 1, width):
            total = 0.0
            for c in range(channels):
                for i in range(max(0, down), min(height, height + down)):
                    for j in range(max(0, right), min(width, width + right)):
                        total += one[c, i, j] * other[c, i - down, j - right]
            best = max(best, abs(total))
    return best / float(np.linalg.norm(one) * np.linalg.norm(other))


def test_it_equals_a_slow_loop(rng: np.random.Generator) -> None:
    filters = rng.standard_normal((4, 2, 3, 5))
    expected = [[slow(one, other) for other in filters] for one in filters]
    np.testing.assert_allclose(largest_correlations(filters), np.array(expected), rtol=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_copy_at_another_place_correlates_wholly(rng: np.random.Generator, sign: int) -> None:
    filters = np.zeros((2, 1, 7, 6), np.float32)
    form = rng.standard_normal((3, 2)).astype(np.float32)
    filters[0, 0, :3, :2] = form
    filters[1, 0, 4:, 3:5] = sign * 2 * form
    np.testing.assert_allclose(largest_correlations(filters), np.ones((2, 2)), rtol=1e-6)


def test_filters_without_a_common_channel_do_not_correlate(rng: np.random.Generator) -> None:
    filters = np.zeros((3, 2, 4, 4))
    filters[0, 0], filters[1, 1] = rng.standard_normal((2, 4, 4))
    expected = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], float)  # the last filter is 0
    np.testing.assert_allclose(largest_correlations(filters), expected, atol=1e-15)
