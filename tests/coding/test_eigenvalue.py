from __future__ import annotations

import numpy as np
import pytest

from striate.coding.eigenvalue import TrackedEigenvalue, largest_eigenvalue


def gram_of(dictionary: np.ndarray) -> np.ndarray:
    return dictionary @ dictionary.T


def test_largest_eigenvalue_is_the_squared_spectral_norm(rng: np.random.Generator) -> None:
    dictionary = rng.standard_normal((9, 5))
    expected = np.linalg.norm(dictionary, ord=2) ** 2
    assert largest_eigenvalue(gram_of(dictionary)) == pytest.approx(expected)
    assert largest_eigenvalue(gram_of(dictionary.astype(np.float32))) == pytest.approx(expected, rel=1e-5)
    assert largest_eigenvalue(np.zeros((3, 3))) == 0


def test_tracking_stays_above_a_dictionary_that_drifts(rng: np.random.Generator) -> None:
    dictionary = rng.standard_normal((40, 20), dtype=np.float32)
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    tracked = TrackedEigenvalue()
    ratios = []
    for _ in range(300):
        dictionary += 0.02 * rng.standard_normal(dictionary.shape, dtype=np.float32)
        dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
        ratios.append(tracked.update(gram_of(dictionary)) / largest_eigenvalue(gram_of(dictionary)))
    assert min(ratios) > 0.95  # with the margin of FISTA, far from divergence
    assert max(ratios) < 1.0501


def test_correct_is_exact_after_an_abrupt_change(rng: np.random.Generator) -> None:
    tracked = TrackedEigenvalue(margin=1.0)
    tracked.update(np.diag([3.0, 1.0, 0.5]))
    changed = np.diag([1.0, 7.0, 0.5])
    assert tracked.update(changed) < 7  # the power iteration still looks the other way
    assert tracked.correct(changed) == pytest.approx(7)
    assert tracked.update(changed) == pytest.approx(7)
    assert tracked.update(np.zeros((3, 3))) == 0
