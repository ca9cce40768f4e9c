from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.robot import GroundPlane
from striate.robot.world import Box, Texture, World, camera_pose, noise_texture
from tests.robot.scenes import CAMERA, seen, world

LEVEL = GroundPlane.from_angles(0, 0, 1.65)


def test_distances_by_hand() -> None:
    view = seen(LEVEL, [Box(0, 10, 2, 2, 1)])
    # The front of the box is 9 m away; its top, 0.65 m below the camera, is seen up to 11 m.
    front = round(CAMERA.cy + CAMERA.fy * 1.2 / 9)
    middle = round(CAMERA.cx)
    assert view.depth[front, middle] == pytest.approx(9)
    assert view.surface[front, middle] == 1
    top = round(CAMERA.cy + CAMERA.fy * 0.65 / 10)
    assert view.depth[top, middle] == pytest.approx(CAMERA.fy * 0.65 / (top - CAMERA.cy), rel=1e-5)
    ground = view.depth[180, 100]
    assert ground == pytest.approx(CAMERA.fy * 1.65 / (180 - CAMERA.cy), rel=1e-5)
    assert view.surface[180, 100] == 0
    assert view.surface[0, 0] == -1
    assert np.isinf(view.depth[0, 0])


@pytest.mark.parametrize("plane", [LEVEL, GroundPlane.from_angles(4, -5, 1.2)])
def test_the_plane_is_the_ground_of_the_view(plane: GroundPlane) -> None:
    view = seen(plane)
    heights = plane.height(CAMERA.points(np.where(view.surface >= 0, view.depth, np.nan)))
    assert np.abs(heights[(view.surface == 0) & (view.depth < 200)]).max() < 1e-3
    assert (heights[view.surface > 0] > -1e-3).all()
    assert heights[view.surface == 3].max() == pytest.approx(4, abs=0.05)


def test_both_cameras_see_one_world() -> None:
    """The right image, looked up at each pixel's disparity, is the left image."""
    view = seen(LEVEL)
    rows, columns = np.nonzero((view.depth < 30) & (view.surface >= 0))
    shifted = columns - CAMERA.fx * CAMERA.baseline / view.depth[rows, columns]
    good = shifted >= 0
    rows, columns, shifted = rows[good], columns[good], shifted[good]
    low = np.floor(shifted).astype(int)
    part = shifted - low
    found = (1 - part) * view.right[0, rows, low] + part * view.right[0, rows, low + 1]
    assert np.corrcoef(found, view.left[0, rows, columns])[0, 1] > 0.9
    assert np.median(np.abs(found - view.left[0, rows, columns])) < 0.02


def test_a_camera_that_moves_and_turns() -> None:
    there = world([Box(10, 0.001, 2, 2, 3)]).view(CAMERA, camera_pose(LEVEL, heading=np.pi / 2))
    middle = there.depth[round(CAMERA.cy), round(CAMERA.cx)]
    assert middle == pytest.approx(9, abs=0.01)
    nearer = world([Box(10, 0.001, 2, 2, 3)]).view(CAMERA, camera_pose(LEVEL, x=4, heading=np.pi / 2))
    assert nearer.depth[round(CAMERA.cy), round(CAMERA.cx)] == pytest.approx(5, abs=0.01)


def test_the_same_world_from_the_same_seed() -> None:
    np.testing.assert_array_equal(seen(LEVEL, seed=3).right, seen(LEVEL, seed=3).right)
    assert (seen(LEVEL, seed=3).left != seen(LEVEL, seed=4).left).any()


def test_worlds_that_cannot_be(rng: np.random.Generator) -> None:
    noise = noise_texture(rng)
    with pytest.raises(UsageError, match="boxes use the textures"):
        World([Box(0, 5, 1, 1, 1, texture=2)], [noise, noise])
    with pytest.raises(UsageError, match="grey"):
        World([], [noise, Texture(np.zeros((3, 4, 4)), 1.0)])
    with pytest.raises(UsageError, match="a texture of shape"):
        Texture(np.zeros((2, 4, 4)), 1.0)
