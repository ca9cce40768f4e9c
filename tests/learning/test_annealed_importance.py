"""Annealed importance sampling against enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.datasets import load_digits

from striate.errors import UsageError
from striate.learning import RBM, annealed_log_partition, exact_log_partition


def _data(n_features: int = 6) -> np.ndarray:
    return (np.random.default_rng(0).random((300, n_features)) < 0.4).astype(np.float64)


def test_exact_partition_is_the_sum_over_visible_states():
    machine = RBM(4, n_epochs=3, random_state=0).fit(_data())
    states = np.array(list(product([0.0, 1.0], repeat=6)))
    assert exact_log_partition(machine) == pytest.approx(logsumexp(-machine.free_energy(states)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("visible", ["binary", "gaussian"])
def test_annealing_finds_the_exact_partition(visible, dtype):
    data = _data(12).astype(dtype)
    machine = RBM(8, visible=visible, n_epochs=5, random_state=0).fit(data)
    estimate = annealed_log_partition(machine, data, n_temperatures=500, random_state=0)
    assert abs(estimate.value - exact_log_partition(machine)) < max(4 * estimate.error, 0.01)


def test_annealing_is_near_enumeration_on_digits():
    digits = (load_digits().data[:1400] / 16 > 0.5).astype(np.float32)
    machine = RBM(20, learning_rate=0.05, n_epochs=30, random_state=0).fit(digits)
    estimate = annealed_log_partition(machine, digits, n_temperatures=1000, random_state=0)
    assert abs(estimate.value - exact_log_partition(machine)) < 0.1


def test_what_cannot_be_computed_is_told():
    with pytest.raises(UsageError, match="annealed_log_partition"):
        exact_log_partition(RBM(23, n_epochs=1, random_state=0).fit(_data()))
    with pytest.raises(UsageError, match="linear"):
        annealed_log_partition(RBM(3, hidden="linear", n_epochs=1, random_state=0).fit(_data()), _data())
