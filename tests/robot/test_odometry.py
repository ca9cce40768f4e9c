from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from striate.errors import UsageError
from striate.robot import GroundPlane, StereoMatcher, StereoSequence, VisualOdometry
from striate.robot.world import Box, camera_pose
from tests.robot.scenes import BOXES, CAMERA, disparity_of, world

PLANE = GroundPlane.from_angles(0.5, 1, 1.65)
# Houses along the road: what is far tells how the camera turned.
SCENE = world([*BOXES, *(Box(side * 11, z, 3, 6, 6) for side in (-1, 1) for z in (12, 20, 28, 36))])


def turned(motion: np.ndarray) -> float:
    return float(np.rad2deg(np.arccos(np.clip((np.trace(motion[:3, :3]) - 1) / 2, -1, 1))))


@pytest.mark.parametrize(("x", "z", "heading"), [(0, 1.0, 0), (0.1, 0.8, 3), (-0.1, 1.2, -2), (0, 0, 0)])
def test_a_known_motion(x: float, z: float, heading: float) -> None:
    before, now = camera_pose(PLANE), camera_pose(PLANE, x, z, np.deg2rad(heading))
    first, second = SCENE.view(CAMERA, before), SCENE.view(CAMERA, now)
    motion = VisualOdometry()(first.left, disparity_of(first), second.left, CAMERA)
    assert motion is not None
    error = np.linalg.inv(np.linalg.inv(before) @ now) @ motion
    assert np.linalg.norm(error[:3, 3]) < 0.05
    assert turned(error) < 0.15
    again = VisualOdometry()(first.left, disparity_of(first), second.left, CAMERA)
    np.testing.assert_array_equal(motion, again)


def test_what_shows_no_motion(rng: np.random.Generator) -> None:
    odometry = VisualOdometry()
    view = SCENE.view(CAMERA, camera_pose(PLANE))
    disparity = disparity_of(view)
    black = np.zeros_like(view.left)
    assert odometry(view.left, disparity, black, CAMERA) is None
    assert odometry(black, disparity, view.left, CAMERA) is None
    assert odometry(view.left, np.full_like(disparity, np.nan), view.left, CAMERA) is None
    noise = rng.uniform(0, 1, view.left.shape).astype(np.float32)
    assert odometry(view.left, disparity, noise, CAMERA) is None
    far = SCENE.view(CAMERA, camera_pose(PLANE, z=3))
    assert VisualOdometry(fastest=1)(view.left, disparity, far.left, CAMERA) is None
    with pytest.raises(UsageError, match="least of a visual odometry"):
        VisualOdometry(least=3)


@pytest.mark.data
def test_a_real_drive_agrees_with_its_poses(data_folder: Callable[[str], Path]) -> None:
    sequence = StereoSequence(data_folder("stereo") / "kitti-grey")
    pose = None
    frames = list(sequence)[10:20]
    for before, now in pairwise(frames):
        assert before.right is not None
        motion = VisualOdometry()(before.left, StereoMatcher()(before.left, before.right), now.left, before.calibration)
        assert motion is not None
        pose = motion if pose is None else pose @ motion
    assert pose is not None
    first, last = frames[0].pose, frames[-1].pose
    assert first is not None
    assert last is not None
    truth = np.linalg.inv(first) @ last
    error = np.linalg.inv(truth) @ pose
    assert np.linalg.norm(error[:3, 3]) < 0.03 * np.linalg.norm(truth[:3, 3])
    assert turned(error) < 1
