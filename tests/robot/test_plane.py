from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.robot import GroundPlane


@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (5, 0), (0, 7), (-3, 4), (20, -15)])
def test_angles_come_back(pitch: float, roll: float) -> None:
    plane = GroundPlane.from_angles(pitch, roll, 1.6)
    assert plane.pitch == pytest.approx(pitch, abs=1e-9)
    assert plane.roll == pytest.approx(roll, abs=1e-9)
    turn = plane.leveling()
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(turn @ plane.up, [0, -1, 0], atol=1e-12)


def test_a_level_camera() -> None:
    plane = GroundPlane((0, -1, 0), 1.5)
    points = np.array([[0.0, 1, -2], [1.5, 0.5, 2.5], [5, 10, 20]])
    np.testing.assert_allclose(plane.height(points), [0, 1, -1])
    np.testing.assert_allclose(plane.place(points), points[[0, 2]])


def test_a_camera_that_looks_down_sees_the_ground_straight_ahead() -> None:
    plane = GroundPlane.from_angles(30, 0, 1.5)
    point = np.array([[0.0], [0.0], [3.0]])  # 1.5 / sin 30°
    assert plane.height(point) == pytest.approx(0)
    np.testing.assert_allclose(plane.place(point)[:, 0], [0, 3 * np.cos(np.deg2rad(30))], atol=1e-12)


def test_a_camera_turned_clockwise_has_its_right_side_nearer_to_the_ground() -> None:
    plane = GroundPlane.from_angles(0, 10, 1.5)
    left, right = plane.height(np.array([[-1.0, 1.0], [0, 0], [5, 5]]))
    assert left > 1.5 > right


@pytest.mark.parametrize(
    ("up", "height"), [((0, 1, 0), 1.0), ((0, 0, 0), 1.0), ((0, -1, 0), 0.0), ((0, np.nan, 0), 1.0)]
)
def test_impossible_ground(up: tuple[float, float, float], height: float) -> None:
    with pytest.raises(UsageError, match="ground plane"):
        GroundPlane(up, height)
