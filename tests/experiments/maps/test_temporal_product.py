"""Displacements by phase correlation, patches of frames, and what is measured of content and location."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from striate.experiments.maps.moving_patches import Moving, displacements, mirrored, patches_of_frames
from striate.experiments.maps.temporal_product import change, exchanged


def image(rng: np.random.Generator, side: int) -> np.ndarray:
    smooth = gaussian_filter(rng.standard_normal((side, side)), 1.5)
    return np.asarray(smooth / smooth.std(), dtype=np.float32)


def test_phase_correlation_finds_displacements(rng: np.random.Generator) -> None:
    before, after, expected = [], [], []
    for down, right in ((0.0, 0.0), (2.0, -1.0), (-0.5, 1.5), (3.0, 3.0)):
        given = image(rng, 60)
        before.append(given[18:42, 18:42])
        after.append(shift(given, (down, right), order=3)[18:42, 18:42])
        expected.append((down, right))
    found, peaks = displacements(np.stack(before), np.stack(after))
    np.testing.assert_allclose(found, expected, atol=0.35)
    assert np.all(peaks > 2 * displacements(np.stack(before), np.stack(after[::-1]))[1][0])


def test_patches_stay_where_they_are_and_know_how_they_move(rng: np.random.Generator) -> None:
    given = image(rng, 70)
    frames = np.stack([np.roll(given, (t, -t), axis=(0, 1))[:50, :46] for t in range(5)])
    found = patches_of_frames([frames], 16, 3, 4)
    assert found.frames.shape[1:] == (4, 256)
    assert len(found.frames) == 2 * 9 * 8  # starts, and places of 24×24 in 50×46
    np.testing.assert_array_equal(found.frames[0, 1].reshape(16, 16), frames[1, 4:20, 4:20])
    assert np.median(np.abs(found.displacement - (1, -1))) < 0.1
    flat = patches_of_frames([np.zeros_like(frames[:, :30, :30]), frames], 16, 3, 4)
    np.testing.assert_array_equal(flat.frames, found.frames)


def test_mirror_images_move_the_other_way(rng: np.random.Generator) -> None:
    given = Moving(rng.random((2, 2, 9)).astype(np.float32), rng.random((2, 1, 2)), np.ones((2, 1)))
    found = mirrored(given, 3)
    np.testing.assert_array_equal(found.frames[2, 0].reshape(3, 3), given.frames[0, 0].reshape(3, 3)[::-1])
    np.testing.assert_array_equal(found.displacement[2], given.displacement[0] * (-1, 1))
    np.testing.assert_array_equal(found.frames[7], given.frames[1][:, ::-1])


def test_change_is_0_for_a_constant_and_1_for_noise(rng: np.random.Generator) -> None:
    codes = rng.random((4000, 5))
    assert change(codes, codes, rng) == 0
    assert change(codes, rng.random((4000, 5)), rng) == pytest.approx(1, abs=0.05)


def test_exchanged_products_tell_the_direction(rng: np.random.Generator) -> None:
    codes = rng.random((3, 8))
    np.testing.assert_allclose(exchanged(codes, codes, 4), 0, atol=1e-12)
    other = rng.random((3, 8))
    found = exchanged(codes, other, 4)
    assert found.shape == (3, 12)
    np.testing.assert_allclose(exchanged(other, codes, 4), -found)
    total = codes[:, :4].sum(axis=1) * other[:, :4].sum(axis=1) + codes[:, 4:].sum(axis=1) * other[:, 4:].sum(axis=1)
    expected = codes[:, 0] * other[:, 1] - codes[:, 1] * other[:, 0]
    np.testing.assert_allclose(found[:, 0], expected / (total + 0.01 * total.mean()))
