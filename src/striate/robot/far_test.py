"""How well a robot's eye saw what was far, by what stereo said when it came near: errors and AUROC by range."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.parameters import Instance, Integer, checked
from striate.recognition import area_under_roc
from striate.robot.calibration import Calibration
from striate.robot.eye import Look
from striate.robot.labels import FIRST_OBSTACLE, UNKNOWN, obstacle_share
from striate.robot.pyramid import Bands
from striate.robot.truth import Sighting, labels_from_future, refuse_leaks, sighting

__all__ = ["RANGES", "FarResult", "FarTest", "RangeScore"]

RANGES = ((0.0, 12.0), (12.0, 20.0), (20.0, 35.0), (35.0, 60.0))
"""Ranges that are scored apart, in meters: what stereo labels, and three beyond."""


class RangeScore(NamedTuple):
    """How well obstacles and ground were told apart at some range.

    Attributes
    ----------
    nearest, farthest : float
        Meters.
    n_windows, n_obstacles : int
        Windows with a label, and those of them that show an obstacle or its foot.
    auroc : float
        Probability that of an obstacle and a piece of ground the obstacle has the higher cost; NaN without both.
    error : float
        Mean share of obstacles and of ground that were mistaken, each counted with one half; NaN without both.
    """

    nearest: float
    farthest: float
    n_windows: int
    n_obstacles: int
    auroc: float
    error: float


class FarResult(NamedTuple):
    """Windows whose labels became known, each predicted before anything was learned from it.

    Attributes
    ----------
    frame : (n_windows,) int64 array
        In which they were predicted.
    range : (n_windows,) float32 array
        Meters.
    obstacle : (n_windows,) bool array
        Whether it is an obstacle, by stereo.
    cost : (n_windows,) float32 array
        The predicted probability of that.
    window : (n_windows,) int64 array
        Place among the windows of its frame, `Bands.windows`.
    """

    frame: NDArray[np.int64]
    range: NDArray[np.float32]
    obstacle: NDArray[np.bool_]
    cost: NDArray[np.float32]
    window: NDArray[np.int64]

    def score(self, nearest: float, farthest: float) -> RangeScore:
        """Score the windows at ranges above `nearest`, up to `farthest`."""
        own = (self.range > nearest) & (self.range <= farthest)
        obstacle, cost = self.obstacle[own], self.cost[own]
        n_obstacles = int(np.count_nonzero(obstacle))
        auroc = error = float("nan")
        if 0 < n_obstacles < len(obstacle):
            auroc = area_under_roc(cost[obstacle], cost[~obstacle])
            error = 0.5 * float((cost[obstacle] <= 0.5).mean() + (cost[~obstacle] > 0.5).mean())
        return RangeScore(nearest, farthest, len(obstacle), n_obstacles, auroc, error)

    def by_range(self) -> list[RangeScore]:
        """The scores of `RANGES`."""
        return [self.score(*limits) for limits in RANGES]

    def learning_curve(self) -> list[tuple[int, RangeScore]]:
        """The score beyond stereo's range of each frame that has such windows."""
        nearest, farthest = RANGES[1][0], RANGES[-1][1]
        far = (self.range > nearest) & (self.range <= farthest)
        frames = np.unique(self.frame[far])
        return [
            (int(frame), FarResult(*(field[self.frame == frame] for field in self)).score(nearest, farthest))
            for frame in frames
        ]


class _Tested(NamedTuple):
    frame: int
    bands: Bands  # without their pixels
    disparity: NDArray[np.float32] | None
    camera: NDArray[np.float64]
    cost: NDArray[np.float32]


class FarTest:
    """Collects what an eye predicts, and compares it with what is known later.

    Windows up to 12 m are compared with stereo's labels of the same frame, before these are learned from; windows
    beyond, with labels from the future (`labels_from_future`), all of which must be from later frames.

    Parameters
    ----------
    calibration : Calibration
    horizon : int, default 40
        Frames for which a far window waits for its label. What is kept is bounded by it, about 3 MB for each.
    first : int, default 0
        Frames before this one are not tested; features that were learned from their labels would have an advantage.
    """

    def __init__(self, calibration: Calibration, *, horizon: int = 40, first: int = 0) -> None:
        self.calibration = checked("calibration of a test", calibration, Instance(Calibration, words="a Calibration"))
        self.horizon = checked("horizon of a test", horizon, Integer(low=1))
        self.first = checked("first frame of a test", first, Integer(low=0))
        self._waiting: list[_Tested] = []
        self._sightings: list[Sighting] = []
        self._found: list[FarResult] = []

    def add(self, frame: int, look: Look) -> None:
        """Add what was found in the next frame.

        Parameters
        ----------
        frame : int
            Its place in the sequence.
        look : Look
        """
        if look.lost:  # nobody knows where what was seen before is now
            self._compare_all()
            self._sightings.clear()
        if look.disparity is not None:
            self._sightings.append(sighting(frame, look.labels, look.disparity, self.calibration, look.camera))
        if look.bands is not None and look.windows is not None and look.probabilities is not None:
            cost = obstacle_share(look.probabilities)
            if frame >= self.first:
                ranges = look.bands.windows.range
                self._keep(frame, ranges, look.windows.label, cost, ranges <= RANGES[0][1])
                self._waiting.append(_Tested(frame, _without_pixels(look.bands), look.disparity, look.camera, cost))
        while self._waiting and self._waiting[0].frame <= frame - self.horizon:
            self._compare(self._waiting.pop(0))
        self._sightings = [seen for seen in self._sightings if seen.frame > frame - 2 * self.horizon]

    def finish(self) -> FarResult:
        """Compare what still waits with what is known by now."""
        self._compare_all()
        empty = FarResult(
            np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, bool), np.empty(0, np.float32),
            np.empty(0, np.int64),
        )  # fmt: skip
        return FarResult(*(np.concatenate(fields) for fields in zip(empty, *self._found, strict=True)))

    def _compare_all(self) -> None:
        while self._waiting:
            self._compare(self._waiting.pop(0))

    def _compare(self, tested: _Tested) -> None:
        frame, bands = tested.frame, tested.bands
        labels = labels_from_future(frame, bands, tested.camera, self._sightings, disparity=tested.disparity)
        refuse_leaks(frame, labels)
        self._keep(frame, bands.windows.range, labels.label, tested.cost, bands.windows.range > RANGES[0][1])

    def _keep(
        self,
        frame: int,
        ranges: NDArray[np.float32],
        label: NDArray[np.int8],
        cost: NDArray[np.float32],
        own: NDArray[np.bool_],
    ) -> None:
        known = np.flatnonzero(own & (label != UNKNOWN) & np.isfinite(cost))
        number = np.full(len(known), frame, np.int64)
        self._found.append(FarResult(number, ranges[known], label[known] >= FIRST_OBSTACLE, cost[known], known))


def _without_pixels(bands: Bands) -> Bands:
    return replace(bands, bands=tuple(replace(band, image=band.image[:, :0].copy()) for band in bands.bands))
