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
    FutureLabels,
    GroundFinder,
    GroundPlane,
    LabelSchedule,
    Sighting,
    StereoLabeler,
    StereoMatcher,
    StereoSequence,
    labels_from_future,
    sighting,
)
from striate.robot.world import Box, camera_pose
from tests.robot.scenes import CAMERA, disparity_of, world

PLANE = GroundPlane.from_angles(0.5, 1, 1.65)
BOXES = [Box(0, 30, 2, 2, 1.5), Box(-4, 24, 1, 1, 2), Box(5, 40, 2, 3, 1.5)]
GROUND = (0, 1)
OBSTACLES = (2, 3, 4)


class Drive:
    """Frames 3 m apart, toward the boxes, with their exact disparities."""

    def __init__(self, n_frames: int) -> None:
        scene = world(BOXES)
        self.poses = [camera_pose(PLANE, z=3.0 * frame) for frame in range(n_frames)]
        self.views = [scene.view(CAMERA, pose) for pose in self.poses]
        self.disparities = [disparity_of(view) for view in self.views]
        self.sightings = [
            sighting(frame, StereoLabeler()(disparity, CAMERA, PLANE), disparity, CAMERA, pose)
            for frame, (disparity, pose) in enumerate(zip(self.disparities, self.poses, strict=True))
        ]

    def bands(self, frame: int) -> Bands:
        return BandPyramid()(self.views[frame].left, CAMERA, PLANE)


@pytest.fixture(scope="module")
def drive() -> Drive:
    return Drive(9)


def test_far_windows_get_the_labels_of_later_frames(drive: Drive) -> None:
    """Against the scene itself: the boxes are where they are, 12 to 35 m ahead."""
    bands = drive.bands(0)
    found = labels_from_future(0, bands, drive.poses[0], drive.sightings, disparity=drive.disparities[0])
    windows = bands.windows
    known = found.label != UNKNOWN
    assert windows.range[known].min() > 11.2  # of the band at 12 m
    for low, high in ((12, 20), (20, 33)):
        assert np.count_nonzero(known & (windows.range > low) & (windows.range < high)) > 100
    # The front of the box straight ahead, 29 m away.
    front = known & (np.abs(np.log(windows.range / 29)) < 0.06) & (np.abs(windows.x) < 0.5)
    face = front & (windows.height > 0.5) & (windows.height < 1.2)
    assert np.isin(found.label[face], OBSTACLES).mean() > 0.9
    assert np.count_nonzero(face) >= 3
    empty = known & (np.abs(windows.x - 3) < 0.5) & (windows.range < 25) & (np.abs(windows.height) < 0.3)
    assert np.count_nonzero(empty) > 10
    assert np.isin(found.label[empty], GROUND).all()


def test_no_label_is_known_before_its_own_test(drive: Drive) -> None:
    """The leak check: every label comes from later frames alone, and says from which."""
    bands = drive.bands(2)
    found = labels_from_future(2, bands, drive.poses[2], drive.sightings)
    known = found.label != UNKNOWN
    assert known.any()
    assert (found.known_at[known] > 2).all()
    assert (found.known_at[~known] == -1).all()
    # What the learner has seen when it is tested decides nothing: earlier frames, and the frame itself, give no label.
    assert (labels_from_future(2, bands, drive.poses[2], drive.sightings[:3]).label == UNKNOWN).all()
    # With the frames up to one of them, the labels that are known by then are there, and no later ones.
    part = labels_from_future(2, bands, drive.poses[2], drive.sightings[:6])
    assert part.known_at.max() == 5
    same = known & (found.known_at <= 5)
    np.testing.assert_array_equal(part.label[same], found.label[same])


def test_what_was_labeled_before_is_no_test(drive: Drive) -> None:
    """A drive backward: what is far now was near, and the learner may have learned it."""
    poses = drive.poses[::-1]
    backward = [seen._replace(frame=len(poses) - 1 - seen.frame) for seen in drive.sightings]
    frame = 6
    bands = drive.bands(len(poses) - 1 - frame)
    assert (labels_from_future(frame, bands, poses[frame], backward).label == UNKNOWN).all()
    # A second visit gives labels, but not of windows that the first one labeled.
    again = [*backward, *(seen._replace(frame=20 + seen.frame) for seen in drive.sightings)]
    assert (labels_from_future(frame, bands, poses[frame], again).label == UNKNOWN).mean() > 0.995


