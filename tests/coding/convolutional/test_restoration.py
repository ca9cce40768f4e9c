"""`denoise` and `inpaint`: what they must not depend on, forms of images, and photographs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import fft

from striate.coding import PreparedFilters, denoise, inpaint
from striate.coding.convolutional._noise import noise_level
from striate.coding.convolutional._restoring import rarity
from striate.coding.convolutional._smooth import smooth_part
from striate.errors import UsageError

SIDE = 6


def cosines(side: int = SIDE) -> np.ndarray:
    """The filters of the discrete cosine transform, without the constant one."""
    waves = fft.dct(np.eye(side), norm="ortho", axis=0)
    return np.einsum("ai,bj->abij", waves, waves).reshape(side**2, side, side)[1:]


FILTERS = PreparedFilters(cosines())


def photograph() -> np.ndarray:
    """A piece of a photograph, of half its size, so that it is sharp: arms, camera and tripod."""
    data = pytest.importorskip("skimage.data")
    return np.asarray(data.camera()[200:296:2, 240:336:2] / 255.0)


def wave(shape: tuple[int, int] = (20, 24)) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.sin(0.9 * rows + 0.4 * columns) + 0.05 * rows


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((image - truth) ** 2)))


# ---- parts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_smooth_part_solves_the_normal_equations(rng: np.random.Generator, order: int) -> None:
    shape = (6, 7)
    image, known = rng.standard_normal(shape), rng.random(shape) < 0.6
    # The Laplacian of a grid as a matrix: degree minus neighbors.
    number = np.arange(42).reshape(shape)
    laplacian = np.zeros((42, 42))
    below = zip(number[1:].ravel(), number[:-1].ravel(), strict=True)
    beside = zip(number[:, 1:].ravel(), number[:, :-1].ravel(), strict=True)
    for one, other in [*below, *beside]:
        laplacian[[one, other], [one, other]] += 1
        laplacian[[one, other], [other, one]] -= 1
    system = np.diag(known.ravel().astype(float)) + 0.3 * np.linalg.matrix_power(laplacian, order)
    truth = np.asarray(np.linalg.solve(system, np.where(known, image, 0).ravel()).reshape(shape), np.float64)
    np.testing.assert_allclose(smooth_part(image, known, 0.3, order), truth, atol=1e-3)
    np.testing.assert_allclose(smooth_part(image, known, 0.3, order, start=truth), truth, atol=1e-3)


def test_the_noise_of_a_photograph_is_estimated(rng: np.random.Generator) -> None:
    slope = np.add.outer(np.arange(60.0), 2 * np.arange(50.0))[np.newaxis]
    assert noise_level(slope) == pytest.approx(0, abs=1e-12)
    assert noise_level(slope + 0.3 * rng.standard_normal(slope.shape)) == pytest.approx(0.3, rel=0.1)


def test_fine_filters_are_rarer_whatever_their_norm() -> None:
    found = rarity(FILTERS)
    assert found[0] == found.min()  # the slowest wave along one axis
    assert found[-1] == found.max()
    # A filter of twice the norm has half the coefficient, and twice the sparsity for the same penalty.
    doubled = np.concatenate([cosines()[:5] * 2, cosines()[5:]])
    np.testing.assert_allclose(rarity(PreparedFilters(doubled))[:5], 2 * found[:5])
    assert np.isinf(rarity(PreparedFilters(np.concatenate([np.zeros((1, SIDE, SIDE)), cosines()])))[0])


# ---- what the results must not depend on ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_known_pixels_stay_and_what_was_hidden_does_not_count(rng: np.random.Generator, dtype: Any) -> None:
    image = wave().astype(dtype)
    known = rng.random(image.shape) < 0.6
    found = inpaint(image, known, FILTERS)
    assert found.dtype == dtype
    assert found.shape == image.shape
    np.testing.assert_array_equal(found[known], image[known])
    np.testing.assert_array_equal(inpaint(np.where(known, image, np.nan), known, FILTERS), found)
    np.testing.assert_array_equal(inpaint(np.where(known, image, 1e30), known * 255.0, FILTERS), found)


def test_nothing_to_fill_returns_the_image(rng: np.random.Generator) -> None:
    image = rng.standard_normal((2, 9, 10))
    np.testing.assert_array_equal(inpaint(image, np.ones((9, 10)), FILTERS), image)
    np.testing.assert_array_equal(denoise(image, FILTERS, noise=0), image)


@pytest.mark.parametrize(("scale", "constant"), [(1.0, 1000.0), (1e-6, 0.0), (-3e5, 7.0)])
def test_brightness_and_contrast_only_carry_over(rng: np.random.Generator, scale: float, constant: float) -> None:
    image = wave()
    known = rng.random(image.shape) < 0.5
    other = scale * image + constant
    error = 2e-3 * abs(scale)
    filled = scale * inpaint(image, known, FILTERS) + constant
    np.testing.assert_allclose(inpaint(other, known, FILTERS), filled, atol=error)
    smoothed = scale * denoise(image, FILTERS, noise=0.2) + constant
    np.testing.assert_allclose(denoise(other, FILTERS, noise=0.2 * abs(scale)), smoothed, atol=error)


def test_the_norm_of_filters_does_not_count(rng: np.random.Generator) -> None:
    image = wave()
    known = rng.random(image.shape) < 0.5
    scaled = cosines() * rng.uniform(0.2, 5, (SIDE**2 - 1, 1, 1))
    found = inpaint(image, known, scaled)
    np.testing.assert_allclose(found, inpaint(image, known, FILTERS), atol=0.02)


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_a_constant_image_stays(value: float) -> None:
    image, known = np.full((9, 8), value), np.arange(8) % 3 > 0
    np.testing.assert_allclose(inpaint(image, np.tile(known, (9, 1)), FILTERS), value)
    np.testing.assert_array_equal(denoise(image, FILTERS), value)
    np.testing.assert_allclose(denoise(image, FILTERS, noise=0.1), value)


def test_one_known_pixel_fills_everything() -> None:
    known = np.zeros((5, 6), bool)
    known[2, 2] = True
    np.testing.assert_allclose(inpaint(wave((5, 6)), known, FILTERS), wave((5, 6))[2, 2])
    known[4, 5] = True
    assert np.isfinite(inpaint(wave((5, 6)), known, FILTERS)).all()


# ---- forms ---------------------------------------------------------------------------------------------------------


def test_images_come_in_every_form(rng: np.random.Generator) -> None:
    image = wave()
    known = rng.random(image.shape) < 0.6
    grey = inpaint(image, known, FILTERS)
    colors = np.stack([image, 2 * image, image[::-1]])
    found = inpaint(colors, known, FILTERS)
    assert found.shape == colors.shape
    np.testing.assert_array_equal(found[0], grey)
    np.testing.assert_array_equal(inpaint(colors[np.newaxis], known, FILTERS)[0], found)
    listed = inpaint([image, colors], [known, np.stack([known] * 3)], FILTERS)
    np.testing.assert_array_equal(listed[0][0], grey)
    np.testing.assert_array_equal(listed[1], found)
    alone = denoise(image, FILTERS, noise=0.1)
    np.testing.assert_array_equal(denoise(colors, FILTERS, noise=0.1)[0], alone)
    np.testing.assert_array_equal(denoise([image], FILTERS, noise=0.1)[0][0], alone)
    assert denoise([], FILTERS) == []


def test_filters_with_colors_restore_channels_together(rng: np.random.Generator) -> None:
    filters = np.stack([cosines(4)] * 3, axis=1)
    image = np.stack([wave(), 2 * wave(), -wave()])
    known = rng.random(image.shape) < 0.3
    together, apart = inpaint(image, known, filters), inpaint(image, known, cosines(4))
    assert together.shape == image.shape
    assert psnr(together, image) > psnr(apart, image) - 0.5
    assert denoise(image, filters, noise=0.3).shape == image.shape


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (np.ones((8, 8)), np.zeros((8, 8)), "image 0 has no known pixel"),
        (np.ones((2, 8, 8)), np.stack([np.ones((8, 8)), np.zeros((8, 8))]), "in a whole channel"),
        (np.ones((8, 8)), np.ones((8, 7)), "mask of image 0 has shape"),
        (np.ones((8, 8)), None, "say which pixels are known"),
        (np.full((8, 8), np.nan), np.ones((8, 8)), "NaN or infinity"),
        (np.ones(8), np.ones(8), "not an array of shape"),
        (np.ones((8, 8)), np.full((8, 8), np.nan), "NaN, infinity or negative"),
        ([np.ones((8, 8))], np.ones((8, 8)), "a list of 1 masks"),
    ],
)
def test_wrong_input_is_one_sentence(image: Any, mask: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        inpaint(image, mask, FILTERS)


def test_wrong_noise_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="noise"):
        denoise(wave(), FILTERS, noise=-1.0)
    with pytest.raises(UsageError, match="give it"):
        denoise(np.ones((2, 9)), FILTERS)
    with pytest.raises(UsageError, match="filters are for"):
        denoise(np.ones((2, 9, 9)), np.ones((4, 3, 2, 2)))


# ---- photographs ---------------------------------------------------------------------------------------------------


def test_half_of_a_photograph_is_filled_better_than_smoothly(rng: np.random.Generator) -> None:
    restoration = pytest.importorskip("skimage.restoration")
    image = photograph()
    known = rng.random(image.shape) < 0.5
    filled = inpaint(np.where(known, image, np.nan), known, FILTERS)
    assert psnr(filled, image) > psnr(restoration.inpaint_biharmonic(image * known, ~known), image)


def test_noise_of_a_photograph_is_removed(rng: np.random.Generator) -> None:
    from scipy.ndimage import gaussian_filter

    image = photograph()
    noisy = image + 0.1 * rng.standard_normal(image.shape)
    smoothest = max(psnr(gaussian_filter(noisy, width), image) for width in (0.5, 0.7, 1, 1.5))
    given = psnr(denoise(noisy, FILTERS, noise=0.1), image)
    assert given > smoothest + 0.5
    assert psnr(denoise(noisy, FILTERS), image) > given - 0.5
