from __future__ import annotations

import numpy as np
import pytest

from striate.analysis.optimal_stimuli import grating_share, optimal_stimuli
from striate.errors import UsageError
from striate.hierarchy import FilterBank, Hierarchy


def test_gratings_are_told_from_noise(rng: np.random.Generator) -> None:
    y, x = np.mgrid[:28, :28]
    gratings = np.stack([np.cos(0.9 * x + 0.4 * y), np.sin(0.3 * x - 1.2 * y)])
    assert grating_share(gratings).min() > 0.9
    assert grating_share(rng.standard_normal((50, 28, 28))).max() < 0.25


def test_the_best_stimulus_of_a_linear_unit_is_its_filter(rng: np.random.Generator) -> None:
    pytest.importorskip("torch")
    filters = 1e-3 * rng.standard_normal((4, 1, 7, 7), dtype=np.float32)  # in the tangent's straight part
    filters -= filters.mean(axis=(2, 3), keepdims=True)
    hierarchy = Hierarchy([FilterBank(4, (7, 7)).with_filters(filters)])
    found = optimal_stimuli(hierarchy, (1, 7, 7), n_steps=100)
    np.testing.assert_allclose((found.stimuli**2).mean(axis=(1, 2, 3)), 1, rtol=1e-4)
    for stimulus, one in zip(found.stimuli, filters, strict=True):
        assert np.corrcoef(stimulus.ravel(), one.ravel())[0, 1] > 0.99
    assert (found.responses[-1] > found.responses[0]).all()


def test_a_stimulus_that_is_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 9 pixels"):
        optimal_stimuli(Hierarchy("4F9x9"), (1, 5, 5))
