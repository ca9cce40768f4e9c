from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.errors import UsageError
from striate.images import fit_to_canvas

sides = st.integers(1, 70)


@given(sides, sides, sides, sides, st.booleans())
def test_content_fits_is_centered_and_touches(
    height: int, width: int, canvas_height: int, canvas_width: int, enlarge: bool
) -> None:
    image = np.ones((2, height, width), np.float32)
    canvas, (top, left, h, w) = fit_to_canvas(image, (canvas_height, canvas_width), enlarge=enlarge)
    assert canvas.shape == (2, canvas_height, canvas_width)
    assert canvas.dtype == np.float32
    # Ones stay ones under every filter, so that the canvas shows where the image is.
    expected = np.zeros_like(canvas)
    expected[:, top : top + h, left : left + w] = 1
    np.testing.assert_allclose(canvas, expected, atol=1e-6)
    assert 0 <= canvas_height - h - 2 * top <= 1
    assert 0 <= canvas_width - w - 2 * left <= 1
    if enlarge or height > canvas_height or width > canvas_width:
        assert h == canvas_height or w == canvas_width
    else:
        assert (h, w) == (height, width)


def test_aspect_ratio_is_kept_to_a_pixel() -> None:
    _, (top, left, height, width) = fit_to_canvas(np.zeros((1, 200, 300), np.float32), (151, 151))
    assert (top, left, height, width) == (25, 0, 101, 151)


def test_a_thread_of_a_image_keeps_one_pixel() -> None:
    canvas, box = fit_to_canvas(np.ones((1, 6000, 1), np.float32), (64, 64))
    assert box == (0, 31, 64, 1)
    np.testing.assert_allclose(canvas.sum(), 64, rtol=1e-5)


def test_same_size_is_copied_exactly(rng: np.random.Generator) -> None:
    image = rng.normal(size=(3, 20, 16)).astype(np.float32)
    canvas, box = fit_to_canvas(image, (20, 20), fill=-1)
    assert box == (0, 2, 20, 16)
    np.testing.assert_array_equal(canvas[:, :, 2:18], image)
    assert (canvas[:, :, :2] == -1).all()
    assert (canvas[:, :, 18:] == -1).all()


def test_reduction_is_antialiased_and_stays_in_range(rng: np.random.Generator) -> None:
    # A checkerboard at the limit of resolution: without a filter it would stay black and white, or turn into
    # bars; averaged, it is grey.
    checkerboard = (np.indices((400, 400)).sum(0) % 2).astype(np.float32)[None]
    canvas, _ = fit_to_canvas(checkerboard, (100, 100))
    np.testing.assert_allclose(canvas[:, 5:-5, 5:-5], 0.5, atol=0.02)
    edges = (rng.random((1, 90, 90)) > 0.5).astype(np.float32)
    for size in ((40, 40), (200, 200)):
        canvas, _ = fit_to_canvas(edges, size)
        assert canvas.min() >= 0
        assert canvas.max() <= 1


def test_enlarging_a_ramp_gives_a_ramp() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 16, dtype=np.float32), (1, 16, 16))
    canvas, _ = fit_to_canvas(ramp, (64, 64))
    positions = (np.arange(64) + 0.5) / 4 - 0.5  # of the new pixels' centers among the old
    np.testing.assert_allclose(canvas[0, 30, 8:-8], positions[8:-8] / 15, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 4), (1, 0, 4), (1, 1, 4, 4)])
def test_what_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="channels, height, width"):
        fit_to_canvas(np.zeros(shape, np.float32), (8, 8))


def test_an_empty_canvas_is_refused() -> None:
    with pytest.raises(UsageError, match="0×8"):
        fit_to_canvas(np.zeros((1, 4, 4), np.float32), (0, 8))
