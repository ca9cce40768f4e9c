from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from striate.errors import UsageError
from striate.robot import (
    UNKNOWN,
    GroundPlane,
    Labels,
    StereoLabeler,
)
from striate.robot.world import Box
from tests.robot.scenes import CAMERA, disparity_of, seen

LEVEL = GroundPlane.from_angles(0, 0, 1.65)
SUPER_GROUND, GROUND, FOOTLINE, OBSTACLE, SUPER_OBSTACLE = range(5)


def labeled(boxes: list[Box], **options: float) -> Labels:
    return StereoLabeler(**options)(disparity_of(seen(LEVEL, boxes)), CAMERA, LEVEL)


def test_a_column_by_hand() -> None:
    """A box of 2 m, 9 m ahead: its foot is 1.65 m below the camera, one meter has fy / 9 = 39.9 pixels."""
    column = labeled([Box(0, 10, 3, 2, 2)]).label[:, 304]
    meter = CAMERA.fy / 9
    foot = CAMERA.cy + 1.65 * meter  # row 158.7
    row = np.arange(188)

    def at(height: float) -> int:
        return round(foot - height * meter)

    assert column[round(foot)] == FOOTLINE
    assert column[at(0.15)] == column[at(-0.15)] == FOOTLINE
    assert column[at(0.5)] == OBSTACLE
    assert column[at(0.7)] == OBSTACLE
    assert column[at(0.8)] == SUPER_OBSTACLE
    assert column[at(1.9)] == SUPER_OBSTACLE
    assert (column[row < at(2.1)] == UNKNOWN).all()
    # Ground nearer than the foot, which a window of 1.5 m would show.
    assert column[at(-0.4)] == GROUND
    assert column[187] == GROUND  # 28 pixels below the foot; half a window has 37 at 7 m


def test_ground_far_from_any_obstacle_is_super_ground() -> None:
    labels = labeled([Box(0, 11.5, 1, 1, 2)])
    # 5 m before the box; a window there has 86 rows, and the foot is 40 rows above its center.
    assert labels.label[187, 304] == GROUND
    assert labels.label[170, 100] == SUPER_GROUND
    foot = round(CAMERA.cy + CAMERA.fy * 1.65 / 11)
    assert labels.label[foot, 304] == FOOTLINE
    assert labels.label[foot + 15, 304] == GROUND
    empty = labeled([])
    assert set(np.unique(empty.label)) == {UNKNOWN, SUPER_GROUND}


def test_beyond_stereos_range_everything_is_unknown() -> None:
    labels = labeled([Box(0, 14, 4, 1, 2)])
    horizon = CAMERA.cy + CAMERA.fy * 1.65 / 12
    assert (labels.label[: int(horizon)] == UNKNOWN).all()
    assert (labels.label[round(horizon) + 1 :] == SUPER_GROUND).mean() > 0.99
    assert SUPER_OBSTACLE in labeled([Box(0, 14, 4, 1, 2)], farthest=20).label
    assert np.nanmax(labels.range) <= 12


def test_a_kerb_is_ground_and_a_branch_is_unknown() -> None:
    assert OBSTACLE not in labeled([Box(4, 9, 4, 40, 0.15)]).label
    floating = labeled([Box(0, 10, 2, 0.5, 2.4, bottom=1.8)]).label
    assert not np.isin(floating, [FOOTLINE, OBSTACLE, SUPER_OBSTACLE]).any()
    post = labeled([Box(0, 10, 2, 0.5, 2.4, bottom=1.8), Box(0, 10, 0.4, 0.5, 1.8)]).label
    assert post[round(CAMERA.cy + CAMERA.fy * 0.4 / 9.75), 304] == SUPER_OBSTACLE


def test_an_obstacle_whose_foot_is_below_the_image() -> None:
    labels = labeled([Box(0, 5, 3, 2, 1.5)]).label
    assert labels[180, 304] in (OBSTACLE, SUPER_OBSTACLE)
    assert labels[130, 304] == SUPER_OBSTACLE


@pytest.mark.parametrize("tilt", [(0, 0), (2, 3), (-1, -2)])
def test_labels_do_not_depend_on_the_tilt(tilt: tuple[float, float]) -> None:
    plane = GroundPlane.from_angles(*tilt, 1.65)
    view = seen(plane, [Box(-2, 10, 1, 2, 1.5), Box(2, 11, 2, 1, 1.0)])
    labels = StereoLabeler()(disparity_of(view), CAMERA, plane)
    sides = labels.height > 0.45  # above what counts as a footline
    assert np.isin(labels.label[sides & (view.surface > 0)], [OBSTACLE, SUPER_OBSTACLE, UNKNOWN]).all()
    assert np.isin(labels.label[view.surface == 0], [SUPER_GROUND, GROUND, FOOTLINE, UNKNOWN]).all()
    assert (labels.label[sides & (view.surface > 0)] != UNKNOWN).mean() > 0.8


def test_confidence_by_hand() -> None:
    """Flat ground z meters ahead: the height is wrong by 1.65 z / (fx baseline) · ½ pixel, and 5 cm of roughness."""
    labels = labeled([])
    row = 170
    z = CAMERA.fy * 1.65 / (row - CAMERA.cy)
    error = np.hypot(1.65 * z / (CAMERA.fx * CAMERA.baseline) * 0.5, 0.05)
    expected = 2 * norm.cdf(0.3 / error) - 1
    assert labels.confidence[row, 300] == pytest.approx(expected, abs=1e-3)
    assert labels.height[row, 300] == pytest.approx(0, abs=1e-3)
    assert labels.range[row, 300] == pytest.approx(z, rel=1e-4)
    unknown = labels.label == UNKNOWN
    assert not labels.confidence[unknown].any()
    assert (labels.confidence[~unknown] >= 0.5).all()


@pytest.mark.parametrize("nothing", ["stereo", "ground", "disparities"])
def test_without_stereo_or_ground_everything_is_unknown(nothing: str) -> None:
    disparity = None if nothing == "stereo" else np.full(CAMERA.size, np.nan, np.float32)
    labels = StereoLabeler()(disparity, CAMERA, None if nothing == "ground" else LEVEL)
    assert (labels.label == UNKNOWN).all()
    assert not labels.confidence.any()
    assert not len(labels.points().label)


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match="with a calibration for"):
        StereoLabeler()(np.zeros((3, 4), np.float32), CAMERA, LEVEL)
    with pytest.raises(UsageError, match="farthest of stereo labels"):
        StereoLabeler(farthest=-1)
