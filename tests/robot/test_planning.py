from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.robot import CostMap, GroundPose
from striate.robot.planning import Planner, pure_pursuit

HERE = GroundPose(0.5, 0.5, 0)


def costs(cost: np.ndarray, pose: GroundPose = HERE) -> CostMap:
    """A map of cells of 1 m whose first corner is the origin."""
    return CostMap(cost.astype(np.float32), np.ones(cost.shape, np.float32), 1.0, (0.0, 0.0), pose)


def length(path: np.ndarray) -> float:
    return float(np.hypot(*np.diff(path, axis=1)).sum())


def test_the_straight_way_over_free_ground() -> None:
    path = Planner()(costs(np.zeros((10, 10))), (0.5, 8.5))
    np.testing.assert_allclose(path, [np.full(9, 0.5), np.arange(0.5, 9)])
    diagonal = Planner()(costs(np.zeros((10, 10))), (8.5, 8.5))
    assert length(diagonal) == pytest.approx(8 * np.sqrt(2))


def test_around_a_wall_by_hand() -> None:
    """A wall of one cell's thickness with a gap at its right end: the way leads through the gap."""
    wall = np.zeros((11, 11))
    wall[5, :9] = 1
    path = Planner(radius=0.0, margin=0.0)(costs(wall), (0.5, 10.5))
    assert not any(wall[int(z), int(x)] for x, z in path.T)
    assert any((x, z) == (9.5, 5.5) for x, z in path.T)
    # At least as long as the two straight lines around the end, at most as the way along cells.
    assert 2 * np.hypot(8, 5) < length(path) < 2 * np.hypot(9, 5) * 1.09
    # Without a gap there is still a path: the map may be wrong.
    wall[5] = 1
    assert length(Planner(radius=0.0, margin=0.0)(costs(wall), (0.5, 10.5))) == pytest.approx(10)


def test_robots_keep_away_from_obstacles() -> None:
    field = np.zeros((21, 21))
    field[10, 10] = 1
    start = GroundPose(10.5, 0.5, 0)
    for radius in (0.5, 1.5, 2.5):
        path = Planner(radius=radius, margin=0.0)(costs(field, start), (10.5, 20.5))
        away = np.hypot(path[0] - 10.5, path[1] - 10.5).min() - 0.5
        assert radius <= away < radius + 1.5
    near = Planner(radius=0.5, margin=0.0)(costs(field, start), (10.5, 20.5))
    far = Planner(radius=0.5, margin=4.0)(costs(field, start), (10.5, 20.5))
    assert np.hypot(far[0] - 10.5, far[1] - 10.5).min() > np.hypot(near[0] - 10.5, near[1] - 10.5).min()


def test_known_ground_is_better_than_unknown_ground() -> None:
    field = np.zeros((11, 11))
    field[2:9, 3:8] = np.nan
    path = Planner(unknown=0.9, threshold=1.0)(costs(field, GroundPose(5.5, 0.5, 0)), (5.5, 10.5))
    assert np.isfinite([field[int(z), int(x)] for x, z in path.T]).all()
    everything = Planner()(costs(np.full((11, 11), np.nan), GroundPose(5.5, 0.5, 0)), (5.5, 10.5))
    assert length(everything) == pytest.approx(10)


def test_a_goal_outside_of_the_map() -> None:
    path = Planner()(costs(np.zeros((10, 10))), (100.5, 100.5))
    np.testing.assert_allclose(path[:, -1], [9.5, 9.5])
    behind = Planner()(costs(np.zeros((10, 10)), GroundPose(5.5, 5.5, 0)), (5.5, -50))
    np.testing.assert_allclose(behind[:, -1], [5.5, 0.5])
    with pytest.raises(UsageError, match="outside of its map"):
        Planner()(costs(np.zeros((10, 10)), GroundPose(-3, 5, 0)), (5, 5))


def test_pure_pursuit_by_hand() -> None:
    """The arc to a point: curvature 2 · (meters to the right) / distance²."""
    straight = np.array([[0.0, 0, 0, 0], [0.0, 1, 2, 3]])
    assert pure_pursuit(GroundPose(0, 0, 0), straight) == 0
    assert pure_pursuit(GroundPose(-0.5, 0, 0), straight, lookahead=2) == pytest.approx(2 * 0.5 / (0.25 + 4))
    right = np.array([[0.0, 2.0], [0.0, 0.0]])
    assert pure_pursuit(GroundPose(0, 0, 0), right) == pytest.approx(1.0)  # a half circle of radius 1
    assert pure_pursuit(GroundPose(0, 0, np.pi / 2), right) == pytest.approx(0, abs=1e-12)
    left = pure_pursuit(GroundPose(0, 0, 0), -right)
    assert left == pytest.approx(-1.0)
    assert pure_pursuit(GroundPose(0, 3, 0), straight) == 0  # the path ends where the robot is


def test_the_arc_of_pure_pursuit_meets_its_point(rng: np.random.Generator) -> None:
    for _ in range(20):
        x, z, heading = rng.uniform(-3, 3, 3)
        pose = GroundPose(x, z, heading)
        point = pose.to_world(np.array([[rng.uniform(-2, 2)], [rng.uniform(0.5, 3)]]))
        curvature = pure_pursuit(pose, np.concatenate([[[pose.x], [pose.z]], point], axis=1), lookahead=0.1)
        radius = 1 / curvature
        center = pose.to_world(np.array([[radius], [0.0]]))
        assert np.hypot(*(point - center))[0] == pytest.approx(abs(radius))


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match="radius of a planner"):
        Planner(radius=-1)
    with pytest.raises(UsageError, match="lookahead"):
        pure_pursuit(GroundPose(0, 0, 0), np.zeros((2, 2)), lookahead=0)
