from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from striate.errors import UsageError
from striate.robot import StereoSequence, camera_fault
from striate.robot.sequence import resized
from tests.robot.scenes import CAMERA, calib_text, write_sequence


@pytest.fixture
def picture(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (1, 188, 620)).astype(np.float32) / 255


def test_frames_are_read_in_the_order_of_names(tmp_path: Path, picture: np.ndarray) -> None:
    sequence = StereoSequence(write_sequence(tmp_path, [(picture, 1 - picture), (1 - picture, picture)]))
    assert len(sequence) == 2
    first, last = sequence[0], sequence[-1]
    np.testing.assert_allclose(first.left, picture, atol=1e-6)
    assert first.right is not None
    np.testing.assert_allclose(first.right, 1 - picture, atol=1e-6)
    assert (last.index, last.name) == (1, "000001")
    assert first.has_stereo
    assert first.pose is None
    assert [frame.index for frame in sequence] == [0, 1]
    with pytest.raises(IndexError):
        sequence[2]


def test_large_images_are_reduced_with_their_calibration(tmp_path: Path, rng: np.random.Generator) -> None:
    large = np.repeat(np.repeat(rng.uniform(0, 1, (1, 188, 620)), 2, 1), 2, 2)
    text = calib_text(CAMERA.scaled((376, 1240)))
    frame = StereoSequence(write_sequence(tmp_path, [(large, large)], text))[0]
    assert frame.left.shape == (1, 188, 620)
    assert frame.left.dtype == np.float32
    for name in ("fx", "fy", "cx", "cy", "baseline"):
        assert getattr(frame.calibration, name) == pytest.approx(getattr(CAMERA, name), rel=1e-6)
    whole = StereoSequence(tmp_path, width=1240)[0]
    assert whole.left.shape == (1, 376, 1240)
    # The mean over a block of pixels stays where the calibration says that the block is.
    assert np.abs(resized(large.astype(np.float32), (188, 620)) - frame.left).max() < 1 / 255


def test_color(tmp_path: Path, picture: np.ndarray) -> None:
    colored = np.concatenate([picture, 1 - picture, picture[:, ::-1]])
    frame = StereoSequence(write_sequence(tmp_path, [(colored, colored)]))[0]
    np.testing.assert_allclose(frame.left, colored, atol=1e-6)


def test_what_is_missing_on_the_right_is_a_frame_without_stereo(tmp_path: Path, picture: np.ndarray) -> None:
    folder = write_sequence(tmp_path, [(picture, None), (picture, picture), (picture, picture)])
    (folder / "right" / "000001.png").write_bytes(b"no image")
    frames = list(StereoSequence(folder))
    assert frames[0].problems == ("There is no right image.",)
    assert frames[0].right is None
    assert not frames[0].has_stereo
    assert "right image is not an image" in frames[1].problems[0]
    assert frames[2].has_stereo
    for path in (folder / "right").iterdir():
        path.unlink()
    (folder / "right").rmdir()
    assert not any(frame.has_stereo for frame in StereoSequence(folder))


def test_a_damaged_left_image(tmp_path: Path, picture: np.ndarray) -> None:
    folder = write_sequence(tmp_path, [(picture, picture)] * 2)
    (folder / "left" / "000001.png").write_bytes((folder / "left" / "000001.png").read_bytes()[:500])
    frame = StereoSequence(folder)[1]
    assert not frame.left.any()
    assert "left image" in frame.problems[0]


@pytest.mark.parametrize(("value", "word"), [(0.0, "black"), (0.01, "black"), (0.5, "one color"), (1.0, "one color")])
def test_a_dead_camera(tmp_path: Path, picture: np.ndarray, value: float, word: str) -> None:
    dead = np.full_like(picture, value)
    frame = StereoSequence(write_sequence(tmp_path, [(picture, dead)]))[0]
    assert not frame.has_stereo
    assert word in frame.problems[0]
    # Noise of a sensor, and dead pixels, are no image.
    noisy = np.clip(value + np.random.default_rng(0).normal(0, 0.003, picture.shape), 0, 1)
    noisy[0, :2, :50] = 1 - noisy[0, :2, :50]
    assert word in camera_fault(noisy)
    assert not camera_fault(picture)
    assert "not finite" in camera_fault(np.where(picture > 0.9, np.nan, picture))


def test_poses(tmp_path: Path, picture: np.ndarray) -> None:
    folder = write_sequence(tmp_path, [(picture, picture)] * 2)
    identity = "1 0 0 0 0 1 0 0 0 0 1 0\n"
    (folder / "poses.txt").write_text(identity + "1 0 0 0.5 0 1 0 0 0 0 1 1.25\n")
    pose = StereoSequence(folder)[1].pose
    assert pose is not None
    np.testing.assert_array_equal(pose @ [0, 0, 0, 1], [0.5, 0, 1.25, 1])
    for text, message in (
        (identity, "has 1 poses for 2 left images"),
        (identity + "1 2 3\n", "12 finite numbers"),
        (identity + identity.replace("0", "x", 1), "12 finite numbers"),
        (identity + "2 0 0 0 0 1 0 0 0 0 1 0\n", "not a rotation"),
        (identity + "-1 0 0 0 0 1 0 0 0 0 1 0\n", "not a rotation"),
    ):
        (folder / "poses.txt").write_text(text)
        with pytest.raises(UsageError, match=message):
            StereoSequence(folder)


def test_folders_that_are_no_sequence(tmp_path: Path, picture: np.ndarray) -> None:
    with pytest.raises(UsageError, match="no images in left/"):
        StereoSequence(tmp_path)
    folder = write_sequence(tmp_path, [(picture, picture), (picture[:, :100], picture)])
    sequence = StereoSequence(folder)
    with pytest.raises(UsageError, match="620×100 pixels, the first image 620×188"):
        sequence[1]
    (folder / "calib.txt").unlink()
    with pytest.raises(UsageError, match=r"calib\.txt: does not exist"):
        StereoSequence(folder)


@pytest.mark.data
@pytest.mark.parametrize(("name", "channels", "n_frames"), [("kitti-00", 3, 20), ("kitti-grey", 1, 51)])
def test_real_sequences(data_folder: Callable[[str], Path], name: str, channels: int, n_frames: int) -> None:
    sequence = StereoSequence(data_folder("stereo") / name)
    assert len(sequence) == n_frames
    frame = sequence[5]
    assert frame.left.shape == (channels, 188, 620)
    assert frame.has_stereo
    assert frame.calibration.baseline == pytest.approx(0.535, abs=0.01)
    assert (frame.pose is not None) == (name == "kitti-grey")
