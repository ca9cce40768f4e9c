"""The fused pass of logistic units against SciPy's function and against frequencies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import chisquare, kstest

from striate.learning._contrastive_step import draw_states, pass_key
from striate.learning._logistic_kernel import logistic_units, row_keys, step_with_momentum

pytestmark = pytest.mark.kernels


def _layer(dtype: type, n: int = 40, reach: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return (rng.uniform(-reach, reach, (n, 37))).astype(dtype), rng.standard_normal(37).astype(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 4e-7), (np.float64, 1e-14)])
def test_probabilities_are_the_logistic_function(dtype, tolerance):
    drive, bias = _layer(dtype, reach=80.0)
    means = drive.copy()
    logistic_units(means, bias)
    np.testing.assert_allclose(means, expit((drive + bias).astype(np.float64)), rtol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes(dtype):
    drive = np.array([[np.inf, -np.inf, np.nan, 0.0, 1e4, -1e4]], dtype)
    logistic_units(drive, np.zeros(6, dtype))
    np.testing.assert_allclose(drive[0], [1, 0, np.nan, 0.5, 1, 0], atol=1e-37)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_states_follow_from_the_keys_and_the_probabilities(dtype):
    drive, bias = _layer(dtype, reach=3.0)
    keys = row_keys(99, 0, len(drive))
    means, states, alone = drive.copy(), np.empty_like(drive), drive.copy()
    logistic_units(means, bias, keys=keys, states=states)
    logistic_units(alone, bias, keys=keys)
    np.testing.assert_array_equal(alone, states)
    np.testing.assert_allclose(means, expit((drive + bias).astype(np.float64)), rtol=4e-7)
    assert set(np.unique(states)) == {0, 1}
    part = drive[13:].copy()
    logistic_units(part, bias, keys=row_keys(99, 13, len(drive)))
    np.testing.assert_array_equal(part, states[13:])


def test_units_are_on_as_often_as_they_should():
    n = 4000
    drive = np.tile(np.linspace(-4, 4, 9, dtype=np.float32), (n, 1))
    means, states = drive.copy(), np.empty_like(drive)
    logistic_units(means, np.zeros(9, np.float32), keys=row_keys(5, 0, n), states=states)
    on, p = states.sum(axis=0), means[0].astype(np.float64)
    assert np.all(np.abs(on - n * p) < 4 * np.sqrt(n * p * (1 - p)))
    # Neighbors in a row and in a column are independent.
    fair = states[:, 4]
    for one, other in ((fair[1:], fair[:-1]), (states[:, 3], states[:, 4])):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(n)


def test_random_numbers_are_uniform():
    # The threshold at which a unit turns on is its random number: found by halving.
    n, units = 60, 30
    low, high = np.zeros((n, units)), np.ones((n, units))
    keys = row_keys(7, 0, n)
    for _ in range(12):
        middle = (low + high) / 2
        states = np.log(middle / (1 - middle))
        logistic_units(states, np.zeros(units), keys=keys)
        low, high = np.where(states == 1, low, middle), np.where(states == 1, middle, high)
    numbers = ((low + high) / 2).ravel()
    assert kstest(numbers, "uniform").pvalue > 0.01
    assert chisquare(np.bincount((numbers * 16).astype(int), minlength=16)).pvalue > 0.01


def test_passes_do_not_share_their_numbers():
    keys = {pass_key(seed, batch, number) for seed in range(5) for batch in range(50) for number in range(5)}
    assert len(keys) == 5 * 50 * 5
    drive = np.zeros((50, 40), np.float32)
    one, other = drive.copy(), drive.copy()
    draw_states(one, np.zeros(40, np.float32), "binary", pass_key(0, 0, 0))
    draw_states(other, np.zeros(40, np.float32), "binary", pass_key(0, 0, 1))
    assert 0.4 < (one == other).mean() < 0.6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_step_is_that_of_its_formula(dtype):
    rng = np.random.default_rng(0)
    parameter, velocity, gradient = (rng.standard_normal((7, 9)).astype(dtype) for _ in range(3))
    expected = 0.9 * velocity + 0.1 * gradient - 0.01 * parameter
    moved = parameter + expected
    step_with_momentum(parameter, velocity, gradient, 0.9, 0.1, 0.01)
    np.testing.assert_allclose(velocity, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parameter, moved, rtol=1e-5, atol=1e-6)
