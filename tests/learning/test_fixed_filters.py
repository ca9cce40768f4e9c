from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from striate.errors import UsageError
from striate.learning import GaborFilters, RandomFilters, TemplateFilters
from striate.learning.gabor_filters import gabor_family


@parametrize_with_checks([RandomFilters(), TemplateFilters()])
def test_scikit_learn_contract(estimator: RandomFilters, check: Any) -> None:
    check(estimator)


def test_filters_have_no_mean_and_unit_norm(rng: np.random.Generator) -> None:
    patches = 3 * rng.standard_normal((200, 27), dtype=np.float32) + 5
    learner = RandomFilters(n_components=40, random_state=0).fit(patches)
    np.testing.assert_allclose(learner.encoder_.mean(axis=1), 0, atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(learner.components_, axis=1), 1, rtol=1e-6)
    ratio = learner.encoder_ / learner.components_
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-4)
    seen = np.arctanh(learner.transform(patches).astype(np.float64))
    assert np.sqrt(np.square(seen).mean()) == pytest.approx(learner.RESPONSE, rel=1e-3)
    assert learner.encoder_.dtype == np.float32
    assert learner.scale_ == pytest.approx(3, rel=0.05)


def test_has_the_interface_of_a_learner(rng: np.random.Generator) -> None:
    patches = 3 * rng.standard_normal((200, 12)) + 5
    learner = RandomFilters(n_components=7, random_state=1).partial_fit(patches[:100]).partial_fit(patches)
    filters, bias, gain, *_ = learner.convolution_filters()
    codes = learner.transform(patches)
    np.testing.assert_allclose(gain * np.tanh(patches @ filters.T + bias), codes, atol=1e-12)
    again = RandomFilters.from_state(*learner.to_state())
    np.testing.assert_array_equal(again.transform(patches), codes)
    assert learner.inverse_transform(learner.infer(patches)).shape == patches.shape
    with pytest.raises(UsageError, match="n_components"):
        RandomFilters(0).fit(patches)


def test_templates_are_patches(rng: np.random.Generator) -> None:
    patches = rng.standard_normal((30, 12)) + 5
    learner = TemplateFilters(7, random_state=0).fit(patches)
    centered = patches - patches.mean(axis=1, keepdims=True)
    centered /= np.linalg.norm(centered, axis=1, keepdims=True)
    cosines = learner.components_ @ centered.T
    np.testing.assert_allclose(cosines.max(axis=1), 1)
    assert len(set(cosines.argmax(axis=1))) == 7  # different ones


def test_a_gabor_prefers_the_grating_that_it_is_made_for(rng: np.random.Generator) -> None:
    learner = GaborFilters(64).fit(rng.standard_normal((200, 81), dtype=np.float32))
    np.testing.assert_allclose(np.linalg.norm(learner.components_, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(learner.components_.mean(axis=1), 0, atol=1e-7)
    filters = learner.components_.reshape(4, 8, 2, 9, 9)
    y, x = np.mgrid[:9, :9] - 4
    for which, wavelength in ((0, 3.0), (1, 3.0 * 3 ** (1 / 3))):
        for orientation in range(8):
            angle = np.pi * np.arange(8)[:, None, None] / 8
            gratings = np.exp(2j * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / wavelength)
            even, odd = filters[which, orientation]
            strength = np.abs((gratings * (even - 1j * odd)).sum(axis=(1, 2)))
            assert strength.argmax() == orientation
    even, odd = gabor_family(9, 8, 4).reshape(4, 8, 2, 9, 9).transpose(2, 0, 1, 3, 4)
    np.testing.assert_allclose(even, even[..., ::-1, ::-1])
    np.testing.assert_allclose(odd, -odd[..., ::-1, ::-1])


def test_a_family_of_gabors_that_is_impossible_is_refused() -> None:
    with pytest.raises(UsageError, match="multiple of 16"):
        GaborFilters(20).fit(np.ones((5, 81)))
    with pytest.raises(UsageError, match="square patches of one channel"):
        GaborFilters(64).fit(np.ones((5, 27)))
