"""Statistics of code maps, and the update of filters from them, against slow sums and the optimum by other means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from striate.coding import PreparedFilters, SparseMaps
from striate.learning._filter_update import surrogate_error, unit_filters, update_filters, worst_windows
from striate.learning._map_statistics import add_statistics, completed

Statistics = tuple[np.ndarray, np.ndarray]


def sparse_maps(rng: np.random.Generator, shape: tuple[int, int, int], share: float) -> np.ndarray:
    """Maps of which a share of the coefficients is not 0."""
    return np.asarray(rng.standard_normal(shape) * (rng.random(shape) < share))


def problem(
    rng: np.random.Generator,
    *,
    n_maps: int = 4,
    n_channels: int = 1,
    kernel: tuple[int, int] = (3, 4),
    share: float = 0.2,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Filters, maps, and an image that has little to do with them."""
    filters = unit_filters(rng.standard_normal((n_maps, n_channels, *kernel)))
    maps = sparse_maps(rng, (n_maps, 9, 11), share)
    return filters, maps, rng.standard_normal((n_channels, 8 + kernel[0], 10 + kernel[1]))


def statistics(maps: np.ndarray, image: np.ndarray, kernel: tuple[int, int], weight: float = 1.0) -> Statistics:
    height, width = kernel
    n_maps = len(maps)
    code_products = np.zeros((n_maps, n_maps, 2 * height - 1, 2 * width - 1))
    image_products = np.zeros((n_maps, len(image), height, width))
    add_statistics(SparseMaps.from_array(maps), image, code_products, image_products, weight=weight)
    return code_products, image_products


def slow_statistics(maps: np.ndarray, image: np.ndarray, kernel: tuple[int, int]) -> Statistics:
    """The same sums over all positions, written down."""
    height, width = kernel
    n_maps, n_rows, n_columns = maps.shape
    code_products = np.zeros((n_maps, n_maps, 2 * height - 1, 2 * width - 1))
    padded = np.pad(maps, ((0, 0), (height - 1, height - 1), (width - 1, width - 1)))
    for s in range(2 * height - 1):
        for t in range(2 * width - 1):
            moved = padded[:, s : s + n_rows, t : t + n_columns]
            code_products[:, :, s, t] = np.einsum("kij,lij->kl", maps, moved)
    image_products = np.zeros((n_maps, len(image), height, width))
    for i in range(height):
        for j in range(width):
            image_products[:, :, i, j] = np.einsum("kpq,cpq->kc", maps, image[:, i : i + n_rows, j : j + n_columns])
    return code_products, image_products


def error(filters: np.ndarray, maps: np.ndarray, image: np.ndarray) -> float:
    return 0.5 * float(np.square(image - PreparedFilters(filters).reconstruct(maps)).sum())


@pytest.mark.parametrize(("n_channels", "kernel", "share"), [(1, (3, 4), 0.2), (3, (4, 3), 1.0), (2, (1, 1), 0.3)])
def test_statistics_are_the_sums_over_all_positions(
    rng: np.random.Generator, n_channels: int, kernel: tuple[int, int], share: float
) -> None:
    _, maps, image = problem(rng, n_channels=n_channels, kernel=kernel, share=share)
    for found, slow in zip(statistics(maps, image, kernel), slow_statistics(maps, image, kernel), strict=True):
        np.testing.assert_allclose(found, slow, atol=1e-12)
    for found, slow in zip(statistics(maps, image, kernel, 2.5), slow_statistics(maps, image, kernel), strict=True):
        np.testing.assert_allclose(found, 2.5 * slow, atol=1e-12)


def test_empty_maps_have_no_statistics(rng: np.random.Generator) -> None:
    _, maps, image = problem(rng)
    assert not any(found.any() for found in statistics(0 * maps, image, (3, 4)))


@pytest.mark.parametrize("n_channels", [1, 3])
def test_the_quadratic_form_of_the_statistics_is_the_error_of_the_image(
    rng: np.random.Generator, n_channels: int
) -> None:
    """Exactly, with everything at the border: for filters that the statistics have never seen."""
    _, maps, image = problem(rng, n_channels=n_channels)
    found = statistics(maps, image, (3, 4))
    for _ in range(3):
        filters = rng.standard_normal((4, n_channels, 3, 4))
        expected = error(filters, maps, image) - 0.5 * float(np.square(image).sum())
        assert surrogate_error(filters, *found) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_sweeps_never_raise_the_error_and_keep_unit_norms(
    rng: np.random.Generator, n_channels: int, dtype: Any
) -> None:
    filters, maps, image = problem(rng, n_channels=n_channels, n_maps=6, share=0.5)
    maps[3] = 0
    found = statistics(maps, image, (3, 4))
    filters = filters.astype(dtype)
    unused = filters[3].copy()
    errors = [surrogate_error(filters, *found)]
    for _ in range(40):
        filters = update_filters(filters, *found)
        errors.append(surrogate_error(filters, *found))
        np.testing.assert_allclose(np.sqrt(np.square(filters).sum((1, 2, 3))), 1, rtol=1e-6)
    assert np.diff(errors).max() <= 1e-6 * abs(errors[-1])
    assert errors[-1] < errors[0]
    np.testing.assert_array_equal(filters[3], unused)
    assert filters.dtype == dtype


