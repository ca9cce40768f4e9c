"""The filters that ship: their form, what they are good for, and the recipe that makes them again."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from striate.coding import denoise, inpaint, natural_filters
from tests.coding.convolutional.test_restoration import FILTERS, psnr, wave

RECIPE = Path(__file__).parents[3] / "tools" / "natural_filters.py"


def test_have_unit_norm_and_no_mean_and_are_not_alike() -> None:
    filters = natural_filters().filters
    assert natural_filters() is natural_filters()
    assert filters.shape == (128, 1, 8, 8)
    assert filters.dtype == np.float32
    rows = filters.reshape(128, 64)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(rows.mean(axis=1), 0, atol=1e-7)
    assert np.abs(rows @ rows.T - np.eye(128)).max() < 0.95


def test_are_the_default(rng: np.random.Generator) -> None:
    image = wave()
    known = rng.random(image.shape) < 0.5
    filled = inpaint(np.where(known, image, np.nan), known)
    np.testing.assert_array_equal(filled, inpaint(image, known, natural_filters()))
    np.testing.assert_array_equal(denoise(image, noise=0.1), denoise(image, natural_filters(), noise=0.1))
    colors = np.stack([image, image[::-1], 1 - image])
    np.testing.assert_array_equal(inpaint(colors, known)[0], filled)


def test_restore_a_photograph_better_than_cosines_do(rng: np.random.Generator) -> None:
    data = pytest.importorskip("skimage.data")
    image = data.camera()[200:264, 240:304] / 255  # none of those that the filters were learned from
    known = rng.random(image.shape) < 0.5
    assert psnr(inpaint(image, known), image) > psnr(inpaint(image, known, FILTERS), image)
    noisy = image + 0.1 * rng.standard_normal(image.shape)
    assert psnr(denoise(noisy, noise=0.1), image) > psnr(denoise(noisy, FILTERS, noise=0.1), image) + 0.5


@pytest.mark.slow
def test_the_recipe_makes_the_file_again() -> None:
    """With the same processor and versions, in the same bytes; elsewhere, filters that are nearly the same."""
    pytest.importorskip("skimage")
    recipe = runpy.run_path(str(RECIPE))
    shipped = recipe["FILE"]
    assert shipped.stat().st_size < 100_000
    made = recipe["learned"]()
    assert made.shape == (128, 8, 8)
    rows = made.reshape(128, 64) / np.linalg.norm(made.reshape(128, 64).astype(float), axis=1, keepdims=True)
    closest = np.abs(rows @ natural_filters().filters.reshape(128, 64).T).max(axis=1)
    assert np.median(closest) > 0.95
