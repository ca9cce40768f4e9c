"""What is compared between filters by convolution and of patches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.experiments import Results, load_experiment

EXPERIMENT = load_experiment("convolutional-filters")


def finished(dead: int = 0) -> dict[str, Any]:
    counts = np.zeros(100, int)
    counts[[10, 80]] = 3, 1
    of_patches = {"largest correlations": [0.8] * 64, "pairs": counts[::-1].tolist(), "kinds": ["edge or bar"] * 64}
    kinds = ["edge or bar"] * 40 + ["center-surround"] * 4 + ["other"] * 20
    found: dict[str, Any] = {
        unit.name: {"largest correlations": [0.6] * 64, "pairs": counts.tolist(), "kinds": kinds, "dead": 0}
        for unit in EXPERIMENT.units("full")
    }
    found["convolutional, 8 filters"]["dead"] = dead
    return {**found, "patches": of_patches}


def measured(start: str, found: dict[str, Any]) -> Any:
    (figure,) = (figure for figure in EXPERIMENT.figures if figure.what.startswith(start))
    return figure.read(Results("full", EXPERIMENT.units("full"), found))


def test_the_largest_number_by_convolution_is_compared_with_patches() -> None:
    assert measured("mean of the largest correlation", finished()).value == pytest.approx(0.2)
    pairs = measured("pairs", finished())
    assert (pairs.value, pairs.held) == (pytest.approx(25 - 75), True)
    assert measured("center-surround", finished()).value == 4
    kinds = measured("effective number of kinds", finished())
    assert kinds.held
    assert 1 < kinds.value < 2


def test_dead_filters_of_all_numbers_count() -> None:
    assert measured("dead", finished()).value == 0
    assert measured("dead", finished(dead=2)).value == 2
