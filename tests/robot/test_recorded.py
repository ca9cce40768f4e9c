from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.errors import UsageError
from striate.robot import (
    PHASES,
    NearToFar,
    RobotEye,
    StereoSequence,
    View,
    learn_features_of_drive,
    replay,
)
from striate.robot.world import camera_pose
from tests.robot.drives import PLANE, drive, write_drive
from tests.robot.scenes import CAMERA, world


@pytest.fixture(scope="module")
def views() -> list[View]:
    return drive()[:3]


@pytest.fixture
def sequence(tmp_path: Path, views: list[View]) -> StereoSequence:
    return StereoSequence(write_drive(tmp_path, views))


def test_it_is_what_an_eye_sees(sequence: StereoSequence) -> None:
    eye = RobotEye(sequence.calibration, random_state=2)
    seen = list(replay(sequence, random_state=2))
    assert [found.frame.index for found in seen] == [0, 1, 2]
    for found, frame in zip(seen, sequence, strict=True):
        expected = eye.update(frame.left, frame.right, pose=frame.pose)
        np.testing.assert_array_equal(found.costs.cost, expected.cost)
        assert tuple(found.seconds) == PHASES
        assert not found.problems
        assert not found.look.lost
    assert sequence.poses is not None
    np.testing.assert_array_equal(seen[2].look.camera, sequence.poses[2])
    assert len(list(replay(sequence, n_frames=2))) == 2
    assert len(list(replay(sequence, n_frames=20))) == 3


def test_features_are_learned_where_all_is_ground(tmp_path: Path) -> None:
    scene = world([])
    views = [scene.view(CAMERA, camera_pose(PLANE, z=float(frame))) for frame in range(2)]
    drive = StereoSequence(write_drive(tmp_path, views, poses=False))
    learned = learn_features_of_drive(drive, n_frames=1, per_frame=200, random_state=0)
    assert learned.features.n_features == 100
    with pytest.raises(UsageError, match="two classes"):
        learn_features_of_drive(drive, "supervised", n_frames=1, per_frame=200, random_state=0)


def test_features_are_those_of_the_first_frames_with_stereo(sequence: StereoSequence) -> None:
    size = CAMERA.size[::-1]
    Image.new("L", size).save(sequence.folder / "left" / "000000.png")
    learned = learn_features_of_drive(sequence, n_frames=1, per_frame=300, random_state=1)
    assert learned.frames == (1,)
    again = learn_features_of_drive(sequence, n_frames=1, per_frame=300, random_state=1)
    windows = np.random.default_rng(0).standard_normal((4, 1, 12, 25)).astype(np.float32)
    np.testing.assert_array_equal(learned.features.of_windows(windows), again.features.of_windows(windows))
    first, second, _ = replay(sequence, NearToFar(learned.features))
    assert any("left image is black" in problem for problem in first.problems)
    assert np.isnan(first.costs.cost).all()
    assert second.seconds["features"] > 0
    assert np.isfinite(second.costs.cost).any()


def test_the_same_bits_every_time(sequence: StereoSequence) -> None:
    maps = []
    for _ in range(2):
        learned = learn_features_of_drive(sequence, n_frames=1, per_frame=500, random_state=3)
        maps.append([found.costs.cost for found in replay(sequence, NearToFar(learned.features), random_state=3)])
    np.testing.assert_array_equal(maps[0], maps[1])
    assert np.isfinite(maps[0][2]).sum() > np.isfinite(maps[0][0]).sum()  # it sees beyond stereo


def test_a_drive_that_shows_nothing(sequence: StereoSequence) -> None:
    for path in (sequence.folder / "right").iterdir():
        path.unlink()
    blind = StereoSequence(sequence.folder)
    with pytest.raises(UsageError, match=r"none of the 3 frames .* unknown; the first frame: there is no right image"):
        learn_features_of_drive(blind, "random")
    for found in replay(blind):
        assert found.problems == ("There is no right image.",)
        assert np.isnan(found.costs.cost).all()


def test_wrong_use(sequence: StereoSequence) -> None:
    with pytest.raises(UsageError, match="n_frames of a replay"):
        next(replay(sequence, n_frames=0))
    with pytest.raises(UsageError, match="kind"):
        learn_features_of_drive(sequence, "magic", n_frames=1)
