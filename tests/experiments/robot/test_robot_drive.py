"""The simulated robot's sight, and figures of made-up drives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.experiments import Results, load_experiment
from striate.experiments.robot.robot_drive import ALL, FAR, SHUFFLED, STEREO, Sight, rendered
from striate.robot import Box, Course, GroundPose

EXPERIMENT = load_experiment("robot-drive")


def test_a_robot_sees_a_box_and_the_ground_before_it() -> None:
    start = GroundPose(3.0, -2.0, 0.2)
    sight = Sight(rendered(Course((Box(5.0, 7.0, 3.0, 1.0, 1.5),), start, (0.0, 60.0))), None)
    seen = sight(start)
    assert seen.at(4.9, 6.6) > 0.8
    assert seen.at(4.0, 3.5) < 0.2
    assert np.isnan(seen.at(5.5, 16.0))  # beyond stereo, and behind the box
    for _ in range(3):
        assert sight(start._replace(x=3.1)).pose.x == 3.1
    assert sight.look(start).pose.x == pytest.approx(3.0)


def measured(**changed: Any) -> list[Any]:
    """Stereo alone drives into every bay, and needs longer on courses with an odd number."""
    units = EXPERIMENT.units("full")
    finished = {}
    for unit in units:
        odd = unit.settings["course"] % 2
        drives = {
            STEREO: {"time": 90.0, "distance": 100.0 + odd, "response": 4.0, "bumps": 0},
            FAR: {"time": 90.0 - 20 * odd, "distance": 80.0 - odd, "response": 10.0, "bumps": 1} | changed,
            SHUFFLED: {"time": 95.0, "distance": 100.0, "response": 9.0, "bumps": 0},
            ALL: {"time": 60.0 + odd, "distance": 70.0, "response": 20.0, "bumps": 0},
        }
        finished[unit.name] = drives
    return [figure.read(Results("full", units, finished)) for figure in EXPERIMENT.figures]


def test_figures_of_drives() -> None:
    response, sooner, distance, shuffled, ideal, bumps = measured()
    assert (response.value, response.n) == (2.5, 50)
    assert response.uncertainty == pytest.approx(0)
    assert sooner.value == pytest.approx(50)
    assert distance.value == pytest.approx(21)
    assert distance.held
    assert shuffled.value == pytest.approx(95 - 80)
    assert shuffled.held
    assert ideal.value == pytest.approx(90 - 10 - 60.5)
    assert ideal.held
    assert bumps.value == 1
    assert not measured(distance=101.0)[2].held
