from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.errors import UsageError
from striate.images.normalization import gaussian_window, high_pass, local_contrast_normalization


def by_the_formula(image: np.ndarray, size: int, sigma: float, floor: str | float, jointly: bool) -> np.ndarray:
    """Every pixel by itself, O(pixels·window²)."""
    if not jointly:
        alone = [by_the_formula(channel[np.newaxis], size, sigma, floor, True) for channel in image]
        return np.concatenate(alone)
    n_channels, height, width = image.shape
    radius = size // 2
    squares = [(p, q) for p in range(-radius, radius + 1) for q in range(-radius, radius + 1)]

    def mean(maps: np.ndarray) -> np.ndarray:
        result = np.zeros((height, width))
        for j in range(height):
            for k in range(width):
                total = weight_sum = 0.0
                for p, q in squares:
                    if 0 <= j + p < height and 0 <= k + q < width:
                        weight = np.exp(-(p * p + q * q) / (2 * sigma**2))
                        total += weight * maps[:, j + p, k + q].sum()
                        weight_sum += weight * n_channels
                result[j, k] = total / weight_sum
        return result

    v = image - mean(image)
    deviation = np.sqrt(mean(v**2))
    lowest = deviation.mean() if isinstance(floor, str) else floor
    return v / np.maximum(deviation, lowest)


@pytest.mark.parametrize("floor", ["mean", 0.05])
@pytest.mark.parametrize("jointly", [False, True])
@pytest.mark.parametrize(("shape", "size"), [((1, 12, 15), 9), ((3, 9, 8), 5), ((2, 4, 3), 9), ((1, 1, 1), 3)])
def test_equals_the_formula_borders_included(
    rng: np.random.Generator, shape: tuple[int, ...], size: int, jointly: bool, floor: str | float
) -> None:
    image = rng.random(shape)
    if shape != (1, 1, 1):  # there, 0 / 0 by the formula
        expected = by_the_formula(image, size, 1.591, floor, jointly)
    else:
        expected = np.zeros(shape)
    actual = local_contrast_normalization(image, size=size, floor=floor, jointly=jointly)  # type: ignore[arg-type]
    np.testing.assert_allclose(actual, expected, atol=1e-12)
    single = local_contrast_normalization(image.astype(np.float32), size=size, floor=floor, jointly=jointly)  # type: ignore[arg-type]
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=2e-5)


def test_a_batch_is_its_images(rng: np.random.Generator) -> None:
    batch = rng.random((4, 3, 10, 11), dtype=np.float32)
    for jointly in (False, True):
        together = local_contrast_normalization(batch, jointly=jointly)
        alone = np.stack([local_contrast_normalization(image, jointly=jointly) for image in batch])
        np.testing.assert_array_equal(together, alone)


@settings(max_examples=25, deadline=None)
@given(gain=st.floats(0.1, 50), offset=st.floats(-2, 2), seed=st.integers(0, 99))
def test_brightness_and_contrast_of_the_light_do_not_matter(gain: float, offset: float, seed: int) -> None:
    image = np.random.default_rng(seed).random((2, 13, 10))
    for jointly in (False, True):
        plain = local_contrast_normalization(image, jointly=jointly)
        other = local_contrast_normalization(gain * image + offset, jointly=jointly)
        np.testing.assert_allclose(other, plain, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 0.5, 1.0, 255.0])
@pytest.mark.parametrize("floor", ["mean", 0.0])
def test_a_flat_image_becomes_zero_not_amplified_rounding(value: float, floor: object) -> None:
    image = np.full((1, 20, 20), value, dtype=np.float32)
    np.testing.assert_array_equal(local_contrast_normalization(image, floor=floor), 0)  # type: ignore[arg-type]


def test_high_pass_removes_a_constant_and_the_window_is_the_papers() -> None:
    np.testing.assert_allclose(high_pass(np.full((3, 7, 7), 2.5)), 0, atol=1e-12)
    window = np.outer(gaussian_window(9, 1.591), gaussian_window(9, 1.591))
    assert window.sum() == pytest.approx(1)
    assert (window[4, 4], window[4, 5], window[0, 0]) == pytest.approx((0.0634, 0.0520, 0.0001), abs=5e-5)


def test_integers_are_taken_and_the_input_is_left_alone(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (1, 9, 9), dtype=np.uint8)
    before = image.copy()
    assert local_contrast_normalization(image).dtype == np.float32
    np.testing.assert_array_equal(image, before)
    floats = image.astype(np.float32)
    local_contrast_normalization(floats)
    np.testing.assert_array_equal(floats, before)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 8}, "odd size"),
        ({"sigma": 0.0}, "sigma > 0"),
        ({"floor": -1.0}, "floor"),
        ({"floor": "max"}, "floor"),
    ],
)
def test_impossible_options_are_refused(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        local_contrast_normalization(np.zeros((1, 5, 5)), **options)


def test_an_image_needs_its_dimensions() -> None:
    with pytest.raises(UsageError, match="height"):
        high_pass(np.zeros(5))
    with pytest.raises(UsageError, match="channels"):
        local_contrast_normalization(np.zeros((5, 5)), jointly=True)
