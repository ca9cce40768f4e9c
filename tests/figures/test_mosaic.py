from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from striate.errors import UsageError
from striate.figures import encode_png, filter_mosaic, project_to_pixels


def test_each_filter_is_scaled_to_its_own_maximum_about_mid_grey() -> None:
    filters = np.zeros((2, 1, 1, 3))
    filters[0, 0, 0] = (-2.0, 0.0, 1.0)
    filters[1, 0, 0] = (0.0, 1e-9, -5e-10)
    mosaic = filter_mosaic(filters, columns=2, gap=1, scale=1)
    assert mosaic.tolist() == [[0, 127, 190, 255, 127, 254, 64]]


def test_an_all_zero_filter_is_plain_grey() -> None:
    assert set(filter_mosaic(np.zeros((1, 1, 3, 3)), scale=2).ravel()) == {127}


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((1, 1, 9, 9), {"scale": 1}, (9, 9)),
        ((64, 1, 9, 9), {"scale": 1}, (79, 79)),
        ((5, 1, 4, 6), {"columns": 2, "scale": 3, "gap": 2}, (48, 42)),
        ((3, 1, 4, 4), {"columns": 100, "scale": 1}, (4, 14)),
        ((4, 3, 5, 5), {"scale": 1}, (11, 11, 3)),
        ((2, 16, 3, 3), {"columns": 2, "scale": 1}, (15, 31)),
        ((1, 2, 3, 3), {"scale": 1}, (3, 7)),
        ((1000, 1, 2, 2), {"columns": 40, "scale": 1, "gap": 0}, (50, 80)),
    ],
)
def test_shapes(
    shape: tuple[int, ...], options: dict[str, int], expected: tuple[int, ...], rng: np.random.Generator
) -> None:
    mosaic = filter_mosaic(rng.standard_normal(shape), **options)  # type: ignore[arg-type]
    assert mosaic.shape == expected
    assert mosaic.dtype == np.uint8


def test_the_default_scale_makes_a_image_of_comfortable_size(rng: np.random.Generator) -> None:
    assert 400 <= max(filter_mosaic(rng.standard_normal((16, 1, 9, 9))).shape) <= 800
    assert max(filter_mosaic(rng.standard_normal((1000, 1, 40, 40))).shape) > 800  # never below one pixel a weight


def test_every_filter_is_in_its_place(rng: np.random.Generator) -> None:
    filters = rng.standard_normal((7, 1, 4, 5))
    mosaic = filter_mosaic(filters, columns=3, gap=2, scale=1)
    for number in range(7):
        alone = filter_mosaic(filters[number : number + 1], scale=1)
        top, left = number // 3 * 6, number % 3 * 7
        np.testing.assert_array_equal(mosaic[top : top + 4, left : left + 5], alone)
    assert (mosaic[12:, 7:] == 255).all()


def test_yuv_filters_without_chroma_are_grey(rng: np.random.Generator) -> None:
    filters = np.zeros((2, 3, 4, 4))
    filters[:, 0] = rng.standard_normal((2, 4, 4))
    mosaic = filter_mosaic(filters, scale=1, color="yuv")
    np.testing.assert_array_equal(mosaic, filter_mosaic(filters[:, :1], scale=1)[..., None].repeat(3, axis=2))


def test_yuv_is_the_inverse_of_what_preprocessing_does(rng: np.random.Generator) -> None:
    from striate.images.color import to_yuv

    image = rng.standard_normal((1, 3, 4, 4))
    there_and_back = filter_mosaic(to_yuv(image), scale=1, color="yuv").astype(int)
    assert np.abs(there_and_back - filter_mosaic(image, scale=1).astype(int)).max() <= 2


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(bad: float) -> None:
    filters = np.ones((3, 1, 2, 2))
    filters[1, 0, 0, 0] = bad
    with pytest.raises(UsageError, match="filter 1 has weights that are not finite"):
        filter_mosaic(filters)


@pytest.mark.parametrize("shape", [(0, 1, 3, 3), (3, 3), (1, 1, 0, 3)])
def test_no_filters_at_all(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="n_filters, channels, height, width"):
        filter_mosaic(np.zeros(shape))


@pytest.mark.parametrize("option", [{"columns": 0}, {"gap": -1}, {"scale": 0}])
def test_options_out_of_range(option: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="it must be an integer"):
        filter_mosaic(np.ones((1, 1, 2, 2)), **option)  # type: ignore[arg-type]


def test_projection_against_a_loop(rng: np.random.Generator) -> None:
    second, first = rng.standard_normal((3, 2, 3, 2)), rng.standard_normal((5, 3, 4, 4))
    table = np.array([[0, 4], [1, 1], [3, 2]])
    expected = np.zeros((3, 3, 8, 6))
    for unit, place, y, x in np.ndindex(second.shape):
        top, left = 2 * y, 2 * x
        expected[unit, :, top : top + 4, left : left + 4] += second[unit, place, y, x] * first[table[unit, place]]
    np.testing.assert_allclose(project_to_pixels(second, first, table=table, stride=2), expected, atol=1e-5)


def test_projection_of_a_single_weight_is_the_first_filter(rng: np.random.Generator) -> None:
    first = rng.standard_normal((4, 1, 5, 5)).astype(np.float32)
    second = np.eye(4).reshape(4, 4, 1, 1)
    np.testing.assert_allclose(project_to_pixels(second, first), first, rtol=1e-6)


def test_projection_is_linear_in_the_kernels(rng: np.random.Generator) -> None:
    first, one, other = rng.standard_normal((6, 1, 3, 3)), rng.standard_normal((2, 6, 3, 3)), np.ones((2, 6, 3, 3))
    both = project_to_pixels(one + other, first)
    np.testing.assert_allclose(both, project_to_pixels(one, first) + project_to_pixels(other, first), atol=1e-4)


@pytest.mark.parametrize("table", [np.array([[0, 9]]), np.array([[0, -1]]), np.array([[0]])])
def test_a_table_that_does_not_fit(table: np.ndarray) -> None:
    with pytest.raises(UsageError, match="table"):
        project_to_pixels(np.ones((1, 2, 3, 3)), np.ones((2, 1, 3, 3)), table=table)


def test_png_keeps_every_pixel_and_lets_only_the_gaps_through(rng: np.random.Generator) -> None:
    for channels in (1, 3):
        mosaic = filter_mosaic(rng.standard_normal((4, channels, 3, 3)), scale=1)
        mode = "LA" if channels == 1 else "RGBA"
        decoded = np.asarray(Image.open(io.BytesIO(encode_png(mosaic, transparent_gap=True))).convert(mode))
        np.testing.assert_array_equal(decoded[..., :-1].reshape(mosaic.shape), mosaic)
        gaps = np.zeros((7, 7), dtype=bool)
        gaps[3] = gaps[:, 3] = True
        np.testing.assert_array_equal(decoded[..., -1] == 0, gaps)
