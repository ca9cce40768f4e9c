"""Labels by stereo: what is ground, where an obstacle stands, and what is obstacle, with a confidence.

The five classes of the talk are told apart by what a window that is centered there sees. Obstacle and ground differ by
their height over the local ground. A *footline* is where an obstacle meets the ground; *ground* and *obstacle* are
within half a window of a footline in the same column, *super-ground* and *super-obstacle* are farther away from it, so
that a window shows nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from striate.errors import UsageError
from striate.parameters import Real, checked
from striate.robot.calibration import Calibration
from striate.robot.ground import local_ground
from striate.robot.plane import GroundPlane

__all__ = ["CLASSES", "FIRST_OBSTACLE", "UNKNOWN", "LabeledPoints", "Labels", "StereoLabeler", "obstacle_share"]

CLASSES = ("super-ground", "ground", "footline", "obstacle", "super-obstacle")
"""Names of the labels 0–4."""

UNKNOWN = -1
"""The label of what is not known."""

_SUPER_GROUND, _GROUND, _FOOTLINE, _OBSTACLE, _SUPER_OBSTACLE = range(5)
FIRST_OBSTACLE = _FOOTLINE  # this class and those after it: what stands on the ground, or where it stands
_HALF_WINDOW = 0.75  # meters: half of 12 pixels at 8 pixels per meter
_FOOT = 0.2  # meters, in the image, that a footline extends to either side
_DISPARITY_ERROR = 0.5  # pixels
_ROUGHNESS = 0.05  # meters by which ground that is traversable differs from the smooth ground
_BASE = 1.0  # meters: an obstacle is seen up to this height above its foot
_LEAST_VOTES = 3  # pixels that stand on one place


def obstacle_share(probabilities: NDArray[Any]) -> NDArray[Any]:
    """What `CLASSES` of obstacles have in all, (…): of probabilities, or sums of them, (…, 5)."""
    return np.asarray(probabilities[..., FIRST_OBSTACLE:].sum(axis=-1))


class Labels(NamedTuple):
    """Labels of the pixels of an image.

    Attributes
    ----------
    label : (height, width) int8 array
        Index in `CLASSES`, or `UNKNOWN`.
    confidence : (height, width) float32 array
        0–1: the probability that the height is on its side of the threshold, twice, minus 1; 0 where unknown.
    height : (height, width) float32 array
        Meters over the local ground; NaN where it is not known well, beyond `StereoLabeler.farthest`, and where nothing
        of a robot's height is.
    range : (height, width) float32 array
        Meters ahead, along the ground; NaN likewise.
    """

    label: NDArray[np.int8]
    confidence: NDArray[np.float32]
    height: NDArray[np.float32]
    range: NDArray[np.float32]

    def points(self, every: int = 1) -> LabeledPoints:
        """The pixels that have a label; of every `every`-th row and column."""
        grid = self.label[::every, ::every]
        rows, columns = (axis * every for axis in np.nonzero(grid != UNKNOWN))
        return LabeledPoints(
            rows.astype(np.float32),
            columns.astype(np.float32),
            self.range[rows, columns],
            self.label[rows, columns],
            self.confidence[rows, columns],
        )


class LabeledPoints(NamedTuple):
    """Places of an image with a label; every field has shape (n_points,).

    Attributes
    ----------
    image_row, image_column : float32
    range : float32
        Meters ahead, along the ground.
    label : int8
    confidence : float32
    """

    image_row: NDArray[np.float32]
    image_column: NDArray[np.float32]
    range: NDArray[np.float32]
    label: NDArray[np.int8]
    confidence: NDArray[np.float32]

    def take(self, which: NDArray[np.integer] | NDArray[np.bool_] | slice) -> LabeledPoints:
        """Some of the points, by indices, a mask or a slice."""
        return LabeledPoints(
            self.image_row[which],
            self.image_column[which],
            self.range[which],
            self.label[which],
            self.confidence[which],
        )


@dataclass(frozen=True)
class StereoLabeler:
    """Labels pixels by their height over the local ground.

    Parameters
    ----------
    farthest : float, default 12
        Range up to which stereo is believed, in meters: that of the talk's robot. Beyond it everything is unknown.
    step : float, default 0.3
        Height in meters from which something is an obstacle: a kerb is none.
    clearance : float, default 2.5
        Things higher than this above the ground, such as the crown of a tree, are unknown: a robot passes below them,
        but what stands on the ground there is not seen in them.
    least_confidence : float, default 0.5
        Pixels with less are unknown.
    """

    farthest: float = 12.0
    step: float = 0.3
    clearance: float = 2.5
    least_confidence: float = 0.5

    def __post_init__(self) -> None:
        rules = {
            "farthest": Real(above=0),
            "step": Real(above=0),
            "clearance": Real(above=0),
            "least_confidence": Real(low=0, high=1),
        }
        for name, rule in rules.items():
            object.__setattr__(self, name, checked(f"{name} of stereo labels", getattr(self, name), rule))

    def __call__(
        self, disparity: NDArray[np.float32] | None, calibration: Calibration, plane: GroundPlane | None
    ) -> Labels:
        """Label every pixel.

        Parameters
        ----------
        disparity : (height, width) float32 array or None
            None where a frame has no stereo: everything is unknown.
        calibration : Calibration
        plane : GroundPlane or None
            None where no ground was found: everything is unknown.

        Returns
        -------
        Labels
        """
        if disparity is None or plane is None:
            nothing = np.full(calibration.size, np.nan, np.float32)
            return Labels(np.full(calibration.size, UNKNOWN, np.int8), np.zeros_like(nothing), nothing, nothing.copy())
        if disparity.shape != calibration.size:
            raise UsageError(f"a disparity of shape {disparity.shape} with a calibration for {calibration.size}")
        depth = calibration.depth(disparity)
        with np.errstate(invalid="ignore"):
            rows, columns = np.nonzero(depth <= 1.2 * self.farthest)  # the rest is too far, whatever the tilt
        points = calibration.points(depth)[:, rows, columns]
        over_plane, places = plane.height(points), plane.place(points)
        own_height = (over_plane - local_ground(over_plane, places)).astype(np.float32)
        error = self._error(over_plane, points[2], calibration, plane)
        confidence = erf(np.abs(own_height - np.float32(self.step)) / (np.float32(np.sqrt(2)) * error))
        # What is as far below the ground as an obstacle is above it is an error of stereo, or a hole.
        sure = (places[1] > 0) & (places[1] <= self.farthest) & (own_height < self.clearance)
        sure &= (own_height > -self.step) & (confidence >= self.least_confidence)
        rows, columns = rows[sure], columns[sure]
        height = np.full(calibration.size, np.nan, np.float32)
        distance, certain = height.copy(), np.zeros_like(height)
        height[rows, columns] = own_height[sure]
        distance[rows, columns] = places[1][sure]
        certain[rows, columns] = confidence[sure]
        label = _by_column(height, distance, self.step, calibration, plane)
        certain[label == UNKNOWN] = 0
        return Labels(label, certain, height, distance)

    @staticmethod
    def _error(
        height: NDArray[np.floating], depth: NDArray[np.floating], calibration: Calibration, plane: GroundPlane
    ) -> NDArray[np.floating]:
        """Standard deviation of the height, in meters, by that of the disparity, along the ray."""
        by_depth = (height - np.float32(plane.camera_height)) / depth
        depth_error = np.square(depth) * np.float32(_DISPARITY_ERROR / (calibration.fx * calibration.baseline))
        error: NDArray[np.floating] = np.hypot(by_depth * depth_error, np.float32(_ROUGHNESS))
        return error


def _by_column(
    height: NDArray[np.float32],
    distance: NDArray[np.float32],
    step: float,
    calibration: Calibration,
    plane: GroundPlane,
) -> NDArray[np.int8]:
    """The five classes, by what is above and below in the same column; `height` is NaN where nothing is sure."""
    n_rows = len(height)
    sure = np.isfinite(height)
    tall = np.greater(height, step, where=sure, out=np.zeros_like(sure))
    low = np.less(height, 2 * _FOOT, where=sure, out=np.zeros_like(sure))
    feet, stands = _feet(height, distance, tall, calibration)
    label = np.full(height.shape, UNKNOWN, np.int8)
    ground = sure & ~tall
    row = np.arange(n_rows)[:, None]
    above = np.maximum.accumulate(np.where(feet, row, -(10**6)), axis=0)
    below = np.minimum.accumulate(np.where(feet, row, 10**6)[::-1], axis=0)[::-1]
    per_meter = _pixels_per_meter(calibration, plane)[:, None]
    label[ground] = _SUPER_GROUND
    label[ground & (row - above <= _HALF_WINDOW * per_meter)] = _GROUND
    label[stands] = _SUPER_OBSTACLE
    label[stands & np.less(height, _HALF_WINDOW, where=sure, out=np.zeros_like(sure))] = _OBSTACLE
    # Stereo rounds the corner between wall and ground: what is low and beside a foot belongs to it.
    at_foot = np.minimum(row - above, below - row) <= np.maximum(_FOOT * per_meter, 1)
    label[at_foot & low & (ground | stands)] = _FOOTLINE
    return label


def _feet(
    height: NDArray[np.float32], distance: NDArray[np.float32], tall: NDArray[np.bool_], calibration: Calibration
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Pixels where obstacles meet the ground, and the obstacles' pixels that stand on one of these.

    What floats is no obstacle: wrong matches in the sky, or branches.
    """
    shape = tall.shape
    rows, columns = np.nonzero(tall)
    # Where the ground below an obstacle's pixel is: its height, further down in the image, or below the image.
    meter = calibration.fy / distance[rows, columns]  # pixels
    foot = np.rint(rows + height[rows, columns] * meter).astype(np.int64)
    seen = foot < shape[0]
    foot = np.minimum(foot, shape[0] - 1)
    base = foot - rows < _BASE * meter

    def voted(chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        votes = np.bincount(foot[chosen] * shape[1] + columns[chosen], minlength=shape[0] * shape[1]).reshape(shape)
        enough: NDArray[np.bool_] = (votes > 0) & (_box_sum(votes, 1, 1) >= _LEAST_VOTES)
        return enough

    feet = voted(base & seen)
    # The foot of a high pixel is as uncertain as its range.
    near = _box_sum((feet | voted(base & ~seen)).astype(np.int64), 4, 2) > 0
    standing = near[foot, columns]
    stands = np.zeros(shape, np.bool_)
    stands[rows[standing], columns[standing]] = True
    return feet, stands


def _box_sum(values: NDArray[np.int64], down: int, across: int) -> NDArray[np.int64]:
    """Sums over boxes of `2 down + 1` rows and `2 across + 1` columns around every pixel."""
    padded = np.pad(values, ((down + 1, down), (across + 1, across))).cumsum(0).cumsum(1)
    high, wide = 2 * down + 1, 2 * across + 1
    sums: NDArray[np.int64] = (
        padded[high:, wide:] - padded[:-high, wide:] - padded[high:, :-wide] + padded[:-high, :-wide]
    )
    return sums


def _pixels_per_meter(calibration: Calibration, plane: GroundPlane) -> NDArray[np.float64]:
    """Of the ground that is seen in each row, straight ahead; 0 from the horizon up."""
    down = (np.arange(calibration.size[0]) - calibration.cy) / calibration.fy
    per_depth = -(plane.up[1] * down + plane.up[2]) / plane.camera_height
    return np.maximum(calibration.fy * per_depth, 0)
