"""Elastic distortions: smooth displacements of the size that is asked for, interpolated between pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from striate.recognition.distortion import distorted
from striate.recognition.training_images import moved


def ramps(n: int, height: int, width: int) -> np.ndarray:
    """Images whose two channels are the row and the column of each pixel."""
    rows, columns = np.indices((height, width), dtype=np.float32)
    return np.broadcast_to(np.stack([rows, columns]), (n, 2, height, width)).copy()


def test_displacements_are_as_large_as_asked_and_smooth(rng: np.random.Generator) -> None:
    images = ramps(200, 28, 28)
    displaced = (distorted(images, 1.4, rng) - images)[..., 6:-6, 6:-6]  # none of these reaches beyond the edge
    assert np.sqrt(np.mean(displaced**2, axis=(0, 2, 3))) == pytest.approx([1.4, 1.4], rel=0.06)
    assert np.abs(displaced.mean(axis=(0, 2, 3))).max() < 0.15
    # The correlation of white noise under a Gaussian window σ, at a distance r, is exp(−r² / 4σ²).
    near = np.mean(displaced[..., 4:] * displaced[..., :-4]) / np.mean(displaced**2)
    assert near == pytest.approx(np.exp(-(4**2) / (4 * 4**2)), abs=0.05)
    assert abs(np.mean(displaced[:, 0] * displaced[:, 1])) < 0.1


def test_channels_are_sampled_where_rows_and_columns_say(rng: np.random.Generator) -> None:
    picture = rng.random((3, 1, 9, 14), dtype=np.float32)
    images = np.concatenate([ramps(3, 9, 14), picture], axis=1)
    made = distorted(images, 0.8, rng)
    for image, found in zip(picture, made, strict=True):
        expected = map_coordinates(image[0], found[:2], order=1, mode="nearest")
        np.testing.assert_allclose(found[2], expected, atol=1e-5)


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    elastic=st.floats(0.01, 50),
    seed=st.integers(0, 99),
)
def test_values_stay_in_the_range_of_their_image(shape: tuple[int, ...], elastic: float, seed: int) -> None:
    images = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    made = distorted(images, elastic, np.random.default_rng(seed))
    assert made.shape == images.shape
    assert made.dtype == np.float32
    for image, found in zip(images.reshape(-1, *shape[2:]), made.reshape(-1, *shape[2:]), strict=True):
        assert image.min() - 1e-5 <= found.min()
        assert found.max() <= image.max() + 1e-5
    np.testing.assert_array_equal(distorted(images, elastic, np.random.default_rng(seed)), made)


def test_images_are_moved_first_and_then_distorted(rng: np.random.Generator) -> None:
    images = rng.random((4, 1, 12, 12), dtype=np.float32)
    made = moved(images, shift=1, mirror=True, elastic=0.5, rng=np.random.default_rng(3))
    ours = np.random.default_rng(3)
    np.testing.assert_array_equal(made, distorted(moved(images, shift=1, mirror=True, rng=ours), 0.5, ours))
