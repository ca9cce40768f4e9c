"""Descriptors as images: entries where their cells are, neighbors where they were."""

from __future__ import annotations

import numpy as np

from striate.figures import descriptor_images


def test_an_entry_is_an_edge_in_its_cell() -> None:
    descriptor = np.zeros((1, 4, 4, 8), np.float32)
    descriptor[0, 1, 2, 0] = 1  # a gradient to the right: a vertical edge, a little right of the middle
    (image,) = descriptor_images(descriptor.reshape(1, -1))[:, 0]
    rows, columns = np.nonzero(image > 0.5 * image.max())
    assert 9 <= rows.min() <= rows.max() < 18
    assert 18 <= columns.min() <= columns.max() < 27
    assert np.ptp(rows) > np.ptp(columns)


def test_neighbors_lie_side_by_side(rng: np.random.Generator) -> None:
    descriptors = rng.random((3, 4, 128), dtype=np.float32)
    found = descriptor_images(descriptors.reshape(3, -1))
    assert found.shape == (3, 1, 72, 72)
    alone = descriptor_images(descriptors.reshape(12, -1)).reshape(3, 2, 2, 36, 36)
    for i, j in np.ndindex(2, 2):
        tile = found[:, 0, 36 * i : 36 * (i + 1), 36 * j : 36 * (j + 1)]
        np.testing.assert_allclose(tile, alone[:, i, j], rtol=1e-5, atol=1e-6)
