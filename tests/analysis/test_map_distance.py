"""Differences of units by distance, beside a loop over all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from striate.analysis import difference_with_distance
from striate.errors import UsageError


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("period", [np.pi, None])
def test_it_equals_a_loop(periodic: bool, period: float | None, rng: np.random.Generator) -> None:
    values = rng.uniform(0, 3, (7, 9))
    values[2, 3] = np.nan
    at_most = 3
    found = difference_with_distance(values, period=period, periodic=periodic, at_most=at_most)
    places = np.argwhere(np.isfinite(values))
    sums, counts, squares, everything = np.zeros(4), np.zeros(4), np.zeros(4), []
    for i, one in enumerate(places):
        for other in places[:i]:
            away = abs(values[tuple(one)] - values[tuple(other)])
            if period:
                away = min(away % period, period - away % period)
            everything.append(away)
            step = np.abs(one - other)
            if periodic:
                step = np.minimum(step, np.array([7, 9]) - step)
            distance = int(np.floor(np.hypot(*step) + 0.5))
            if distance <= at_most:
                sums[distance] += away
                squares[distance] += np.cos(2 * np.pi * away / period) if period else away**2
                counts[distance] += 1
    np.testing.assert_array_equal(found.n_pairs, counts[1:])
    np.testing.assert_allclose(found.difference, sums[1:] / counts[1:])
    expected = squares[1:] / counts[1:]
    if not period:
        expected = 1 - expected / (2 * values[np.isfinite(values)].var())
    np.testing.assert_allclose(found.correlation, expected)
    assert found.unrelated == pytest.approx(np.mean(everything))


def test_shuffled_units_have_the_difference_of_all_pairs(rng: np.random.Generator) -> None:
    values = np.add.outer(np.arange(20), np.arange(20)) * 0.05
    ordered = difference_with_distance(values, period=np.pi)
    random = difference_with_distance(rng.permutation(values.ravel()).reshape(20, 20), period=np.pi)
    assert ordered.difference[0] < 0.15 * ordered.unrelated
    np.testing.assert_allclose(random.difference, random.unrelated, rtol=0.1)
    np.testing.assert_allclose(random.correlation, np.abs(np.exp(2j * values).mean()) ** 2, atol=0.1)
    assert random.unrelated == pytest.approx(ordered.unrelated)


def test_a_line_of_units_and_what_is_too_small() -> None:
    found = difference_with_distance(np.arange(6.0)[None], at_most=9)
    np.testing.assert_array_equal(found.difference[:5], [1, 2, 3, 4, 5])
    assert np.isnan(found.difference[5:]).all()
    assert (found.n_pairs == [5, 4, 3, 2, 1, 0, 0, 0, 0]).all()
    with pytest.raises(UsageError, match="at least two"):
        difference_with_distance(np.full((3, 3), np.nan))
