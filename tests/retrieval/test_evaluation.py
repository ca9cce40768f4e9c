from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from striate.errors import UsageError
from striate.retrieval import average_precision, curves_against_exact, precision_at


def test_curves_by_hand() -> None:
    curves = curves_against_exact(np.array([[5, 1, 2], [9, 8, -1]]), np.array([[1, 2], [8, 7]]))
    np.testing.assert_allclose(curves.recall, [0, 0.5, 0.75])
    np.testing.assert_allclose(curves.precision, [0, 0.5, 0.5])
    with pytest.raises(UsageError, match="one row per query"):
        curves_against_exact(np.zeros((2, 3), np.int64), np.zeros((1, 3), np.int64))


@pytest.mark.parametrize("levels", [1000, 6])  # without ties, and with many
def test_average_precision_is_that_of_scikit_learn(levels: int, rng: np.random.Generator) -> None:
    distances = rng.integers(0, levels, (5, 200))
    relevant = rng.random((5, 200)) > 0.8
    expected = [average_precision_score(own, -row) for own, row in zip(relevant, distances, strict=True)]
    np.testing.assert_allclose(average_precision(distances, relevant), expected)
    assert average_precision(distances[:1], np.zeros((1, 200), bool)) == [0]


def test_precision() -> None:
    np.testing.assert_allclose(precision_at(np.array([[True, False], [True, True]])), [0.5, 1])