def test_a_sweep_is_every_filter_in_turn(rng: np.random.Generator) -> None:
    """The gradients that are kept as spectra are those of the filters as they are at each moment."""
    filters, maps, image = problem(rng)
    found = statistics(maps, image, (3, 4))
    slow = filters.copy()
    for k in range(len(filters)):
        code_products, image_products = found[0].copy(), found[1]
        others = np.arange(len(filters)) != k
        code_products[np.ix_(others, others)] = 0
        code_products[others, others, 2, 3] = 0  # only filter k has statistics of its own, and moves
        slow = update_filters(slow, code_products, image_products)
    np.testing.assert_allclose(update_filters(filters, *found), slow, atol=1e-10)


@pytest.mark.parametrize("n_channels", [1, 2])
def test_one_filter_reaches_the_optimum_on_the_sphere(rng: np.random.Generator, n_channels: int) -> None:
    """The closed form: (T + μ) d = b, with the μ at which the norm is 1."""
    _, maps, image = problem(rng, n_maps=1, n_channels=n_channels, share=0.3)
    maps *= 0.3
    code_products, image_products = statistics(maps, image, (3, 4))
    matrix = np.zeros((12, 12))
    for a in range(12):
        for b in range(12):
            (i, j), (s, t) = divmod(a, 4), divmod(b, 4)
            matrix[a, b] = code_products[0, 0, 2 + i - s, 3 + j - t]
    values, vectors = np.linalg.eigh(matrix)
    target = vectors.T @ image_products[0].reshape(n_channels, 12).T

    def solution(mu: float) -> np.ndarray:
        return target / (values + mu)[:, None]

    low, high = -values[0] + 1e-9, 1e4
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.linalg.norm(solution(middle)) > 1 else (low, middle)
    expected = (vectors @ solution(high)).T.reshape(1, n_channels, 3, 4)
    assert np.linalg.norm(expected) == pytest.approx(1)
    filters = unit_filters(rng.standard_normal((1, n_channels, 3, 4)))
    found = update_filters(filters, code_products, image_products, n_sweeps=300)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sweeps_reach_a_minimum_over_all_filters(rng: np.random.Generator) -> None:
    filters, maps, image = problem(rng, n_maps=3, share=0.4)
    found = statistics(maps, image, (3, 4))

    def objective(flat: np.ndarray) -> float:
        return surrogate_error(unit_filters(flat.reshape(filters.shape)), *found)

    ours = update_filters(filters, *found, n_sweeps=500)
    best = minimize(objective, ours.reshape(-1), method="BFGS", options={"maxiter": 60}).fun
    assert surrogate_error(ours, *found) <= best + 1e-6 * abs(best)


def test_a_completed_image_bounds_the_error_of_the_masked_one(rng: np.random.Generator) -> None:
    image, reconstruction = rng.standard_normal((2, 1, 8, 9))
    mask = rng.choice([0.0, 0.5, 1.0, 3.0], (1, 8, 9))
    whole, weight = completed(image, mask, reconstruction)

    def above(r: np.ndarray) -> float:
        return 0.5 * weight * float(np.square(whole - r).sum()) - 0.5 * float(np.square(mask * (image - r)).sum())

    for scale in (0.1, 1.0, 10.0):
        other = reconstruction + scale * rng.standard_normal(image.shape)
        assert above(other) >= above(reconstruction) - 1e-9
    np.testing.assert_array_equal(whole[mask == 0], reconstruction[mask == 0])
    assert completed(image, 0 * mask, reconstruction)[1] == 0


def test_the_worst_windows_do_not_overlap_and_come_in_order(rng: np.random.Generator) -> None:
    residuals = [0.01 * rng.standard_normal((1, 12, 15)), 0.01 * rng.standard_normal((1, 9, 9))]
    residuals[1][0, 2:5, 3:7] = 3.0
    residuals[0][0, 8:11, 11:15] = -2.0
    residuals[0][0, 0:3, 0:4] = 1.0
    found = worst_windows(residuals, 3, (3, 4))
    np.testing.assert_allclose(found[0], 12**-0.5, rtol=1e-6)
    np.testing.assert_allclose(found[1], -(12**-0.5), rtol=1e-6)
    np.testing.assert_allclose(found[2], 12**-0.5, rtol=1e-6)
    one = np.zeros((2, 6, 6))
    one[1, 2, 2] = 1
    assert worst_windows([one], 5, (3, 3)).shape == (1, 2, 3, 3)
    assert worst_windows([0 * one], 5, (3, 3)).shape == (0, 2, 3, 3)