def test_what_is_hidden_or_has_moved_gives_no_label(drive: Drive) -> None:
    bands = drive.bands(0)
    hidden = drive.disparities[0].copy()
    hidden[:, 250:360] = 30  # something 6 m ahead
    found = labels_from_future(0, bands, drive.poses[0], drive.sightings, disparity=hidden)
    behind = (bands.windows.image_column > 255) & (bands.windows.image_column < 355)
    assert (found.label[behind] == UNKNOWN).all()
    assert (found.label[~behind] != UNKNOWN).any()


def test_nothing_seen_is_nothing_known(drive: Drive) -> None:
    bands = drive.bands(0)
    found = labels_from_future(0, bands, drive.poses[0], [])
    assert (found.label == UNKNOWN).all()
    assert not found.confidence.any()


def labels(*known_at: int) -> FutureLabels:
    at = np.array(known_at, np.int32)
    return FutureLabels(np.where(at < 0, UNKNOWN, 1).astype(np.int8), np.ones(len(at), np.float32), at)


def test_a_schedule_hands_out_each_label_once_and_in_time() -> None:
    schedule = LabelSchedule()
    schedule.add(0, labels(2, -1, 5, 3))
    assert not schedule.due(0)
    schedule.add(1, labels(2, 4))
    assert not schedule.due(1)
    first = schedule.due(2)
    assert [(due.frame, due.windows.tolist()) for due in first] == [(0, [0]), (1, [0])]
    later = schedule.due(4)
    assert [(due.frame, due.windows.tolist()) for due in later] == [(0, [3]), (1, [1])]
    assert [due.windows.tolist() for due in schedule.due(9)] == [[2]]
    assert not schedule.due(10)


def test_a_schedule_refuses_leaks() -> None:
    schedule = LabelSchedule()
    with pytest.raises(UsageError, match="from the frame itself"):
        schedule.add(3, labels(3))
    schedule.add(3, labels(4))
    with pytest.raises(UsageError, match="added already"):
        schedule.add(3, labels(4))
    schedule.due(4)
    with pytest.raises(UsageError, match="frame 4 has passed"):
        schedule.due(4)


@pytest.mark.data
def test_a_real_drive(data_folder: Callable[[str], Path]) -> None:
    """Twelve frames of a street, by its poses: near and far stereo agree on what is ground and what is obstacle."""
    sequence = StereoSequence(data_folder("stereo") / "kitti-grey")
    matcher, finder = StereoMatcher(), GroundFinder()
    sightings: list[Sighting] = []
    for index in range(24, 40):
        frame = sequence[index]
        assert frame.right is not None
        assert frame.pose is not None
        disparity = matcher(frame.left, frame.right)
        fit = finder(disparity, frame.calibration)
        assert fit is not None
        near = StereoLabeler()(disparity, frame.calibration, fit.plane)
        sightings.append(sighting(index, near, disparity, frame.calibration, frame.pose))
        if index == 24:
            first, plane, own = frame, fit.plane, disparity
    assert first.pose is not None
    bands = BandPyramid()(first.left, first.calibration, plane)
    found = labels_from_future(24, bands, first.pose, sightings, disparity=own)
    far = StereoLabeler(farthest=24)(own, first.calibration, plane)
    rows = np.rint(bands.windows.image_row).astype(int).clip(0, 187)
    columns = np.rint(bands.windows.image_column).astype(int).clip(0, 619)
    direct = far.label[rows, columns]
    both = (
        (found.label != UNKNOWN)
        & (direct != UNKNOWN)
        & (np.abs(np.log(far.range[rows, columns] / bands.windows.range)) < 0.1)
    )
    assert np.count_nonzero(both) > 100
    assert (np.isin(found.label, OBSTACLES) == np.isin(direct, OBSTACLES))[both].mean() > 0.85
