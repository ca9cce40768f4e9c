"""Prepared filters: correlations, reconstruction, cross-correlations and the bound on the curvature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.coding import PreparedFilters
from striate.errors import UsageError
from tests.coding.convolutional.problems import problem, toeplitz


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("n_maps", [1, 40])
def test_correlation_and_reconstruction_are_adjoint(
    rng: np.random.Generator, dtype: Any, n_channels: int, n_maps: int
) -> None:
    image, filters = problem(rng, n_maps=n_maps, n_channels=n_channels, dtype=dtype)
    prepared = PreparedFilters(filters)
    maps = (rng.standard_normal((n_maps, 10, 11)) * (rng.random((n_maps, 10, 11)) < 0.3)).astype(dtype)
    correlations, rebuilt = prepared.correlate(image), prepared.reconstruct(maps)
    assert correlations.dtype == rebuilt.dtype == dtype
    assert correlations.shape == maps.shape
    assert rebuilt.shape == image.shape
    left, right = (np.vdot(a.astype(float), b) for a, b in ((correlations, maps), (image, rebuilt)))
    np.testing.assert_allclose(left, right, rtol=1e-4 if dtype == np.float32 else 1e-11)
    units = toeplitz(filters.astype(float), 12, 14)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(correlations.reshape(-1), units @ image.reshape(-1), atol=tolerance)
    np.testing.assert_allclose(rebuilt.reshape(-1), maps.reshape(-1) @ units, atol=tolerance)


def test_several_images_are_taken_together(rng: np.random.Generator) -> None:
    image, filters = problem(rng)
    prepared = PreparedFilters(filters)
    one = prepared.correlate(image)
    np.testing.assert_array_equal(prepared.correlate(image[0]), one)
    np.testing.assert_array_equal(prepared.correlate(np.stack([image, image]))[1], one)
    listed = prepared.correlate([image, image[:, 3:]])
    np.testing.assert_array_equal(listed[0], one)
    assert listed[1].shape == (5, 7, 11)
    rebuilt = prepared.reconstruct(one)
    np.testing.assert_array_equal(prepared.reconstruct(np.stack([one, one]))[1], rebuilt)
    np.testing.assert_array_equal(prepared.reconstruct([one, one[:, 2:]])[0], rebuilt)


@pytest.mark.parametrize("n_channels", [1, 2])
def test_the_gram_holds_the_products_of_all_shifts(rng: np.random.Generator, n_channels: int) -> None:
    _, filters = problem(rng, n_maps=3, n_channels=n_channels)
    prepared = PreparedFilters(filters)
    units = toeplitz(filters, 9, 11).reshape(3, 7, 8, -1)
    assert prepared.gram.shape == (3, 3, 5, 7)
    for s in range(-2, 3):
        for t in range(-3, 4):
            truth = units[:, 3, 4] @ units[:, 3 + s, 4 + t].T
            np.testing.assert_allclose(prepared.gram[:, :, 2 + s, 3 + t], truth, atol=1e-12)
    np.testing.assert_allclose(prepared.squared_norms, prepared.gram[range(3), range(3), 2, 3])


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("side", [(1, 1), (3, 4), (7, 2)])
def test_the_largest_eigenvalue_bounds_that_of_every_size(
    rng: np.random.Generator, n_channels: int, side: tuple[int, int]
) -> None:
    _, filters = problem(rng, side=side, n_maps=3, n_channels=n_channels)
    bound = PreparedFilters(filters).largest_eigenvalue
    for size in ((7, 5), (12, 14), (20, 18)):
        units = toeplitz(filters, *size)
        assert np.linalg.norm(units, 2) ** 2 <= bound * (1 + 1e-12)
    # On a torus, the spectral density at its frequencies is the spectrum: the bound is not far above.
    spectra = np.fft.fft2(filters, (240, 250))
    density = np.einsum("kcuv,kduv->uvcd", spectra, spectra.conj())
    assert bound <= 1.05 * np.linalg.eigvalsh(density).max()


def test_filters_never_change(rng: np.random.Generator) -> None:
    filters = rng.standard_normal((2, 3, 3))
    prepared = PreparedFilters(filters)
    before = prepared.filters.copy()
    filters[:] = 0
    np.testing.assert_array_equal(prepared.filters, before)
    with pytest.raises(ValueError, match="read-only"):
        prepared.filters[0] = 1
    assert repr(prepared) == "PreparedFilters(2 filters of 3×3, float64)"
    assert "×3, float32" in repr(PreparedFilters(np.zeros((2, 3, 5, 5), np.float32)))


def test_zero_filters_have_no_spectrum() -> None:
    prepared = PreparedFilters(np.zeros((2, 3, 3)))
    assert prepared.largest_eigenvalue == 0
    assert not prepared.gram.any()


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (np.zeros((3, 4, 4)), "maps of 5 filters"),
        (np.zeros((5, 4)), "maps"),
        (np.full((5, 4, 4), np.nan), "NaN"),
    ],
)
def test_maps_that_do_not_fit_are_refused(rng: np.random.Generator, maps: np.ndarray, message: str) -> None:
    _, filters = problem(rng)
    with pytest.raises(UsageError, match=message):
        PreparedFilters(filters).reconstruct(maps)
