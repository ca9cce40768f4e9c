"""Dense SIFT against its definition, and the sparse pyramid against loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from striate.coding import infer
from striate.errors import UsageError
from striate.recognition.baselines import DenseSIFT, KMeansFeatures, SparsePyramid, grey_up_to


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
    found = DenseSIFT(size=16, step=6).transform(image)
    assert found.shape == (4, 5, 128)
    top, left = (39 - 16 - 3 * 6) // 2, (45 - 16 - 4 * 6) // 2
    for row, column in ((0, 0), (1, 3), (3, 4)):
        expected = slow_sift(image, top + 6 * row, left + 6 * column, 16)
        np.testing.assert_allclose(found[row, column], expected, atol=1e-4)


def test_flat_patches_are_not_blown_up(rng: np.random.Generator) -> None:
    noise = 0.5 + 1e-4 * rng.standard_normal((32, 32), dtype=np.float32)
    assert np.linalg.norm(DenseSIFT().transform(noise), axis=2).max() < 0.1
    assert not DenseSIFT().transform(np.full((20, 20), 0.3, np.float32)).any()


def test_light_and_contrast_do_not_matter(rng: np.random.Generator) -> None:
    image = gaussian_filter(rng.random((32, 40)), 1).astype(np.float32)
    np.testing.assert_allclose(DenseSIFT().transform(0.5 * image + 0.2), DenseSIFT().transform(image), atol=1e-5)


def test_sparse_pyramid_is_the_largest_code_of_each_cell(rng: np.random.Generator) -> None:
    images = [gaussian_filter(rng.random((40 + i, 52)), 1).astype(np.float32) for i in range(6)]
    pyramid = SparsePyramid(20, sparsity=0.2, max_batches=10, random_state=0).fit(images)
    found = pyramid.transform_one(images[1])
    descriptors = DenseSIFT(step=6).transform(images[1])
    height, width = descriptors.shape[:2]
    codes = np.abs(infer(descriptors.reshape(-1, 128), pyramid.dictionary_, 0.2)).reshape(height, width, 20)
    expected = np.zeros(21 * 20)
    at = 0
    for n in (1, 2, 4):
        for i in range(n):
            for j in range(n):
                for y in range(height):
                    for x in range(width):
                        if y * n // height == i and x * n // width == j:
                            expected[at : at + 20] = np.maximum(expected[at : at + 20], codes[y, x])
                at += 20
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-6)


def test_triangles_are_averaged_over_cells(rng: np.random.Generator) -> None:
    images = rng.random((10, 1, 21, 25), dtype=np.float32)
    features = KMeansFeatures(7, size=4, step=2, n_cells=2, random_state=0).fit(images)
    found = features.transform_one(images[0, 0]).reshape(2, 2, 7)
    tops, lefts = range(0, 18, 2), range(0, 22, 2)
    expected, counts = np.zeros((2, 2, 7)), np.zeros((2, 2, 1))
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            patch = images[0, 0, top : top + 4, left : left + 4].ravel().astype(np.float64)
            patch = (patch - patch.mean()) / np.sqrt(patch.var() + 10 / 255**2)
            distances = np.linalg.norm((patch - features.mean_) @ features.whitening_ - features.centers_, axis=1)
            cell = i * 2 // len(tops), j * 2 // len(lefts)
            expected[cell] += np.maximum(distances.mean() - distances, 0)
            counts[cell] += 1
    np.testing.assert_allclose(found, expected / counts, atol=1e-4)


def test_pictures_keep_their_shape_and_thin_ones_get_room(rng: np.random.Generator) -> None:
    assert grey_up_to(rng.random((3, 200, 400), dtype=np.float32), 100).shape == (50, 100)
    assert grey_up_to(rng.random((1, 40, 60), dtype=np.float32), 100).shape == (40, 60)
    thin = rng.random((1, 3, 60), dtype=np.float32)
    found = grey_up_to(thin, 100)
    assert found.shape == (32, 60)
    np.testing.assert_array_equal(found[14:17], thin[0])


def test_says_what_is_wrong(rng: np.random.Generator) -> None:
    with pytest.raises(UsageError, match="at least that size"):
        DenseSIFT().transform(np.zeros((12, 40), np.float32))
    with pytest.raises(UsageError, match="multiple of 4"):
        DenseSIFT(size=10)
    with pytest.raises(UsageError, match="pictures to learn from"):
        SparsePyramid().fit([])
    with pytest.raises(UsageError, match="too few for 9999999 centers"):
        KMeansFeatures(9999999).fit(rng.random((2, 1, 9, 9), dtype=np.float32))
    with pytest.raises(UsageError, match="too few patches"):
        KMeansFeatures(4).fit(rng.random((2, 1, 9, 9), dtype=np.float32)).transform_one(np.zeros((7, 7), np.float32))
