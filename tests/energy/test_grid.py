from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from striate.energy import Grid, Window
from striate.errors import UsageError

GRID = Grid(Window(-6, 6, -6, 6), 120)


def test_the_divergence_of_two_gaussians() -> None:
    truth = multivariate_normal([0.5, 0], [[1, 0.3], [0.3, 0.5]]).logpdf(GRID.points)
    energies = 7 - multivariate_normal([0, 0], np.eye(2)).logpdf(GRID.points)  # of any offset
    covariance = np.array([[1, 0.3], [0.3, 0.5]])
    exact = 0.5 * (np.trace(covariance) + 0.25 - 2 - np.log(np.linalg.det(covariance)))
    assert GRID.divergence(truth, energies) == pytest.approx(exact, abs=1e-5)
    assert GRID.divergence(truth, -truth) == pytest.approx(0, abs=1e-12)


def test_points_outside_the_support_of_the_truth_cost_nothing() -> None:
    truth = np.where(GRID.points[:, 0] < 0, 0.0, -np.inf)
    assert GRID.divergence(truth, np.zeros(len(truth))) == pytest.approx(np.log(2))


def test_images_have_their_lowest_row_first() -> None:
    image = GRID.image(GRID.points[:, 1])
    assert image[0, 0] == image[0, -1] < image[-1, 0]
    assert np.ptp(GRID.image(GRID.points[:, 0])[:, 3]) == 0


def test_local_minima() -> None:
    places = np.array([[-2.05, 1.05], [3.05, 0.05]])
    energies = np.square(GRID.points[:, np.newaxis] - places).sum(axis=2).min(axis=1)
    found = GRID.local_minima(energies)
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], places, atol=1e-9)
    assert len(GRID.local_minima(np.zeros(len(energies)))) == 0


def test_shifted_grids_integrate_without_bias(rng: np.random.Generator) -> None:
    grid = Grid(Window(0, 1, 0, 2), 3)
    sums = [np.square(grid.shifted(rng)[:, 0]).sum() * grid.cell for _ in range(3000)]
    assert np.mean(sums) == pytest.approx(2 / 3, rel=0.01)


def test_windows() -> None:
    window = Window.around(np.array([[0.0, 1.0], [2.0, 5.0]]), margin=0.5)
    np.testing.assert_array_equal(window.extent, [-1, 3, -1, 7])
    assert window.area == 32
    mirrored = window.reflect(np.array([[3.5, 0.0], [-2.0, 8.0], [1.0, 23.0]]))
    np.testing.assert_allclose(mirrored, np.array([[2.5, 0.0], [0.0, 6.0], [1.0, 7.0]]))
    with pytest.raises(UsageError, match="left < right"):
        Window(1, 1, 0, 1)
