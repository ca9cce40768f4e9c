from __future__ import annotations

import pytest

from striate.experiments.codes.problem import equivalent_iterations

CURVE = [(1, 0.8), (2, 0.4), (4, 0.1)]


@pytest.mark.parametrize(
    ("error", "iterations"),
    [(0.8, 1), (0.9, 1), (0.4, 2), (0.2, 2 * 2**0.5), (0.1, 4), (0.01, 4)],
)
def test_iterations_are_interpolated_in_logarithms(error: float, iterations: float) -> None:
    assert equivalent_iterations(CURVE, error) == pytest.approx(iterations)
