from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from striate.errors import UsageError
from striate.robot import (
    UNKNOWN,
    BandPyramid,
    Bands,
    Calibration,
    CostMap,
    GroundPlane,
    RobotEye,
    StereoSequence,
    WindowLabels,
)
from striate.robot.eye import in_sight
from striate.robot.world import Box, View, camera_pose
from tests.robot.scenes import CAMERA, world, write_sequence

PLANE = GroundPlane.from_angles(0.5, 1, 1.65)
BOXES = [Box(0, 12, 2, 2, 1.5), Box(-5, 14, 1, 1, 2), Box(5, 40, 2, 3, 1.5)]
HOUSES = [Box(side * 11, z, 3, 6, 6) for side in (-1, 1) for z in (16, 24, 32, 40)]
STEP = 0.8


@pytest.fixture(scope="module")
def views() -> list[View]:
    scene = world([*BOXES, *HOUSES])
    return [scene.view(CAMERA, camera_pose(PLANE, z=STEP * frame)) for frame in range(4)]


def check_map(found: CostMap) -> None:
    """The box straight ahead is at z = 11–13, and the road beside it is clear."""
    assert found.at(0, 11.2) > 0.8
    clear = found.at(np.array([2.5, 2.5, -2.5]), np.array([8.2, 10.2, 8.2]))
    assert (clear < 0.2).all()
    assert np.isnan(found.at(0.0, 30.0))  # beyond stereo


@pytest.mark.parametrize("given", [True, False])
def test_a_drive(views: list[View], given: bool) -> None:
    """With poses, and by visual odometry, whose world is that of the first frame."""
    eye = RobotEye(CAMERA)
    for frame, view in enumerate(views):
        pose = camera_pose(PLANE, z=STEP * frame) if given else None
        found = eye.update(view.left, view.right, pose=pose)
        assert not eye.look_.problems
        assert eye.look_.plane is not None
        assert eye.look_.plane.camera_height == pytest.approx(1.65, abs=0.05)
    check_map(found)
    assert found.pose.z == pytest.approx(STEP * 3, abs=0.1)


def test_the_same_bits_every_time(views: list[View]) -> None:
    maps = []
    for _ in range(2):
        eye = RobotEye(CAMERA, random_state=3)
        for view in views[:3]:
            found = eye.update(view.left, view.right)
        maps.append(found)
    np.testing.assert_array_equal(maps[0].cost, maps[1].cost)
    assert maps[0].pose == maps[1].pose


class Recorder:
    """A classifier that says what it is told."""

    def __init__(self, answer: np.ndarray) -> None:
        self.answer = answer
        self.n_labels = 0

    def see(self, bands: Bands, labels: WindowLabels) -> np.ndarray:
        self.n_labels += int(np.count_nonzero(labels.label != UNKNOWN))
        return np.tile(self.answer, (len(labels.label), 1))


def test_what_sees_beyond_stereo(views: list[View]) -> None:
    classifier = Recorder(np.array([0.5, 0.2, 0.0, 0.0, 0.3]))
    eye = RobotEye(CAMERA, classifier)
    found = eye.update(views[0].left, views[0].right)
    assert classifier.n_labels > 100
    assert found.at(2.5, 8.2) < 0.2  # near, stereo has the word
    far = found.at(np.arange(4, 8, 0.5), np.full(8, 25.2))
    np.testing.assert_allclose(far, 0.3, rtol=1e-6)  # without gaps, although bands are 3 m apart there
    assert np.isnan(found.at(np.array([-1, 0, 1]), 25.2)).all()  # hidden by the box at 11 m, which stereo sees
    unsure = RobotEye(CAMERA, Recorder(np.full(5, np.nan)))
    assert np.isnan(unsure.update(views[0].left, views[0].right).at(0.0, 25.2)).all()


def test_obstacles_hide_what_is_behind_them(views: list[View]) -> None:
    """Where everything looks like an obstacle, only the nearest windows beyond stereo say so."""
    found = RobotEye(CAMERA, Recorder(np.eye(5)[4])).update(views[0].left, views[0].right)
    x, z = found.places
    ahead = (np.abs(x / z) < 0.3) & (z > 0)
    assert (found.cost[ahead & (z > 12) & (z < 14)] == 1).any()
    assert np.isnan(found.cost[ahead & (z > 18)]).all()


