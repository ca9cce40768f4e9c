from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from striate.errors import UsageError
from striate.learning import RandomFilters


@parametrize_with_checks([RandomFilters()])
def test_scikit_learn_contract(estimator: RandomFilters, check: Any) -> None:
    check(estimator)


def test_filters_have_no_mean_and_unit_norm(rng: np.random.Generator) -> None:
    patches = 3 * rng.standard_normal((200, 27), dtype=np.float32) + 5
    learner = RandomFilters(n_components=40, random_state=0).fit(patches)
    np.testing.assert_allclose(learner.encoder_.mean(axis=1), 0, atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(learner.encoder_, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(learner.components_, learner.encoder_)
    assert learner.encoder_.dtype == np.float32
    assert learner.scale_ == pytest.approx(3, rel=0.05)


def test_has_the_interface_of_a_learner(rng: np.random.Generator) -> None:
    patches = 3 * rng.standard_normal((200, 12)) + 5
    learner = RandomFilters(n_components=7, random_state=1).partial_fit(patches[:100]).partial_fit(patches)
    filters, bias, gain = learner.convolution_filters()
    codes = learner.transform(patches)
    np.testing.assert_allclose(gain * np.tanh(patches @ filters.T + bias), codes, atol=1e-12)
    again = RandomFilters.from_state(*learner.to_state())
    np.testing.assert_array_equal(again.transform(patches), codes)
    assert learner.inverse_transform(learner.infer(patches)).shape == patches.shape
    with pytest.raises(UsageError, match="n_components"):
        RandomFilters(0).fit(patches)
