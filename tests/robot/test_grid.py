from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.robot import GroundGrid, GroundPlane, GroundPose, ground_pose
from striate.robot.world import camera_pose

HERE = GroundPose(0, 0, 0)
CLEAR, FOOT, TREE = np.eye(5)[[0, 2, 4]]


def cost(grid: GroundGrid, pose: GroundPose, right: float, ahead: float) -> float:
    """Cost at a place before the robot."""
    return float(grid.cost_map().at(*pose.to_world(np.array([right, ahead]))))


def test_poses_on_the_ground() -> None:
    plane = GroundPlane.from_angles(3, -4, 1.5)
    pose = ground_pose(camera_pose(plane, x=2, z=-7, heading=0.6), plane)
    np.testing.assert_allclose(pose, (2, -7, 0.6), atol=1e-12)
    right = GroundPose(1, 2, np.pi / 2)  # it looks along x
    np.testing.assert_allclose(right.to_world(np.array([[0.0, 1.0], [3.0, 0.0]])), [[4, 1], [2, 1]], atol=1e-12)


def test_one_frame() -> None:
    grid = GroundGrid(reach=40, cell=0.5)
    grid.update(HERE, np.array([[0.2, 5.2], [10.2, 20.2]]), np.stack([CLEAR, 0.25 * CLEAR + 0.75 * TREE]))
    assert cost(grid, HERE, 0.2, 10.2) == 0
    assert cost(grid, HERE, 5.2, 20.2) == 0.75
    assert np.isnan(cost(grid, HERE, 0.2, 20.2))
    assert np.isnan(cost(grid, HERE, 500, 20.2))
    found = grid.cost_map()
    assert found.cost.shape == (160, 160)
    assert found.cost.dtype == np.float32
    assert np.count_nonzero(np.isfinite(found.cost)) == 2
    np.testing.assert_array_equal(found.places[:, found.cost == 0][:, 0], [0.25, 10.25])
    assert found.weight.sum() == 2


def test_frames_are_averaged_by_weight_and_age() -> None:
    """By hand: weights 1 · ½ and 3, costs 1 and 0."""
    grid = GroundGrid(keep=0.5)
    place = np.array([[0.2], [10.2]])
    grid.update(HERE, place, FOOT[None], 1.0)
    grid.update(HERE, place, CLEAR[None], 3.0)
    assert cost(grid, HERE, 0.2, 10.2) == pytest.approx(0.5 / 3.5)
    assert grid.cost_map().weight.max() == 3.5
    for _ in range(5):
        grid.update(HERE, np.empty((2, 0)), np.empty((0, 5)))
    assert np.isnan(cost(grid, HERE, 0.2, 10.2))  # forgotten: 3.5 / 32 is less than 0.2


def test_many_windows_on_one_cell_are_no_surer_than_one() -> None:
    grid = GroundGrid()
    grid.update(HERE, np.array([[0.1, 0.2, 0.3], [10.1, 10.2, 10.3]]), np.stack([CLEAR, TREE, TREE]))
    assert cost(grid, HERE, 0.2, 10.2) == pytest.approx(2 / 3)
    assert grid.cost_map().weight.max() == pytest.approx(1)


@pytest.mark.parametrize("heading", [0, 0.5, -2])
def test_places_stay_while_the_robot_moves(heading: float) -> None:
    """A robot that drives 300 m and turns sees a tree before it in each frame; each is where it was seen."""
    grid = GroundGrid(keep=1.0)
    trees = []
    for step in range(60):
        way = 5.0 * step
        pose = GroundPose(3 + way * np.sin(heading), -5 + way * np.cos(heading), heading + 0.3 * np.sin(step))
        trees.append(pose.to_world(np.array([2.2, 15.2])))
        grid.update(pose, np.array([[2.2], [15.2]]), TREE[None])
        found = grid.cost_map()
        assert found.pose == pose
        near = [tree for tree in trees if np.hypot(tree[0] - pose.x, tree[1] - pose.z) < 40]
        assert all(found.at(*tree) == 1 for tree in near)
        assert np.count_nonzero(np.isfinite(found.cost)) <= len(trees)
        # The map reaches at least 48 m in every direction: the robot is near its middle.
        corner = np.array([found.corner, np.add(found.corner, 128)])
        assert np.abs(corner - [pose.x, pose.z]).min() >= 47


def test_nothing_known_is_no_cost() -> None:
    found = GroundGrid().cost_map()
    assert np.isnan(found.cost).all()
    assert not found.weight.any()
    far = GroundPose(1e6, -1e6, 1.0)
    grid = GroundGrid()
    grid.update(HERE, np.array([[0.2], [10.2]]), CLEAR[None])
    grid.update(far, np.array([[0.2], [10.2]]), TREE[None])
    assert np.count_nonzero(np.isfinite(grid.cost_map().cost)) == 1
    assert cost(grid, far, 0.2, 10.2) == 1


def test_wrong_use() -> None:
    grid = GroundGrid()
    with pytest.raises(UsageError, match="a grid needs"):
        grid.update(HERE, np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(UsageError, match="finite"):
        grid.update(HERE, np.array([[np.nan], [1]]), CLEAR[None])
    with pytest.raises(UsageError, match="cell of a ground grid"):
        GroundGrid(cell=0)
