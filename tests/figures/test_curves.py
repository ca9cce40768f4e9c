from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from striate.errors import UsageError
from striate.figures import accuracy_curve, energy_curve, to_svg


class Point(NamedTuple):
    n_labels: int
    mean: float
    standard_error: float


OURS = [Point(1000, 0.976, 0.001), Point(100, 0.937, 0.004)]
PIXELS = [Point(100, 0.72, 0.01), Point(1000, 0.87, 0.002)]


def test_points_stand_where_they_were_measured() -> None:
    axes = accuracy_curve(OURS, pixels=PIXELS).axes[0]
    assert axes.get_xscale() == "log"
    ours, pixels = (container.lines[0].get_xydata() for container in axes.containers)  # type: ignore[attr-defined]
    np.testing.assert_allclose(ours, [(100, 93.7), (1000, 97.6)])
    np.testing.assert_allclose(pixels, [(100, 72.0), (1000, 87.0)])


def test_random_filters_are_drawn_between_ours_and_pixels() -> None:
    labels = accuracy_curve(OURS, pixels=PIXELS, random=PIXELS).axes[0].get_legend_handles_labels()[1]
    assert labels == ["learned filters", "random filters", "raw pixels"]


def test_no_share_lies_outside_0_and_100() -> None:
    low, high = accuracy_curve([Point(2, 0.001, 0.2), Point(4, 0.99, 0.2)]).axes[0].get_ylim()
    assert (low, high) == (0.0, 100.0)


@pytest.mark.parametrize("points", [[Point(0, 0.1, 0.0), Point(5, 0.2, 0.0)], [Point(7, 0.5, float("nan"))]])
def test_unusual_points(points: list[Point]) -> None:
    assert "<svg" in to_svg(accuracy_curve(points), alt="")


def test_energy_is_relative_to_its_beginning() -> None:
    figure = energy_curve([("stage 1", [(0, 50.0), (10, 25.0)]), ("empty", []), ("nan", [(0, np.nan)])])
    (line,) = figure.axes[0].get_lines()
    np.testing.assert_allclose(np.asarray(line.get_xydata()), [(0, 100), (10, 50)])


def test_an_energy_that_begins_at_zero() -> None:
    assert "<svg" in to_svg(energy_curve([("stage 1", [(0, 0.0), (1, 0.0)])]), alt="")


def test_nothing_to_draw() -> None:
    with pytest.raises(UsageError, match="at least one point"):
        accuracy_curve([])
    with pytest.raises(UsageError, match="at least one history"):
        energy_curve([("stage 1", [])])
