from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from striate.errors import UsageError
from striate.images import to_grey, to_rgb, to_yuv


def test_luma_agrees_with_pillows_bt601(rng: np.random.Generator) -> None:
    stored = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image = stored.transpose(2, 0, 1).astype(np.float32) / 255
    pillow = np.asarray(Image.fromarray(stored).convert("L")) / 255  # rounded to 8 bits
    np.testing.assert_allclose(to_grey(image)[0], pillow, atol=0.51 / 255)


def test_yuv_of_pure_colors_is_that_of_the_standard() -> None:
    red, green, blue, white = np.eye(3, 4, dtype=np.float32).T.reshape(4, 3, 1, 1)
    white = np.ones_like(red)
    expected = {  # Y, U, V of BT.601
        "red": (red, (0.299, -0.14713, 0.615)),
        "green": (green, (0.587, -0.28886, -0.51499)),
        "blue": (blue, (0.114, 0.436, -0.10001)),
        "white": (white, (1, 0, 0)),
    }
    for image, yuv in expected.values():
        np.testing.assert_allclose(to_yuv(image).ravel(), yuv, atol=2e-5)


def test_batches_are_converted_as_single_images(rng: np.random.Generator) -> None:
    batch = rng.random((4, 3, 5, 6), dtype=np.float32)
    for convert in (to_grey, to_yuv):
        np.testing.assert_array_equal(convert(batch), np.stack([convert(image) for image in batch]))
        assert convert(batch).dtype == np.float32
        assert convert(batch.astype(np.float64)).dtype == np.float64


def test_grey_images_pass(rng: np.random.Generator) -> None:
    grey = rng.random((1, 5, 6), dtype=np.float32)
    assert to_grey(grey) is grey
    np.testing.assert_array_equal(to_yuv(grey), np.concatenate([grey, np.zeros((2, 5, 6))]))
    np.testing.assert_array_equal(to_rgb(grey), np.concatenate([grey, grey, grey]))
    np.testing.assert_allclose(to_grey(to_rgb(grey)), grey, rtol=1e-6)


@pytest.mark.parametrize("convert", [to_grey, to_yuv, to_rgb])
def test_a_stereo_pair_has_no_color(convert: object) -> None:
    with pytest.raises(UsageError, match="1 channel"):
        convert(np.zeros((2, 4, 4), np.float32))  # type: ignore[operator]
