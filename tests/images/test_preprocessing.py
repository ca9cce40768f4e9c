"""What a preprocessing does to an image in red, green and blue."""

from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.images import Preprocessing


def test_rgb_images_keep_their_channels(rng: np.random.Generator) -> None:
    image = rng.random((3, 8, 8), dtype=np.float32)
    prepare = Preprocessing((8, 8), color="rgb", contrast="none", white=0.5)
    assert prepare.shape == (3, 8, 8)
    assert prepare.reading["color"]
    np.testing.assert_allclose(prepare(image), 2 * image, rtol=1e-6)
    np.testing.assert_allclose(prepare(image[:1]), np.repeat(2 * image[:1], 3, axis=0), rtol=1e-6)
    assert Preprocessing.from_state(prepare.to_state()) == prepare


def test_rgb_has_no_local_contrast() -> None:
    with pytest.raises(UsageError, match="take the color 'yuv', or the contrast 'none' or 'ground'"):
        Preprocessing((8, 8), color="rgb")
