"""Histograms of oriented gradients."""

from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.hierarchy import Hierarchy, OrientedGradients


def grating(angle: float, side: int = 32) -> np.ndarray:
    """A slope that rises in one direction, (side, side, 1)."""
    y, x = np.mgrid[:side, :side] / side
    return (np.cos(angle) * x + np.sin(angle) * y).astype(np.float32)[:, :, None]


@pytest.mark.parametrize("number", range(9))
def test_a_slope_is_in_the_bin_of_its_direction(number: int) -> None:
    made = OrientedGradients(4).apply(grating(number * np.pi / 9))
    # Away from the edge of the image, each of the four cells of a block has this orientation alone.
    np.testing.assert_array_equal(np.flatnonzero(made[1, 1] > 1e-3) % 9, [number] * 4)
    np.testing.assert_allclose(np.linalg.norm(made[1, 1]), 1, rtol=2e-3)


def test_orientations_between_two_bins_are_shared() -> None:
    made = OrientedGradients(4).apply(grating(0.5 * np.pi / 9))[1, 1].reshape(4, 9)
    np.testing.assert_allclose(made[:, 0], made[:, 1], rtol=1e-4)
    np.testing.assert_array_equal(made[:, 2:] < 1e-4, True)


def test_it_is_close_to_that_of_scikit_image() -> None:
    hog = pytest.importorskip("skimage.feature").hog
    image = np.random.default_rng(0).random((48, 48))
    image = (image + np.roll(image, 1, 0) + np.roll(image, 1, 1)) / 3
    theirs = hog(image, 9, (6, 6), (2, 2), block_norm="L2-Hys", feature_vector=False)
    ours = OrientedGradients(8).apply(image.astype(np.float32)[:, :, None])
    # Theirs puts each gradient into one bin, whose center ours has between bins.
    both = [values.reshape(7, 7, 4, 9).sum(axis=3) for values in (ours, theirs.reshape(7, 7, 36))]
    assert np.corrcoef(both[0].ravel(), both[1].ravel())[0, 1] > 0.8


def test_light_and_contrast_do_not_count_and_flat_images_are_0() -> None:
    image = np.random.default_rng(0).random((20, 30, 1), dtype=np.float32)
    layer = OrientedGradients(5)
    np.testing.assert_allclose(layer.apply(0.5 * image + 0.2), layer.apply(image), atol=1e-3)
    np.testing.assert_array_equal(layer.apply(np.full((20, 30, 1), 0.4, np.float32)), 0)


def test_notation_shape_and_mistakes() -> None:
    hierarchy = Hierarchy("GREY - HOG8")
    assert str(hierarchy) == "GREY - HOG8"
    assert hierarchy.output_shape((3, 20, 31)) == (36, 7, 7)
    assert hierarchy.transform(np.zeros((2, 3, 20, 31))).shape == (2, 36, 7, 7)
    with pytest.raises(UsageError, match="put GREY before it"):
        Hierarchy("HOG8").output_shape((3, 20, 20))
    with pytest.raises(UsageError, match="HOG8"):
        Hierarchy("HOG8").output_shape((1, 7, 20))
    with pytest.raises(UsageError, match="cells"):
        Hierarchy("HOG1")
