from __future__ import annotations

import numpy as np

from striate.robot import CLASSES, UNKNOWN, BandPyramid, GroundPlane, LabeledPoints, StereoLabeler, label_windows
from striate.robot.window_labels import latest_frame
from striate.robot.world import Box
from tests.robot.scenes import CAMERA, disparity_of, seen

LEVEL = GroundPlane.from_angles(0, 0, 1.65)
SUPER_GROUND, GROUND, FOOTLINE, OBSTACLE, SUPER_OBSTACLE = range(5)


def test_windows_get_the_label_of_what_is_at_their_center() -> None:
    view = seen(LEVEL, [Box(0, 10, 3, 2, 2)])
    labels, image = StereoLabeler()(disparity_of(view), CAMERA, LEVEL), view.left
    bands = BandPyramid(row_step=1)(image, CAMERA, LEVEL)
    found = label_windows(labels.points(), bands)
    windows = bands.windows
    assert found.label.shape == found.confidence.shape == windows.band.shape
    known = found.label != UNKNOWN
    assert set(found.label[known]) == set(range(len(CLASSES)))
    assert ((found.confidence > 0) == known).all()
    assert windows.range[known].max() < 12.7
    # Of the band at the box's range: in the middle of the box, by the height of the center.
    nearest = np.abs(np.log(windows.range / 9)) < 0.06
    middle = nearest & (np.abs(windows.x) < 1)
    for low, high, label in ((1.0, 1.6, SUPER_OBSTACLE), (0.5, 0.6, OBSTACLE), (-0.1, 0.1, FOOTLINE)):
        own = found.label[middle & known & (windows.height > low) & (windows.height < high)]
        assert len(own)
        assert (own == label).all()
    aside = nearest & (np.abs(windows.x) > 3) & (np.abs(windows.height) < 0.1)
    assert (found.label[aside] == SUPER_GROUND).any()
    # The box is 9 m away: bands of other ranges must not learn from it.
    other = (np.abs(np.log(windows.range / 9)) > 0.2) & (windows.height > 0.6)
    assert (found.label[other] == UNKNOWN).all()


def test_windows_whose_points_disagree_are_unknown() -> None:
    bands = BandPyramid()(np.zeros((1, 188, 620), np.float32), CAMERA, LEVEL)
    which = int(np.flatnonzero(np.abs(bands.windows.height) < 0.1)[0])
    at = [np.full(10, field[which], np.float32) for field in bands.windows[7:9]]  # row and column in the image
    distance = np.full(10, bands.windows.range[which], np.float32)
    for wrong, expected in ((0, 0), (3, 0), (5, UNKNOWN), (8, 3)):
        label = np.zeros(10, np.int8)
        label[:wrong] = 3
        points = LabeledPoints(at[0], at[1], distance, label, np.full(10, 0.8, np.float32))
        assert label_windows(points, bands).label[which] == expected
    assert label_windows(points.take(slice(3)), bands).label[which] == UNKNOWN
    assert (label_windows(points.take(slice(0)), bands).label == UNKNOWN).all()


def test_the_latest_frame_of_the_points_at_a_center() -> None:
    bands = BandPyramid()(np.zeros((1, 188, 620), np.float32), CAMERA, LEVEL)
    which = int(np.flatnonzero(np.abs(bands.windows.height) < 0.1)[50])
    place = int(bands.windows.band[which])
    center = np.array([bands.windows.row[which] + 5.5, bands.windows.column[which] + 12])
    # The last one is outside of the 4 rows and 3 columns that count.
    offsets = np.array([[0.4, 0], [-1.4, 1], [1.4, -1], [-3.6, 0]])
    rows, columns = bands.to_image(place, *(center + offsets).T)
    points = LabeledPoints(
        rows.astype(np.float32),
        columns.astype(np.float32),
        np.full(4, bands.windows.range[which], np.float32),
        np.zeros(4, np.int8),
        np.ones(4, np.float32),
    )
    latest = latest_frame(points, np.array([3, 9, 5, 20]), bands)
    assert latest[which] == 9
    assert latest.max() == 20
    assert (latest_frame(points.take(slice(0)), np.empty(0, int), bands) == -1).all()
