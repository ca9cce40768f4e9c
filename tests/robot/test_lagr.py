from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from striate.errors import UsageError
from striate.robot import LabeledFrame, read_labeled_frame, read_labeled_frames


@pytest.fixture
def picture(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.fixture
def marks(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 3, (24, 32)).astype(np.uint8)


def check(frame: LabeledFrame, picture: np.ndarray, marks: np.ndarray) -> None:
    np.testing.assert_allclose(frame.image, picture.transpose(2, 0, 1) / 255, atol=1e-6)
    np.testing.assert_array_equal(frame.obstacle, np.array([-1, 0, 1])[marks])
    assert frame.image.dtype == np.float32
    assert frame.obstacle.dtype == np.int8


def test_a_frame_of_matlab(tmp_path: Path, picture: np.ndarray, marks: np.ndarray, rng: np.random.Generator) -> None:
    """An image, a label for each pixel, and what else such files have: disparities, a name, numbers."""
    path = tmp_path / "frame001.mat"
    disparity = rng.normal(size=(24, 32))
    savemat(path, {"im": picture, "truth": marks, "disparity": disparity, "time": 3.5, "site": "lawn"})
    frame = read_labeled_frame(path)
    assert frame.name == "frame001"
    check(frame, picture, marks)


@pytest.mark.parametrize("stored", [np.float64, np.int16])
def test_labels_of_any_type(tmp_path: Path, picture: np.ndarray, marks: np.ndarray, stored: type) -> None:
    savemat(tmp_path / "f.mat", {"im": picture, "truth": marks.astype(stored)})
    check(read_labeled_frame(tmp_path / "f.mat"), picture, marks)
    savemat(tmp_path / "f.mat", {"im": picture / 255, "truth": marks.astype(stored)})
    check(read_labeled_frame(tmp_path / "f.mat"), picture, marks)
    savemat(tmp_path / "f.mat", {"im": picture.astype(float), "truth": marks.astype(stored)})
    check(read_labeled_frame(tmp_path / "f.mat"), picture, marks)


def test_fields_of_structures(tmp_path: Path, picture: np.ndarray, marks: np.ndarray) -> None:
    path = tmp_path / "f.mat"
    savemat(path, {"frame": {"image": picture, "labels": {"hand": marks, "machine": 2 - marks}}})
    with pytest.raises(UsageError, match=r"several arrays .*frame\.labels\.hand \(24, 32\)"):
        read_labeled_frame(path)
    check(read_labeled_frame(path, label="frame.labels.hand"), picture, marks)
    check(read_labeled_frame(path, label="frame.labels.machine", ground=1, obstacle=0), picture, 2 - (2 - marks))


def test_other_values(tmp_path: Path, picture: np.ndarray) -> None:
    marks = np.full((24, 32), 9, np.int32)
    marks[:5], marks[5:10] = -1, 1
    savemat(tmp_path / "f.mat", {"im": picture, "truth": marks})
    frame = read_labeled_frame(tmp_path / "f.mat", ground=-1, obstacle=1)
    assert (frame.obstacle[:5] == 0).all()
    assert (frame.obstacle[5:10] == 1).all()
    assert (frame.obstacle[10:] == -1).all()


def test_folders_are_read_one_at_a_time(tmp_path: Path, picture: np.ndarray, marks: np.ndarray) -> None:
    for name in ("b", "a"):
        savemat(tmp_path / f"{name}.mat", {"im": picture, "truth": marks})
    (tmp_path / "c.mat").write_bytes(b"no file of MATLAB")
    frames = read_labeled_frames(tmp_path)
    assert [next(frames).name, next(frames).name] == ["a", "b"]
    with pytest.raises(UsageError, match=r"c\.mat: is not a MATLAB file"):
        next(frames)
    with pytest.raises(UsageError, match="no MATLAB files"):
        read_labeled_frames(tmp_path / "nowhere")


def test_files_that_are_no_frames(tmp_path: Path, picture: np.ndarray, marks: np.ndarray) -> None:
    path = tmp_path / "f.mat"
    with pytest.raises(UsageError, match="does not exist"):
        read_labeled_frame(path)
    savemat(path, {"im": picture})
    with pytest.raises(UsageError, match="nothing with the form of its label"):
        read_labeled_frame(path)
    savemat(path, {"truth": marks})
    with pytest.raises(UsageError, match="nothing with the form of its image"):
        read_labeled_frame(path)
    savemat(path, {"im": picture, "truth": marks[:10]})
    with pytest.raises(UsageError, match=r"its label has the shape \(10, 32\), its image \(24, 32\)"):
        read_labeled_frame(path, label="truth")
    with pytest.raises(UsageError, match="no label called depth"):
        read_labeled_frame(path, label="depth")
    savemat(path, {"im": picture, "truth": np.full((24, 32), 7)})
    with pytest.raises(UsageError, match="no pixel has the label 1"):
        read_labeled_frame(path)
    path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(UsageError, match=r"-v7"):
        read_labeled_frame(path)
    whole = tmp_path / "whole.mat"
    savemat(whole, {"im": picture, "truth": marks})
    for length in (0, 100, 130, 1000):
        path.write_bytes(whole.read_bytes()[:length])
        with pytest.raises(UsageError):
            read_labeled_frame(path)