def test_in_sight() -> None:
    pyramid = BandPyramid()
    bands = pyramid(np.zeros((1, *CAMERA.size), np.float32), CAMERA, PLANE)
    windows = bands.windows
    nearest = windows.range[windows.range > 15].min()
    wall = (windows.range == nearest) & (np.abs(windows.x) < 2) & (np.abs(windows.height) < 0.2)
    seen = in_sight(bands, wall, pyramid.column_step)
    angle, edge = np.abs(windows.x / windows.z), 2 / nearest
    behind = windows.range > nearest
    assert seen[~behind].all()
    assert not seen[behind & (angle < edge - 0.02)].any()
    assert seen[behind & (angle > edge + 0.02)].all()
    # What is not on the ground, such as the crown of a tree, hides nothing on it.
    assert in_sight(bands, windows.height > 1, pyramid.column_step).all()


DEAD = np.zeros((1, *CAMERA.size), np.float32)
FLAT = np.full((1, *CAMERA.size), 0.5, np.float32)
NOISE = np.random.default_rng(0).uniform(0, 1, (1, *CAMERA.size)).astype(np.float32)


@pytest.mark.parametrize(
    ("left", "right", "word"),
    [
        (None, DEAD, "right image is black"),
        (DEAD, None, "left image is black"),
        (DEAD, DEAD, "left image is black"),
        (FLAT, FLAT, "one color"),
        (None, "missing", "no right image"),
        (None, NOISE, "No ground"),
        (NOISE, NOISE, "No ground"),
    ],
)
def test_a_frame_without_stereo_says_nothing(
    views: list[View], left: np.ndarray | None, right: np.ndarray | str | None, word: str
) -> None:
    classifier = Recorder(np.eye(5)[0])
    eye = RobotEye(CAMERA, classifier)
    given = views[0].left if left is None else left
    other = views[0].right if right is None else None if isinstance(right, str) else right
    found = eye.update(given, other)
    assert np.isnan(found.cost).all()
    assert any(word in problem for problem in eye.look_.problems)
    assert (eye.look_.labels.label == UNKNOWN).all()
    assert not classifier.n_labels


def test_a_wrong_calibration_is_no_confident_guess(views: list[View]) -> None:
    wrong = Calibration(CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy, 10 * CAMERA.baseline, CAMERA.size)
    eye = RobotEye(wrong)
    assert np.isnan(eye.update(views[0].left, views[0].right).cost).all()
    assert "the calibration is wrong" in eye.look_.problems[0]
    exchanged = RobotEye(CAMERA)
    assert np.isnan(exchanged.update(views[0].right, views[0].left).cost).all()


def test_a_camera_that_fails_on_the_way(views: list[View]) -> None:
    """With poses the map is kept for a while; without, nobody knows where things are, and it is cleared."""
    for given in (True, False):
        eye = RobotEye(CAMERA)
        maps = []
        for frame, view in enumerate(views):
            pose = camera_pose(PLANE, z=STEP * frame) if given else None
            maps.append(eye.update(DEAD if frame == 1 else view.left, view.right, pose=pose))
        known = [np.count_nonzero(np.isfinite(found.cost)) for found in maps]
        assert known[0]
        assert (known[1] > 0) == given
        # Without poses the map begins anew, where the robot is.
        check_map(maps[3]) if given else None
        assert known[3] > 0


def test_one_frame(tmp_path: Path, views: list[View]) -> None:
    (frame,) = StereoSequence(write_sequence(tmp_path, [(views[0].left, views[0].right)]))
    check_map(RobotEye(frame.calibration).update(frame.left, frame.right))


def test_wrong_use(views: list[View]) -> None:
    eye = RobotEye(CAMERA)
    with pytest.raises(UsageError, match="the right image has the shape"):
        eye.update(views[0].left, views[0].right[:, :10])
    with pytest.raises(UsageError, match="a pose is a matrix"):
        eye.update(views[0].left, views[0].right, pose=np.eye(3))
    with pytest.raises(UsageError, match="a Calibration"):
        RobotEye("calib.txt")  # type: ignore[arg-type]


@pytest.mark.data
@pytest.mark.parametrize(("name", "frames"), [("kitti-00", range(8, 11)), ("kitti-grey", range(24, 27))])
def test_real_drives(data_folder: Callable[[str], Path], name: str, frames: range) -> None:
    sequence = StereoSequence(data_folder("stereo") / name)
    eye = RobotEye(sequence.calibration)
    for index in frames:
        found = eye.update(sequence[index].left, sequence[index].right)
        assert not eye.look_.problems
    # The road ahead of the car is clear.
    road = found.pose.to_world(np.stack([np.zeros(6), np.arange(6.5, 12, 1)]))
    assert (found.at(*road) < 0.2).all()
    assert np.nanmax(found.cost) > 0.8
