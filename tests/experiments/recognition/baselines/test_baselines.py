"""Coates's features against loops, and images as they are taken."""

from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.experiments.recognition.baselines import KMeansFeatures, grey_up_to


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


def test_images_keep_their_shape_and_thin_ones_get_room(rng: np.random.Generator) -> None:
    assert grey_up_to(rng.random((3, 200, 400), dtype=np.float32), 100).shape == (50, 100)
    assert grey_up_to(rng.random((1, 40, 60), dtype=np.float32), 100).shape == (40, 60)
    thin = rng.random((1, 3, 60), dtype=np.float32)
    found = grey_up_to(thin, 100)
    assert found.shape == (32, 60)
    np.testing.assert_array_equal(found[14:17], thin[0])


def test_says_what_is_wrong(rng: np.random.Generator) -> None:
    with pytest.raises(UsageError, match="too few for 9999999 centers"):
        KMeansFeatures(9999999).fit(rng.random((2, 1, 9, 9), dtype=np.float32))
    with pytest.raises(UsageError, match="too few patches"):
        KMeansFeatures(4).fit(rng.random((2, 1, 9, 9), dtype=np.float32)).transform_one(np.zeros((7, 7), np.float32))
