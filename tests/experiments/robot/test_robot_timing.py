"""Figures of the times of made-up frames."""

from __future__ import annotations

import pytest

from striate.experiments import Results, load_experiment
from striate.robot import PHASES

EXPERIMENT = load_experiment("robot-timing")


def test_times_are_medians_of_sums_over_phases() -> None:
    units = EXPERIMENT.units("full")
    assert len(units) == 4
    milliseconds = {phase: [10.0, 20.0, 90.0] for phase in PHASES}
    milliseconds["stereo"] = [100.0, 60.0, 50.0]
    found = Results("full", units, {unit.name: {"milliseconds": milliseconds} for unit in units})
    values = {figure.what: figure.read(found) for figure in EXPERIMENT.figures}
    assert len(values) == 8
    for what, measured in values.items():
        assert measured is not None
        expected = {"prep": 110.0, "onli": 20.0, "whol": 1000 / 140}[what.partition(": ")[2][:4]]
        assert measured.value == pytest.approx(expected)
