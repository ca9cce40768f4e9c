"""Labels of windows, by the labeled points at their center that are at the range of their band."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.robot.labels import CLASSES, UNKNOWN, LabeledPoints
from striate.robot.pyramid import WINDOW, Bands

__all__ = ["WindowLabels", "label_windows", "latest_frame"]

_ROWS, _COLUMNS = 4, 3  # around a window's center, whose row is between two pixels
_LEAST_POINTS = 4
_LEAST_SHARE = 0.6  # of the points that agree


class WindowLabels(NamedTuple):
    """Labels of windows, in the order of `Bands.windows`.

    Attributes
    ----------
    label : (n_windows,) int8 array
        Index in `CLASSES`, or `UNKNOWN`.
    confidence : (n_windows,) float32 array
        0–1; 0 where unknown.
    """

    label: NDArray[np.int8]
    confidence: NDArray[np.float32]


class _InBand(NamedTuple):
    """Points that belong to a band, and its windows."""

    points: NDArray[np.int64]  # indices
    row: NDArray[np.int64]  # pixels of the band
    column: NDArray[np.int64]
    shape: tuple[int, int]
    windows: slice
    top: NDArray[np.int32]  # of the pixels around the windows' centers
    left: NDArray[np.int32]


def label_windows(points: LabeledPoints, bands: Bands) -> WindowLabels:
    """Labels of windows, by what is seen at their center, at the range of their band.

    Parameters
    ----------
    points : LabeledPoints
        Of the same image. A point counts for the band whose range is nearest to its own, and for no other: elsewhere it
        has the wrong size.
    bands : Bands

    Returns
    -------
    WindowLabels
        A window has a label when 4 or more points are within 2 rows and 1 column of its center and 60 % of them, by
        confidence, agree.
    """
    n_windows, n_classes = len(bands.windows.band), len(CLASSES)
    label = np.full(n_windows, UNKNOWN, np.int8)
    confidence = np.zeros(n_windows, np.float32)
    for found in _by_band(points, bands):
        cell = (found.row * found.shape[1] + found.column) * n_classes + points.label[found.points]
        shape = (*found.shape, n_classes)
        weight = np.bincount(cell, points.confidence[found.points], np.prod(shape)).reshape(shape)
        number = np.bincount(cell, minlength=np.prod(shape)).reshape(shape).sum(axis=2, keepdims=True)
        by_class = _box_sums(weight, found.top, found.left)
        n_points = _box_sums(number, found.top, found.left)[:, 0]
        total = by_class.sum(axis=1)
        share = by_class.max(axis=1) / np.maximum(total, 1e-12)
        good = (n_points >= _LEAST_POINTS) & (share >= _LEAST_SHARE)
        label[found.windows] = np.where(good, by_class.argmax(axis=1), UNKNOWN)
        confidence[found.windows] = np.where(good, share * total / np.maximum(n_points, 1), 0)
    return WindowLabels(label, confidence)


def latest_frame(points: LabeledPoints, frames: NDArray[np.integer], bands: Bands) -> NDArray[np.int32]:
    """The last of the frames that the points at each window's center came from.

    Parameters
    ----------
    points : LabeledPoints
    frames : (n_points,) int array
    bands : Bands

    Returns
    -------
    (n_windows,) int32 array
        −1 where there is no point.
    """
    latest = np.full(len(bands.windows.band), -1, np.int32)
    for found in _by_band(points, bands):
        last = np.full(found.shape, -1, np.int32)
        np.maximum.at(last, (found.row, found.column), frames[found.points])
        own = np.full(len(found.top), -1, np.int32)
        for down in range(_ROWS):
            for right in range(_COLUMNS):
                np.maximum(own, last[found.top + down, found.left + right], out=own)
        latest[found.windows] = own
    return latest


def _by_band(points: LabeledPoints, bands: Bands) -> Iterator[_InBand]:
    if not len(points.label):
        return
    windows = bands.windows
    ranges = np.log([band.range for band in bands.bands])
    half = 0.5 * np.diff(ranges).max() if len(ranges) > 1 else 0.1
    distances = np.log(points.range.astype(np.float64))
    nearest = np.abs(distances[:, None] - ranges).argmin(axis=1)
    fits = np.abs(distances - ranges[nearest]) <= half * (1 + 1e-6)
    starts = np.searchsorted(windows.band, np.arange(len(ranges) + 1))
    for place, band in enumerate(bands.bands):
        own = np.flatnonzero(fits & (nearest == place))
        rows, columns = bands.to_band(place, points.image_row[own], points.image_column[own])
        row, column = np.rint(rows).astype(np.int64), np.rint(columns).astype(np.int64)
        n_rows, n_columns = band.inside.shape
        inside = (row >= 0) & (row < n_rows) & (column >= 0) & (column < n_columns)
        if not inside.any():
            continue
        which = slice(int(starts[place]), int(starts[place + 1]))
        yield _InBand(
            own[inside],
            row[inside],
            column[inside],
            (n_rows, n_columns),
            which,
            windows.row[which] + (WINDOW[0] - _ROWS) // 2,
            windows.column[which] + (WINDOW[1] - _COLUMNS) // 2,
        )


def _box_sums(
    values: NDArray[np.floating] | NDArray[np.integer], top: NDArray[np.int32], left: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Sums over the pixels around windows' centers, (n_windows, n_classes)."""
    total = np.zeros((values.shape[0] + 1, values.shape[1] + 1, values.shape[2]))
    total[1:, 1:] = values.cumsum(0).cumsum(1)
    low, right = top + _ROWS, left + _COLUMNS
    sums: NDArray[np.float64] = total[low, right] - total[top, right] - total[low, left] + total[top, left]
    return sums
