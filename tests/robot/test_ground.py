from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.robot import GroundFinder, GroundPlane, StereoMatcher, local_ground
from tests.robot.scenes import CAMERA, disparity_of, seen

PLANES = [
    GroundPlane.from_angles(0, 0, 1.65),
    GroundPlane.from_angles(2, -3, 1.5),
    GroundPlane.from_angles(-1.5, 2, 1.8),
    GroundPlane.from_angles(6, 5, 1.0),
]


def degrees_between(first: GroundPlane, second: GroundPlane) -> float:
    return float(np.rad2deg(np.arccos(np.clip(np.dot(first.up, second.up), -1, 1))))


@pytest.mark.parametrize("plane", PLANES)
def test_the_ground_of_scenes_with_known_geometry(plane: GroundPlane) -> None:
    """Rendered pairs, matched: within 1° and 5 cm."""
    view = seen(plane)
    fit = GroundFinder()(StereoMatcher()(view.left, view.right), CAMERA)
    assert fit is not None
    assert degrees_between(fit.plane, plane) < 1
    assert abs(fit.plane.camera_height - plane.camera_height) < 0.05
    assert fit.share > 0.3


@pytest.mark.parametrize("plane", PLANES)
def test_exact_disparities_give_the_exact_ground(plane: GroundPlane) -> None:
    fit = GroundFinder()(disparity_of(seen(plane)), CAMERA)
    assert fit is not None
    assert degrees_between(fit.plane, plane) < 0.05
    assert abs(fit.plane.camera_height - plane.camera_height) < 0.005


def test_half_of_the_points_may_be_wrong(rng: np.random.Generator) -> None:
    plane = PLANES[1]
    disparity = disparity_of(seen(plane))
    wrong = rng.uniform(size=disparity.shape) < 0.5
    disparity[wrong] = rng.uniform(1, 60, np.count_nonzero(wrong))
    fit = GroundFinder()(disparity, CAMERA)
    assert fit is not None
    assert degrees_between(fit.plane, plane) < 0.3
    assert abs(fit.plane.camera_height - plane.camera_height) < 0.03


def test_the_last_plane_counts_a_little() -> None:
    plane, last = GroundPlane.from_angles(1, 0, 1.6), GroundPlane.from_angles(2, 1, 1.7)
    disparity = disparity_of(seen(plane))
    alone, drawn = GroundFinder()(disparity, CAMERA), GroundFinder()(disparity, CAMERA, prior=last)
    assert alone is not None
    assert drawn is not None
    moved = drawn.plane.pitch - alone.plane.pitch
    assert 0.05 < moved < 0.5
    # With few points the prior says more.
    few = disparity.copy()
    few[np.random.default_rng(0).uniform(size=few.shape) < 0.99] = np.nan
    same = GroundFinder()(few, CAMERA, prior=plane)
    assert same is not None
    assert degrees_between(same.plane, plane) < 0.1


def test_the_same_seed_gives_the_same_bits() -> None:
    noise = np.random.default_rng(0).normal(0, 0.3, CAMERA.size)
    disparity = (disparity_of(seen(PLANES[0])) + noise).astype(np.float32)
    first, second = (GroundFinder()(disparity, CAMERA, random_state=7) for _ in range(2))
    assert first == second
    assert first != GroundFinder()(disparity, CAMERA, random_state=8)


def test_no_ground_is_no_plane(rng: np.random.Generator) -> None:
    finder = GroundFinder()
    assert finder(np.full(CAMERA.size, np.nan, np.float32), CAMERA) is None
    assert finder(rng.uniform(5, 60, CAMERA.size).astype(np.float32), CAMERA) is None  # images that are no pair
    assert finder(np.full(CAMERA.size, 20, np.float32), CAMERA) is None  # a wall
    steep = disparity_of(seen(GroundPlane.from_angles(25, 0, 1.6)))
    assert finder(steep, CAMERA) is None
    # A baseline of ten times the real one would put the camera 16 m above the ground.
    assert finder((disparity_of(seen(PLANES[0])) * 0.1).astype(np.float32), CAMERA) is None


def test_ups_and_downs_by_hand() -> None:
    """A kerb of 12 cm at the right side, and a wall, which is no ground."""
    across, ahead = (grid.ravel() for grid in np.meshgrid(np.arange(-6, 6, 0.1), np.arange(6, 12, 0.1)))
    heights = np.where(across > 2, 0.12, 0.0)
    wall = np.abs(across + 3) < 0.3
    heights = np.where(wall, 1.0, heights)
    local = local_ground(heights, np.stack([across, ahead]))
    assert np.abs(local[(across < -4.5) | (np.abs(across) < 0.5)]).max() < 0.02
    assert local[(across > 4) & (across < 5) & (ahead > 8) & (ahead < 10)] == pytest.approx(0.12, abs=0.02)
    assert np.abs(local[wall]).max() < 0.02
    assert not local_ground(heights, np.stack([across, ahead + 60])).any()


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match="with a calibration for"):
        GroundFinder()(np.zeros((3, 4), np.float32), CAMERA)
    with pytest.raises(UsageError, match="n_trials of a ground finder"):
        GroundFinder(n_trials=0)
