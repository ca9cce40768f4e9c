"""Patches that move as they should, and distances of features whose invariance is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from striate.analysis import cut_patches, invariance_curve, patch_places
from striate.errors import UsageError
from striate.hierarchy import DenseSIFT


@pytest.fixture
def images(rng: np.random.Generator) -> list[np.ndarray]:
    """Smooth noise of different sizes, 0–1."""
    return [
        np.clip(0.5 + 2 * gaussian_filter(rng.standard_normal(shape), 2), 0, 1)[None].astype(np.float32)
        for shape in ((60, 80), (90, 70), (64, 64))
    ]


def test_whole_pixels_are_cut_without_change(images: list[np.ndarray]) -> None:
    places = patch_places(images, 40, random_state=0)
    for shift in (0, 5, 16):
        found = cut_patches(images, places, shift=shift)
        for patch, i, row, column in zip(found, places.image, places.row, places.column, strict=True):
            window = images[i][0, row - 8 : row + 8, column - 8 + shift : column + 8 + shift]
            np.testing.assert_allclose(patch, window, atol=1e-5)
    assert set(places.image) == {0, 1, 2}


def test_a_quarter_turn_is_exact_and_runs_clockwise(images: list[np.ndarray]) -> None:
    places = patch_places(images, 20, size=15, random_state=0)
    straight = cut_patches(images, places, size=15)
    turned = cut_patches(images, places, size=15, rotation=90)
    # The window turns clockwise, so that its content turns the other way.
    np.testing.assert_allclose(turned, np.rot90(straight, 1, axes=(1, 2)), atol=1e-4)
    shifted = cut_patches(images, places, size=15, shift=3, rotation=90)
    np.testing.assert_allclose(shifted, np.rot90(cut_patches(images, places, size=15, shift=3), 1, (1, 2)), atol=1e-4)


def test_rotation_and_fractions_follow_a_smooth_image() -> None:
    y, x = np.indices((80, 80))
    image = np.sin(0.2 * x + 0.1 * y)[None]
    places = patch_places([(image + 1) / 2], 10, random_state=0)
    found = cut_patches([image], places, shift=2.5, rotation=25)
    down, across = np.indices((16, 16)) - 7.5
    angle = np.radians(25)
    for patch, row, column in zip(found, places.row, places.column, strict=True):
        at_x = column - 0.5 + 2.5 + np.cos(angle) * across - np.sin(angle) * down
        at_y = row - 0.5 + np.sin(angle) * across + np.cos(angle) * down
        np.testing.assert_allclose(patch, np.sin(0.2 * at_x + 0.1 * at_y), atol=2e-3)


def test_distances_of_features_with_known_invariance(images: list[np.ndarray]) -> None:
    places = patch_places(images, 200, random_state=0)

    def pixels(patches: np.ndarray) -> np.ndarray:
        return patches.reshape(len(patches), -1)

    def sorted_pixels(patches: np.ndarray) -> np.ndarray:
        return np.sort(pixels(patches), axis=1)

    curve = invariance_curve(pixels, images, places)
    assert curve.distances.shape == (200, 17)
    assert curve.mean[0] == pytest.approx(0, abs=1e-6)
    assert (np.diff(curve.mean[:6]) > 0).all()
    assert curve.mean[-1] == pytest.approx(1, abs=0.15)  # beyond the noise's width, patches are unrelated
    np.testing.assert_allclose(curve.mean, curve.distances.mean(axis=0))
    np.testing.assert_allclose(curve.standard_error, curve.distances.std(axis=0, ddof=1) / np.sqrt(200))
    # Scale makes no difference; a quarter turn does not change the pixels' values.
    scaled = invariance_curve(lambda patches: 7 * pixels(patches), images, places, shifts=[3])
    np.testing.assert_allclose(scaled.distances[:, 0], curve.distances[:, 3], rtol=1e-5)
    turned = invariance_curve(sorted_pixels, images, places, shifts=[0], rotation=90)
    np.testing.assert_allclose(turned.distances, 0, atol=1e-4)


def test_unrelated_patches_are_at_1(images: list[np.ndarray]) -> None:
    """The mean over all pairs of different images, beside a loop."""
    places = patch_places(images, 30, random_state=0)
    patches = cut_patches(images, places).reshape(30, -1)
    curve = invariance_curve(lambda given: given.reshape(len(given), -1), images, places, shifts=[4])
    pairs = [
        np.linalg.norm(patches[i] - patches[j])
        for i in range(30)
        for j in range(i)
        if places.image[i] != places.image[j]
    ]
    moved = cut_patches(images, places, shift=4).reshape(30, -1)
    expected = np.linalg.norm(moved - patches, axis=1) / np.mean(pairs)
    np.testing.assert_allclose(curve.distances[:, 0], expected, rtol=1e-4)


def test_sift_moves_from_0_to_unrelated(images: list[np.ndarray]) -> None:
    places = patch_places(images, 100, random_state=0)
    layer = DenseSIFT(16, 8)

    def sift(patches: np.ndarray) -> np.ndarray:
        return np.stack([layer.apply(patch[..., None])[0, 0] for patch in patches])

    curve = invariance_curve(sift, images, places, shifts=(0, 1, 2, 4, 16))
    assert (np.diff(curve.mean) > 0).all()
    assert curve.mean[0] == pytest.approx(0, abs=1e-4)
    assert curve.mean[-1] == pytest.approx(1, abs=0.1)


def test_says_what_is_wrong(images: list[np.ndarray]) -> None:
    places = patch_places(images, 10, random_state=0)
    with pytest.raises(UsageError, match="no image has room"):
        patch_places(images, 10, size=64)
    with pytest.raises(UsageError, match="have structure"):
        patch_places([np.zeros((1, 90, 90))], 10)
    with pytest.raises(UsageError, match="describe nothing"):
        invariance_curve(lambda given: np.ones((len(given), 3)), images, places)
    with pytest.raises(UsageError, match="a row for each"):
        invariance_curve(lambda given: np.ones((3, 3)), images, places)
    with pytest.raises(UsageError, match="NaN"):
        invariance_curve(lambda given: np.full((len(given), 3), np.nan), images, places)
    alone = patch_places(images[:1], 10, random_state=0)
    with pytest.raises(UsageError, match="from one image"):
        invariance_curve(lambda given: given.reshape(len(given), -1), images, alone)
    with pytest.raises(UsageError, match="shifts"):
        invariance_curve(lambda given: given.reshape(len(given), -1), images, places, shifts=[])
