"""Truth by the future: what is far now will be near, and labeled by stereo, some frames later.

Labeled points of later frames are carried back by the camera's motion to an earlier frame, where they give labels to
windows that stereo could not label then. A learner must not be trained on such a label before it was tested on it:
`LabelSchedule` hands each of them out only when the frames that it came from have been seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Integer, Real, checked
from striate.robot.calibration import Calibration
from striate.robot.labels import UNKNOWN, LabeledPoints, Labels
from striate.robot.pyramid import Bands
from striate.robot.window_labels import label_windows, latest_frame

__all__ = ["DueLabels", "FutureLabels", "LabelSchedule", "Sighting", "labels_from_future", "refuse_leaks", "sighting"]

_DISPARITY_TOLERANCE = 1.5  # pixels
_HIDDEN = 1.15  # times farther than what else is seen at a pixel


class Sighting(NamedTuple):
    """What stereo labeled in one frame, in world coordinates.

    Attributes
    ----------
    frame : int
        Place of the frame in its sequence.
    points : (3, n_points) float64 array
        World coordinates, in meters.
    label : (n_points,) int8 array
    confidence : (n_points,) float32 array
    """

    frame: int
    points: NDArray[np.float64]
    label: NDArray[np.int8]
    confidence: NDArray[np.float32]


class FutureLabels(NamedTuple):
    """Labels of an earlier frame's windows, in the order of `Bands.windows`.

    Attributes
    ----------
    label : (n_windows,) int8 array
        Index in `CLASSES`, or `UNKNOWN`.
    confidence : (n_windows,) float32 array
    known_at : (n_windows,) int32 array
        The last of the frames that the label came from; −1 where it is unknown. It is later than the windows' own.
    """

    label: NDArray[np.int8]
    confidence: NDArray[np.float32]
    known_at: NDArray[np.int32]


class DueLabels(NamedTuple):
    """Labels that may be used for training.

    Attributes
    ----------
    frame : int
        Whose windows they belong to.
    windows : (n_labels,) int64 array
        Indices in the windows of that frame.
    label : (n_labels,) int8 array
    confidence : (n_labels,) float32 array
    """

    frame: int
    windows: NDArray[np.int64]
    label: NDArray[np.int8]
    confidence: NDArray[np.float32]


def sighting(
    frame: int,
    labels: Labels,
    disparity: NDArray[np.float32],
    calibration: Calibration,
    pose: NDArray[np.float64],
    *,
    every: int = 2,
) -> Sighting:
    """Labeled pixels as points of the world.

    Parameters
    ----------
    frame : int
    labels : Labels
    disparity : (height, width) float32 array
    calibration : Calibration
    pose : (4, 4) float64 array
        From the coordinates of the left camera to those of the world.
    every : int, default 2
        Only pixels of every second row and column, which are still ten of a far pixel.
    """
    rows, columns = np.nonzero(labels.label[::every, ::every] != UNKNOWN)
    rows, columns = rows * every, columns * every
    points = calibration.points(calibration.depth(disparity))[:, rows, columns].astype(np.float64)
    world = pose[:3, :3] @ points + pose[:3, 3:]
    return Sighting(frame, world, labels.label[rows, columns], labels.confidence[rows, columns])


def labels_from_future(
    frame: int,
    bands: Bands,
    pose: NDArray[np.float64],
    sightings: Iterable[Sighting],
    *,
    disparity: NDArray[np.float32] | None = None,
    nearest: float = 12.0,
) -> FutureLabels:
    """Labels of a frame's far windows, by what later frames saw from near.

    Parameters
    ----------
    frame : int
        Place of the frame in its sequence.
    bands : Bands
        Of that frame.
    pose : (4, 4) float64 array
        Of that frame.
    sightings : iterable of Sighting
        Of the same drive. Those of later frames give labels. Windows that show what this frame or an earlier one has
        labeled are left out: a learner may have been trained on it.
    disparity : (height, width) float32 array, optional
        Of that frame. Points that it contradicts, by 1.5 pixels, are left out: they were hidden by something, or have
        moved in the meantime.
    nearest : float, default 12
        Meters; nearer windows are left out, since stereo labels them already.

    Returns
    -------
    FutureLabels
    """
    nearest = checked("nearest", nearest, Real(low=0))
    seen = list(sightings)
    later = [each for each in seen if each.frame > frame]
    earlier = [each for each in seen if each.frame <= frame]
    points, frames = _carried(later, bands, pose, disparity, nearest)
    found = label_windows(points, bands)
    latest = latest_frame(points, frames, bands)
    before, _ = _carried(earlier, bands, pose, None, nearest)
    leaked = label_windows(before, bands).label != UNKNOWN
    label = np.where(leaked, np.int8(UNKNOWN), found.label)
    unknown = label == UNKNOWN
    return FutureLabels(
        label, np.where(unknown, np.float32(0), found.confidence), np.where(unknown, -1, latest).astype(np.int32)
    )


def _carried(
    sightings: list[Sighting],
    bands: Bands,
    pose: NDArray[np.float64],
    disparity: NDArray[np.float32] | None,
    nearest: float,
) -> tuple[LabeledPoints, NDArray[np.int32]]:
    """Points of other frames where this one sees them, and their frames."""
    calibration, plane = bands.calibration, bands.plane
    world = np.concatenate([seen.points for seen in sightings] or [np.empty((3, 0))], axis=1)
    label = np.concatenate([seen.label for seen in sightings] or [np.empty(0, np.int8)])
    confidence = np.concatenate([seen.confidence for seen in sightings] or [np.empty(0, np.float32)])
    frames = np.repeat([seen.frame for seen in sightings], [len(seen.label) for seen in sightings]).astype(np.int32)
    own = pose[:3, :3].T @ (world - pose[:3, 3:])
    distance = plane.place(own)[1]
    height, width = calibration.size
    with np.errstate(invalid="ignore"):
        rows, columns = calibration.project(own)
        row, column = np.rint(rows), np.rint(columns)
        seen = (row >= 0) & (row < height) & (column >= 0) & (column < width) & (distance > 0)
    row, column = row[seen].astype(np.int64), column[seen].astype(np.int64)
    depth = own[2, seen]
    visible = distance[seen] >= nearest
    # Of what was carried to one pixel, the nearest hides the rest.
    front = np.full(calibration.size, np.inf)
    np.minimum.at(front, (row, column), depth)
    visible &= depth <= _HIDDEN * front[row, column]
    if disparity is not None:
        expected = calibration.fx * calibration.baseline / depth
        with np.errstate(invalid="ignore"):
            visible &= ~(np.abs(disparity[row, column] - expected) > _DISPARITY_TOLERANCE)  # also where it is unknown
    which = np.flatnonzero(seen)[visible]
    points = LabeledPoints(
        rows[which].astype(np.float32),
        columns[which].astype(np.float32),
        distance[which].astype(np.float32),
        label[which],
        confidence[which],
    )
    return points, frames[which]


def refuse_leaks(frame: int, labels: FutureLabels) -> None:
    """Raise UsageError if a label is known before its own frame is over: a learner could have been trained on it."""
    if (labels.known_at[labels.label != UNKNOWN] <= frame).any():
        raise UsageError(f"a label of frame {frame} came from the frame itself, or from an earlier one")


class LabelSchedule:
    """Keeps labels from the future until a learner may be trained on them.

    In each frame, a learner first predicts the windows of that frame, which is its test; then it may be trained on what
    is due. A label is due as soon as the last of the frames that it came from has been seen, which is after the test of
    its own window, and not before.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, FutureLabels] = {}
        self._now = -1

    def add(self, frame: int, labels: FutureLabels) -> None:
        """Add the labels of a frame's windows.

        Raises
        ------
        UsageError
            If a label is known before its own frame is over, so that a learner could have been trained on it.
        """
        if frame in self._waiting:
            raise UsageError(f"the labels of frame {frame} have been added already")
        refuse_leaks(frame, labels)
        self._waiting[frame] = labels

    def due(self, now: int) -> list[DueLabels]:
        """Labels that became due since the last call, and up to frame `now`, whose windows have been tested.

        Raises
        ------
        UsageError
            If `now` is not later than at the last call.
        """
        now = checked("now", now, Integer(low=0))
        if now <= self._now:
            raise UsageError(f"frame {now} has passed: labels are handed out once, in the order of the frames")
        found = []
        for frame, labels in sorted(self._waiting.items()):
            which = np.flatnonzero((labels.known_at > self._now) & (labels.known_at <= now))
            if len(which):
                found.append(DueLabels(frame, which, labels.label[which], labels.confidence[which]))
        self._now = now
        self._waiting = {frame: labels for frame, labels in self._waiting.items() if (labels.known_at > now).any()}
        return found
