from __future__ import annotations

import numpy as np
import pytest

from striate.robot import RANGES, Bands, FarResult, FarTest, RobotEye, View, WindowLabels
from tests.robot.drives import BOXES, POSES, STEP, drive
from tests.robot.scenes import CAMERA

N_FRAMES = 4


@pytest.fixture(scope="module")
def views() -> list[View]:
    return drive()[:N_FRAMES]


class Map:
    """Predicts the boxes, whose places it knows; with `share` below one half, the opposite."""

    def __init__(self, share: float = 0.9) -> None:
        self.share = share
        self.frame = 0

    def see(self, bands: Bands, labels: WindowLabels) -> np.ndarray:
        self.bands = bands
        windows = bands.windows
        z = windows.z + STEP * self.frame
        self.frame += 1
        box = np.any([(np.abs(windows.x - one.x) < 1.5) & (np.abs(z - one.z) < 2.5) for one in BOXES], axis=0)
        cost = np.where(box, self.share, 1 - self.share) - 0.01 * windows.range / 60
        zero = np.zeros_like(cost)
        return np.stack([1 - cost, zero, zero, zero, cost], axis=1)


def result_of(views: list[View], test: FarTest, sight: Map) -> FarResult:
    eye = RobotEye(CAMERA, sight)
    for frame, view in enumerate(views):
        eye.update(view.left, view.right, pose=POSES[frame])
        test.add(frame, eye.look_)
    return test.finish()


@pytest.fixture(scope="module")
def found(views: list[View]) -> FarResult:
    return result_of(views, FarTest(CAMERA), Map())


def test_scores_are_what_they_say(found: FarResult) -> None:
    """Against the definition of AUROC, pair by pair."""
    rng = np.random.default_rng(0)
    some = FarResult(
        np.zeros(60, np.int64),
        rng.uniform(5, 25, 60).astype(np.float32),
        rng.random(60) < 0.4,
        (rng.integers(0, 8, 60) / 7).astype(np.float32),
        np.arange(60),
    )
    score = some.score(12, 20)
    own = (some.range > 12) & (some.range <= 20)
    high, low = some.cost[own & some.obstacle], some.cost[own & ~some.obstacle]
    pairs = np.sign(high[:, None] - low)
    assert score.auroc == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert score.error == pytest.approx(0.5 * ((high <= 0.5).mean() + (low > 0.5).mean()))
    assert (score.n_windows, score.n_obstacles) == (len(high) + len(low), len(high))
    nothing = some.score(35, 60)
    assert nothing.n_windows == 0
    assert np.isnan([nothing.auroc, nothing.error]).all()
    assert [(one.nearest, one.farthest) for one in found.by_range()] == list(RANGES)


def test_windows_are_found_again(views: list[View]) -> None:
    sight, test = Map(), FarTest(CAMERA)
    eye = RobotEye(CAMERA, sight)
    ranges = []
    for frame, view in enumerate(views):
        eye.update(view.left, view.right, pose=POSES[frame])
        test.add(frame, eye.look_)
        ranges.append(sight.bands.windows.range)
    found = test.finish()
    expected = [ranges[frame][window] for frame, window in zip(found.frame, found.window, strict=True)]
    np.testing.assert_array_equal(found.range, expected)


def test_who_knows_the_world_sees_far(views: list[View], found: FarResult) -> None:
    far = found.by_range()[1]
    assert far.n_obstacles > 20
    assert far.n_windows - far.n_obstacles > 20
    assert far.auroc > 0.9
    assert far.error < 0.2
    opposite = result_of(views, FarTest(CAMERA), Map(0.1)).by_range()[1]
    assert opposite.auroc < 0.2


def test_far_windows_wait_for_a_later_frame(views: list[View], found: FarResult) -> None:
    """In the last frame, nothing far can be known; its near windows are labeled at once."""
    far = found.range > 12
    assert set(found.frame[far]) <= set(range(N_FRAMES - 1))
    assert set(found.frame[~far]) == set(range(N_FRAMES))
    curve = found.learning_curve()
    assert [frame for frame, _ in curve] == sorted(set(found.frame[far]))
    assert sum(score.n_windows for _, score in curve) == np.count_nonzero(far)
    alone = result_of(views[:1], FarTest(CAMERA), Map())
    assert (alone.range <= 12).all()
    assert len(alone.range)


def test_the_horizon_and_the_first_frame(views: list[View], found: FarResult) -> None:
    short = result_of(views, FarTest(CAMERA, horizon=1), Map())
    assert 0 < np.count_nonzero(short.range > 12) < np.count_nonzero(found.range > 12)
    late = result_of(views, FarTest(CAMERA, first=2), Map())
    own = found.frame >= 2
    np.testing.assert_array_equal(late.cost, found.cost[own])
    np.testing.assert_array_equal(late.obstacle, found.obstacle[own])


def test_where_the_way_is_lost_nothing_is_carried_over(views: list[View]) -> None:
    black = np.zeros_like(views[0].left)
    eye, test = RobotEye(CAMERA, Map()), FarTest(CAMERA)
    for frame, view in enumerate([views[0], views[1]]):
        if frame == 1:
            eye.update(black, view.right)
            test.add(1, eye.look_)
            assert eye.look_.lost
        eye.update(view.left, view.right)
        test.add(2 * frame, eye.look_)
    assert (test.finish().range <= 12).all()


def test_nothing_was_seen() -> None:
    result = FarTest(CAMERA).finish()
    assert not len(result.cost)
    assert not result.learning_curve()
    assert all(np.isnan(score.auroc) for score in result.by_range())
