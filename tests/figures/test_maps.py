"""Colors of orientations, and maps that are drawn upright."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Wedge

from striate.errors import UsageError
from striate.figures import (
    draw_curves,
    draw_distances,
    draw_orientation_key,
    draw_orientation_map,
    orientation_colors,
)


def test_colors_form_a_circle() -> None:
    angles = np.linspace(0, np.pi, 181)[None]
    colors = orientation_colors(angles).astype(int)
    np.testing.assert_array_equal(colors[:, 0], colors[:, -1])
    np.testing.assert_array_equal(orientation_colors(angles + np.pi), colors)
    assert np.abs(np.diff(colors, axis=1)).max() < 40
    assert len(np.unique(colors[0, :-1], axis=0)) == 180
    assert (orientation_colors([[np.nan, 0.0]])[0, 0] == 255).all()


def test_less_selective_is_darker() -> None:
    angles = np.full((1, 10), 0.4)
    colors = orientation_colors(angles, np.linspace(0, 1, 10)[None]).astype(int).sum(axis=2)[0]
    assert (np.diff(colors) >= 0).all()
    assert colors[0] < 0.3 * colors[-1]
    np.testing.assert_array_equal(orientation_colors(angles, np.zeros((1, 10))), orientation_colors(angles))


def test_pinwheels_lie_on_the_map() -> None:
    axes = Figure().subplots()
    found = SimpleNamespace(x=np.array([2.0, 7.5]), y=np.array([1.0, 3.0]), charge=np.array([0.5, -0.5]))
    draw_orientation_map(axes, np.zeros((6, 9)), selectivity=np.ones((6, 9)), pinwheels=found, spacing=4)
    assert axes.get_xlim() == (-0.5, 8.5)
    assert axes.get_ylim() == (5.5, -0.5)
    positive, negative = axes.collections
    np.testing.assert_array_equal(positive.get_offsets(), [[2, 1]])
    np.testing.assert_array_equal(negative.get_offsets(), [[7.5, 3]])
    (bar,) = axes.lines
    assert np.ptp(np.asarray(bar.get_xdata(), float)) == 4
    assert axes.texts[0].get_text() == "Λ"


def test_the_key_has_wedges_as_long_as_the_shares() -> None:
    axes = Figure().subplots()
    angles = np.zeros((4, 4))
    angles[0] = np.pi / 2
    angles[3, 3] = np.nan
    draw_orientation_key(axes, angles)
    lengths = {patch.theta1: patch.r for patch in axes.patches if isinstance(patch, Wedge)}
    assert lengths[-180 / 32] == pytest.approx(16 * 11 / 15)
    assert lengths[90 - 180 / 32] == pytest.approx(16 * 4 / 15)
    assert sorted(lengths.values())[-5] == 0
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # y runs down, as in the map


def test_curves_and_distributions() -> None:
    one, other = Figure().subplots(1, 2)
    draw_curves(one, [0, 1, 2], {"a": [0, 1, np.nan], "b": [1, 1, 1]}, errors={"b": [0.1] * 3}, level=1.0)
    assert len(one.lines) == 3
    assert len(one.collections) == 1
    draw_distances(other, {"a": [0.1, np.nan, 0.3], "none": []}, n_bins=4)
    legend = other.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["a (n = 2)", "none (n = 0)"]
    for wrong in ({}, 3, {str(i): [1.0] for i in range(5)}):
        with pytest.raises(UsageError, match="one to four"):
            draw_curves(one, [0], wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="one to four"):
            draw_distances(one, wrong)  # type: ignore[arg-type]
