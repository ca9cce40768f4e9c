"""Predictions beside steps of FISTA: how many they are worth, and when they are worth none."""

from __future__ import annotations

from typing import Any

import pytest

from striate.experiments import Results, load_experiment
from striate.experiments.convolutional.convolutional_lista import FEW_STEPS, STEPS

EXPERIMENT = load_experiment("convolutional-lista")


def measured(what: str, predicted: float) -> Any:
    """The objective of n steps from zeros is 1 + 1/(n + 1), and from the prediction 1 + (predicted − 1)/(n + 1)."""
    found = {
        "optimal": 1.0,
        "predicted": predicted,
        "empty": 2.0,
        "from 0": [1 + 1 / (n + 1) for n in STEPS["full"]],
        "from the prediction": [1 + (predicted - 1) / (n + 1) for n in STEPS["full"]],
    }
    units = EXPERIMENT.units("full")
    (figure,) = (figure for figure in EXPERIMENT.figures if figure.what == what)
    return figure.read(Results("full", units, {unit.name: found for unit in units}))


@pytest.mark.parametrize(
    ("predicted", "steps", "held"), [(2.5, 0, False), (1.5, 1, False), (1.3, 3, True), (1, 100, True)]
)
def test_a_prediction_is_worth_the_steps_that_are_as_good(predicted: float, steps: int, held: bool) -> None:
    found = measured("steps of FISTA from zeros that are as good as the prediction, tanh, 64 filters", predicted)
    assert (found.value, found.held) == (steps, held)


@pytest.mark.parametrize(("predicted", "held"), [(1.9, True), (2.1, False)])
def test_a_prediction_must_be_better_than_zeros_and_the_better_start(predicted: float, held: bool) -> None:
    over = measured("objective of the prediction over the optimal one, smooth shrinkage, 16 filters", predicted)
    assert (over.value, over.held) == (pytest.approx(predicted), held)
    what = f"distance to the optimal objective after {FEW_STEPS} steps from the prediction, over that from zeros"
    after = measured(f"{what}, tanh, 16 filters", predicted)
    assert (after.value, after.held) == (pytest.approx(predicted - 1), held)


def test_encoders_are_compared_by_what_they_leave_above_the_optimum() -> None:
    found = measured("distance to the optimal objective, smooth shrinkage over tanh, 16 filters", 1.4)
    assert (found.value, found.held) == (pytest.approx(1), False)
