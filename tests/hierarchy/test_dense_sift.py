"""Dense SIFT against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from striate.errors import UsageError
from striate.hierarchy import DenseSIFT


def slow_sift(image: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    """Every pixel's gradient, shared between two orientations and four cells."""
    cell = size // 4
    vertical, horizontal = np.gradient(gaussian_filter(image.astype(np.float64), 0.8))
    histogram = np.zeros((4, 4, 8))
    for y in range(top - cell, top + size + cell):
        for x in range(left - cell, left + size + cell):
            if not (0 <= y < image.shape[0] and 0 <= x < image.shape[1]):
                continue
            strength = np.hypot(vertical[y, x], horizontal[y, x])
            turn = np.arctan2(vertical[y, x], horizontal[y, x]) / (2 * np.pi) * 8 % 8
            for k in range(8):
                orientation = max(0.0, 1 - abs((turn - k + 4) % 8 - 4))
                for i in range(4):
                    for j in range(4):
                        down = abs(y - (top + cell * i + (cell - 1) / 2)) / cell
                        across = abs(x - (left + cell * j + (cell - 1) / 2)) / cell
                        histogram[i, j, k] += strength * orientation * max(0, 1 - down) * max(0, 1 - across)
    descriptor = histogram.ravel() / cell**2
    descriptor = np.minimum(descriptor / np.linalg.norm(descriptor), 0.2)
    return descriptor / np.linalg.norm(descriptor)


def test_sift_against_its_definition(rng: np.random.Generator) -> None:
    image = gaussian_filter(rng.random((39, 45)), 1).astype(np.float32)
    found = DenseSIFT(size=16, step=6).apply(image[..., None])
    assert found.shape == (4, 5, 128)
    top, left = (39 - 16 - 3 * 6) // 2, (45 - 16 - 4 * 6) // 2
    for row, column in ((0, 0), (1, 3), (3, 4)):
        expected = slow_sift(image, top + 6 * row, left + 6 * column, 16)
        np.testing.assert_allclose(found[row, column], expected, atol=1e-4)


def test_flat_patches_are_not_blown_up(rng: np.random.Generator) -> None:
    noise = 0.5 + 1e-4 * rng.standard_normal((32, 32, 1), dtype=np.float32)
    assert np.linalg.norm(DenseSIFT().apply(noise), axis=2).max() < 0.1
    assert not DenseSIFT().apply(np.full((20, 20, 1), 0.3, np.float32)).any()


def test_light_and_contrast_do_not_matter(rng: np.random.Generator) -> None:
    image = gaussian_filter(rng.random((32, 40)), 1).astype(np.float32)[..., None]
    np.testing.assert_allclose(DenseSIFT().apply(0.5 * image + 0.2), DenseSIFT().apply(image), atol=1e-5)


def test_says_what_is_wrong() -> None:
    with pytest.raises(UsageError, match="at least 16 pixels"):
        DenseSIFT().apply(np.zeros((12, 40, 1), np.float32))
    with pytest.raises(UsageError, match="grey images"):
        DenseSIFT().apply(np.zeros((40, 40, 3), np.float32))
    with pytest.raises(UsageError, match="multiple of 4"):
        DenseSIFT(size=10)
