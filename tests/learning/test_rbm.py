"""Restricted Boltzmann machines against sums over all their states."""

from itertools import product

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import check_estimator

from striate.errors import UsageError
from striate.learning import RBM, annealed_log_partition, exact_log_partition


def _data(n_features: int = 6) -> np.ndarray:
    return (np.random.default_rng(0).random((300, n_features)) < 0.4).astype(np.float64)


def _states(n_units: int) -> np.ndarray:
    return np.array(list(product([0.0, 1.0], repeat=n_units)))


@pytest.mark.parametrize("visible", ["binary", "gaussian"])
def test_free_energy_is_the_sum_over_hidden_states(visible):
    machine = RBM(4, visible=visible, n_epochs=3, random_state=0).fit(_data())
    v, h = _data()[:5], _states(4)
    own = -v @ machine.visible_bias_ if visible == "binary" else ((v - machine.visible_bias_) ** 2).sum(axis=1) / 2
    energy = own[:, None] - h @ machine.hidden_bias_ - v @ machine.components_.T @ h.T
    np.testing.assert_allclose(machine.free_energy(v), -logsumexp(-energy, axis=1))


def test_exact_partition_is_the_sum_over_visible_states():
    machine = RBM(4, n_epochs=3, random_state=0).fit(_data())
    assert exact_log_partition(machine) == pytest.approx(logsumexp(-machine.free_energy(_states(6))))


@pytest.mark.parametrize("visible", ["binary", "gaussian"])
def test_annealing_finds_the_exact_partition(visible):
    machine = RBM(8, visible=visible, n_epochs=5, random_state=0).fit(_data(12))
    estimate = annealed_log_partition(machine, _data(12), n_temperatures=500, random_state=0)
    assert abs(estimate.value - exact_log_partition(machine)) < max(4 * estimate.error, 0.01)


@pytest.mark.parametrize("persistent", [False, True])
def test_the_same_seed_gives_the_same_machine(persistent):
    one, other = (RBM(4, persistent=persistent, n_epochs=2, random_state=0).fit(_data()) for _ in range(2))
    np.testing.assert_array_equal(one.components_, other.components_)


def test_state_round_trip():
    machine = RBM(4, n_epochs=1, random_state=0).fit(_data())
    again = RBM.from_state(*machine.to_state())
    np.testing.assert_array_equal(again.transform(_data()), machine.transform(_data()))


@pytest.mark.parametrize("value", [-0.5, 2.0])
def test_binary_units_refuse_values_outside_their_range(value):
    with pytest.raises(UsageError, match="values in"):
        RBM(4).fit(np.full((10, 3), value))


def test_scikit_learn_accepts_it():
    check_estimator(RBM(4, visible="gaussian", n_epochs=1, random_state=0), on_skip=None)


def test_annealing_is_near_enumeration_on_digits():
    digits = (load_digits().data[:1400] / 16 > 0.5).astype(np.float32)
    machine = RBM(20, learning_rate=0.05, n_epochs=30, random_state=0).fit(digits)
    estimate = annealed_log_partition(machine, digits, n_temperatures=1000, random_state=0)
    assert abs(estimate.value - exact_log_partition(machine)) < 0.1
