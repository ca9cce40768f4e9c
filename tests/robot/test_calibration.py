from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striate.errors import UsageError
from striate.robot import Calibration, read_calibration
from striate.robot.calibration import working_size
from tests.robot.scenes import CAMERA, calib_text


def written(folder: Path, text: str) -> Path:
    path = folder / "calib.txt"
    path.write_text(text)
    return path


def test_grey_and_color_cameras_have_their_own_pair(tmp_path: Path) -> None:
    color = Calibration(360.0, 360.0, 300.0, 90.0, 0.532, (188, 620))
    path = written(tmp_path, calib_text() + calib_text(color, ("P2", "P3")))
    grey = read_calibration(path, (188, 620))
    assert (grey.fx, grey.cx, grey.size) == (CAMERA.fx, CAMERA.cx, (188, 620))
    assert grey.baseline == pytest.approx(CAMERA.baseline)
    assert read_calibration(path, (188, 620), color=True).baseline == pytest.approx(0.532)
    only = written(tmp_path, calib_text(color, ("P2", "P3")))
    assert read_calibration(only, (188, 620)).fx == 360.0


def test_an_offset_of_both_cameras_is_no_baseline(tmp_path: Path) -> None:
    """KITTI's color cameras are placed relative to its left grey camera."""
    lines = [line.split() for line in calib_text(names=("P2", "P3")).splitlines()]
    for line in lines:
        line[4] = str(float(line[4]) + 45.38)
    path = written(tmp_path, "\n".join(" ".join(line) for line in lines))
    assert read_calibration(path, (188, 620)).baseline == pytest.approx(CAMERA.baseline)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "neither P0 and P1 nor P2 and P3"),
        (calib_text().splitlines()[0], "neither P0 and P1"),
        ("P0: 1 2 3\n" + calib_text().splitlines()[1], "P0 is not 12 finite numbers"),
        (calib_text().replace("3.576", "nan", 1), "P0 is not 12 finite numbers"),
        (calib_text().replace("3.576", "x", 1), "P0 is not 12 finite numbers"),
        (calib_text(names=("P1", "P0")), "exchange left and right"),
        (calib_text().replace("3.57600", "9.57600", 1), "rectify the images first"),
        (calib_text().replace("3.576", "-3.576"), "focal length"),
        (calib_text().replace("3.041", "9.041"), "images of another size"),
    ],
)
def test_a_wrong_calibration(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match=message) as caught:
        read_calibration(path, (188, 620))
    assert str(path) in str(caught.value)


def test_a_calibration_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_calibration(tmp_path / "calib.txt", (188, 620))
    (tmp_path / "calib.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read as text"):
        read_calibration(tmp_path / "calib.txt", (188, 620))


def test_scaling_keeps_the_rays() -> None:
    """The center of a block of 2×2 pixels is the center of the pixel that replaces it."""
    half = Calibration(700.0, 700.0, 301.5, 90.5, 0.5, (184, 620)).scaled((92, 310))
    rows, columns = half.project(np.array([[1.0], [0.5], [10.0]]))
    assert columns == pytest.approx((301.5 + 70 + 0.5) / 2 - 0.5)
    assert rows == pytest.approx((90.5 + 35 + 0.5) / 2 - 0.5)


def test_points_are_where_they_are_seen(rng: np.random.Generator) -> None:
    depth = rng.uniform(2, 50, CAMERA.size).astype(np.float32)
    rows, columns = CAMERA.project(CAMERA.points(depth))
    assert np.abs(rows - np.arange(188)[:, None]).max() < 1e-3
    assert np.abs(columns - np.arange(620)).max() < 1e-3
    disparity = np.array([CAMERA.fx * CAMERA.baseline / 8, 0, -1], np.float32)
    assert CAMERA.depth(disparity)[0] == pytest.approx(8)
    assert np.isnan(CAMERA.depth(disparity)[1:]).all()
    behind = CAMERA.project(np.array([[0.0], [0.0], [-1.0]]))
    assert np.isnan(behind).all()


def test_the_working_size() -> None:
    assert working_size((370, 1226), 620) == (188, 620)
    assert working_size((376, 1241), 620) == (188, 620)
    assert working_size((100, 301), 620) == (100, 301)
    with pytest.raises(UsageError, match="width"):
        working_size((370, 1226), 10)


@pytest.mark.parametrize(
    "change", [{"fx": 0.0}, {"baseline": -1.0}, {"cx": 700.0}, {"cy": float("nan")}, {"size": (0, 3)}]
)
def test_impossible_numbers(change: dict) -> None:
    numbers = {"fx": 300.0, "fy": 300.0, "cx": 300.0, "cy": 90.0, "baseline": 0.5, "size": (188, 620)} | change
    with pytest.raises(UsageError):
        Calibration(**numbers)
