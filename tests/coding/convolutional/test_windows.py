"""Convolutions as products with windows, against an explicit dictionary and counting."""

from __future__ import annotations

import numpy as np
import pytest

from striate.coding.convolutional import windows
from striate.images import extract_patches
from tests.coding.convolutional.problems import problem, toeplitz


@pytest.fixture(params=[1, 1 << 20], ids=["row by row", "at once"])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_BLOCK", request.param)


@pytest.mark.usefixtures("block")
def test_correlations_and_sums_are_those_of_a_dictionary(rng: np.random.Generator) -> None:
    _, filters = problem(rng, n_channels=2)
    images, maps = rng.standard_normal((3, 2, 8, 9)), rng.standard_normal((3, 5, 6, 6))
    units = toeplitz(filters, 8, 9)
    found = windows.correlate(images, filters)
    np.testing.assert_allclose(found.reshape(3, -1), images.reshape(3, -1) @ units.T, atol=1e-12)
    sums = windows.synthesize(maps, filters)
    np.testing.assert_allclose(sums.reshape(3, -1), maps.reshape(3, -1) @ units, atol=1e-12)
    # The products with windows are the derivatives of <images, sums> for the filters.
    products = windows.products_with_windows(maps, images, filters.shape)
    for place in [(0, 0, 0, 0), (2, 1, 2, 3), (4, 0, 1, 2)]:
        step = np.zeros_like(filters)
        step[place] = 1
        assert products[place] == pytest.approx(np.vdot(images, windows.synthesize(maps, step)))


def test_windows_are_patches(rng: np.random.Generator) -> None:
    images = rng.standard_normal((2, 3, 6, 7))
    expected = np.concatenate([extract_patches(image, 4) for image in images])
    np.testing.assert_array_equal(windows.windows_as_rows(images, 4, 4), expected)


@pytest.mark.parametrize(("size", "side"), [((7, 9), (3, 4)), ((5, 5), (5, 5)), ((6, 20), (5, 2)), ((4, 6), (1, 1))])
def test_coverage_by_counting(size: tuple[int, int], side: tuple[int, int]) -> None:
    counts = np.zeros(size)
    for i in range(size[0] - side[0] + 1):
        for j in range(size[1] - side[1] + 1):
            counts[i : i + side[0], j : j + side[1]] += 1
    np.testing.assert_allclose(windows.coverage(*size, *side), counts / counts.max())
