"""Images as these systems take them."""

from __future__ import annotations

import numpy as np

from striate.experiments.recognition.baselines import grey_up_to


def test_images_keep_their_shape_and_thin_ones_get_room(rng: np.random.Generator) -> None:
    assert grey_up_to(rng.random((3, 200, 400), dtype=np.float32), 100).shape == (50, 100)
    assert grey_up_to(rng.random((1, 40, 60), dtype=np.float32), 100).shape == (40, 60)
    thin = rng.random((1, 3, 60), dtype=np.float32)
    found = grey_up_to(thin, 100)
    assert found.shape == (32, 60)
    np.testing.assert_array_equal(found[14:17], thin[0])
