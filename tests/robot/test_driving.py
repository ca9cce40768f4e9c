from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.robot import CostMap, GroundPose
from striate.robot.driving import Course, Driver, DriveResult, IdealSight, random_course
from striate.robot.world import Box

START, GOAL = GroundPose(0, 0, 0), (0.0, 30.0)
# A bay 8 m wide and 6 m long, whose back wall is 17 m ahead.
BAY = (Box(0, 17, 8, 0.6, 1.5), Box(-4, 14, 0.6, 6, 1.5), Box(4, 14, 0.6, 6, 1.5))


def sight(boxes: tuple[Box, ...], reach: float) -> IdealSight:
    return IdealSight(boxes, reach, side=60, cell=0.5, center=(0, 15))


def driven(boxes: tuple[Box, ...], reach: float) -> DriveResult:
    return Driver(patience=100)(Course(boxes, START, GOAL), sight(boxes, reach))


def test_a_free_way_by_hand() -> None:
    """30 m at 1.2 m/s, to 1 m before the goal."""
    found = driven((), 12)
    assert found.reached
    assert found.distance == pytest.approx(29, abs=0.31)
    assert found.time == pytest.approx(29 / 1.2, abs=0.26)
    assert np.isnan(found.response_distance)
    assert not found.n_bumps
    assert np.abs(found.track[0]).max() < 0.3


def test_who_sees_far_avoids_a_dead_end_earlier() -> None:
    near, far = driven(BAY, 6), driven(BAY, 40)
    assert near.reached
    assert far.reached
    assert far.response_distance == pytest.approx(16.7, abs=0.1)  # at once: its back wall is seen from the start
    assert near.response_distance <= 6
    assert far.time < near.time
    assert far.distance < near.distance
    for found in (near, far):
        for box in BAY:
            away = np.hypot(
                np.maximum(0, np.abs(found.track[0] - box.x) - box.width / 2),
                np.maximum(0, np.abs(found.track[1] - box.z) - box.depth / 2),
            )
            assert away.min() >= 0.6


def test_who_sees_nothing_runs_into_things_and_finds_a_way() -> None:
    """A blind robot learns by touch."""
    box = (Box(0, 8, 2, 1, 1.5),)

    def blind(pose: GroundPose) -> CostMap:
        nothing = np.full((120, 120), np.nan, np.float32)
        return CostMap(nothing, np.zeros_like(nothing), 0.5, (-30.0, -15.0), pose)

    found = Driver(patience=100)(Course(box, START, GOAL), blind)
    assert found.n_bumps >= 1
    assert found.response_distance == 0
    assert found.reached


def test_a_goal_that_cannot_be_reached() -> None:
    walls = (Box(0, 5, 10, 0.6, 1), Box(0, -5, 10, 0.6, 1), Box(-5, 0, 0.6, 10, 1), Box(5, 0, 0.6, 10, 1))
    found = Driver(patience=20)(Course(walls, START, GOAL), sight(walls, 12))
    assert not found.reached
    assert found.time == 20
    assert np.abs(found.track).max() < 5


def test_what_an_obstacle_hides_is_unknown() -> None:
    seen = sight((Box(0, 10, 4, 1, 2),), 20)(START)
    assert seen.at(0.0, 9.7) == 1
    assert seen.at(0.0, 5.0) == 0
    assert np.isnan(seen.at(0.0, 15.0))
    assert np.isnan(seen.at(0.0, -5.0))  # behind the robot
    assert seen.at(8.0, 14.0) == 0
    assert np.isnan(sight((), 12)(START).at(0.0, 13.0))


def test_courses_repeat_with_their_seed() -> None:
    assert random_course(3) == random_course(3)
    assert random_course(3) != random_course(4)
    assert len(random_course(0, dead_end=False, n_boxes=0).boxes) == 0
    for seed in range(20):
        course = random_course(seed)
        assert all(np.hypot(box.x, box.z) > 3 for box in course.boxes)
    first, second = (driven(BAY, 12) for _ in range(2))
    np.testing.assert_array_equal(first.track, second.track)


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match="starts in an obstacle"):
        driven((Box(0, 0, 1, 1, 1),), 12)
    with pytest.raises(UsageError, match="speed of a driver"):
        Driver(speed=0)
    with pytest.raises(UsageError, match="reach of a sight"):
        IdealSight((), 0)
