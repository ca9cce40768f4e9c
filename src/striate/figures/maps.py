"""Maps of a sheet of units, drawn into matplotlib axes: orientation in color with pinwheels, and curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.figures.plane import check_axes
from striate.figures.svg import INK, OURS, PIXELS, QUIET, RANDOM, quiet_axes
from striate.parameters import Boolean, Integer, Real, checked
from striate.samples import as_array

__all__ = ["draw_curves", "draw_distances", "draw_orientation_key", "draw_orientation_map", "orientation_colors"]

_LIGHT, _DARK = "#ffffff", "#000000"
_WEDGES = 16
# Hues in equal steps of what the eye tells apart, red for horizontal: no color takes more of the circle than others.
_ANCHORS = ("#e6194b", "#f58220", "#ffd500", "#6abd45", "#009e8c", "#0091d5", "#3f4fb8", "#a23db0")


class PlacedPinwheels(Protocol):
    """Pinwheels as `striate.analysis.find_pinwheels` returns them."""

    @property
    def x(self) -> NDArray[np.float64]: ...
    @property
    def y(self) -> NDArray[np.float64]: ...
    @property
    def charge(self) -> NDArray[np.float64]: ...


def orientation_colors(orientation: ArrayLike, selectivity: ArrayLike | None = None) -> NDArray[np.uint8]:
    """Orientations as colors of a circle, darker where units are less selective.

    Parameters
    ----------
    orientation : float (height, width)
        Radians; those that differ by π have the same color. NaN is white.
    selectivity : float (height, width), optional
        Full brightness is reached at its 90th percentile.

    Returns
    -------
    uint8 (height, width, 3)
    """
    angles = as_array(orientation, name="orientations", axes=("height", "width"), finite=False).astype(np.float64)
    known = np.isfinite(angles)
    turn = np.where(known, angles, 0) / np.pi % 1 * len(_ANCHORS)
    anchors = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in _ANCHORS], np.float64)
    # Between two anchors the mean is taken in linear light, where colors mix as they do for the eye.
    light = np.power(anchors / 255, 2.2)
    low = turn.astype(int) % len(_ANCHORS)
    part = (turn - np.floor(turn))[..., None]
    mixed = (1 - part) * light[low] + part * light[(low + 1) % len(_ANCHORS)]
    if selectivity is not None:
        strength = as_array(selectivity, name="selectivities", axes=angles.shape, finite=False).astype(np.float64)
        known &= np.isfinite(strength)
        strength = np.where(known, strength, 0)
        most = float(np.percentile(strength[known], 90)) if known.any() else 0.0
        bright = np.clip(strength / most, 0, 1) if most > 0 else np.ones_like(strength)
        mixed *= np.power(0.15 + 0.85 * bright, 2.2)[..., None]
    mixed[~known] = 1
    return np.rint(255 * np.power(mixed, 1 / 2.2)).astype(np.uint8)


def draw_orientation_map(
    axes: Any,
    orientation: ArrayLike,
    *,
    selectivity: ArrayLike | None = None,
    pinwheels: PlacedPinwheels | None = None,
    spacing: float | None = None,
) -> None:
    """Draw a map of orientation in color, with its pinwheels: white disks for charge +½, black squares for −½.

    Parameters
    ----------
    axes : matplotlib Axes
    orientation : float (height, width)
        Radians, NaN where there is none; see `orientation_colors`.
    selectivity : float (height, width), optional
        Less selective units are darker.
    pinwheels : Pinwheels, optional
        From `striate.analysis.find_pinwheels`.
    spacing : float, optional
        Column spacing in pixels, drawn as a bar Λ below the map.
    """
    check_axes(axes)
    pixels = orientation_colors(orientation, selectivity)
    spacing = checked("spacing", spacing, Real(above=0) | None)
    axes.imshow(pixels, interpolation="nearest")
    height, width = pixels.shape[:2]
    if pinwheels is not None:
        wide = axes.get_window_extent().width * 72 / axes.figure.dpi  # points
        size = float(np.clip(0.018 * wide, 2.5, 9)) ** 2
        for sign, face, edge, marker in ((1, _LIGHT, _DARK, "o"), (-1, _DARK, _LIGHT, "s")):
            chosen = np.sign(pinwheels.charge) == sign
            axes.scatter(
                pinwheels.x[chosen], pinwheels.y[chosen], s=size, c=face, marker=marker, edgecolors=edge,
                linewidths=0.7, zorder=3,
            )  # fmt: skip
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if spacing is not None:
        below = height - 0.5 + 0.03 * height
        axes.plot([-0.5, spacing - 0.5], [below, below], color=INK, linewidth=2, solid_capstyle="butt", clip_on=False)
        axes.text(spacing + 0.02 * width, below, "Λ", color=INK, fontsize=9, va="center")


def draw_orientation_key(axes: Any, orientation: ArrayLike, *, selectivity: ArrayLike | None = None) -> None:
    """Draw what the colors mean, and how often they occur: a polar histogram whose wedges lie along the orientation.

    A wedge is as long as the share of the units that prefer its orientation, weighted by selectivity; the circle is the
    share of each wedge if all were equal. Orientations run clockwise from the horizontal, as images are stored.

    Parameters
    ----------
    axes : matplotlib Axes
    orientation : float (height, width)
        As for `draw_orientation_map`.
    selectivity : float (height, width), optional
    """
    from matplotlib.patches import Circle, Wedge

    check_axes(axes)
    angles = as_array(orientation, name="orientations", axes=("height", "width"), finite=False).astype(np.float64)
    weights = np.ones_like(angles)
    if selectivity is not None:
        given = as_array(selectivity, name="selectivities", axes=angles.shape, finite=False)
        weights = given.astype(np.float64)
    known = np.isfinite(angles) & np.isfinite(weights)
    step = np.pi / _WEDGES
    bins = np.rint(angles[known] / step).astype(int) % _WEDGES
    share = np.bincount(bins, weights[known], _WEDGES) / max(weights[known].sum(), 1e-300) * _WEDGES
    colors = orientation_colors(step * np.arange(_WEDGES)[None])[0] / 255
    for number, (length, color) in enumerate(zip(share, colors, strict=True)):
        for half in (0.0, 180.0):
            middle = np.degrees(step * number) + half
            axes.add_patch(
                Wedge((0, 0), length, middle - np.degrees(step) / 2, middle + np.degrees(step) / 2, color=color, lw=0)
            )
    axes.add_patch(Circle((0, 0), 1, fill=False, edgecolor=INK, linewidth=0.8, linestyle=(0, (2, 2))))
    reach = max(1.25, 1.05 * float(share.max()))
    axes.set_xlim(-reach, reach)
    axes.set_ylim(reach, -reach)  # y runs down, as in the map
    axes.set_aspect("equal")
    axes.set_axis_off()


def draw_curves(
    axes: Any,
    x: ArrayLike,
    curves: Mapping[str, ArrayLike],
    *,
    errors: Mapping[str, ArrayLike] | None = None,
    level: float | None = None,
    labels: tuple[str, str] = ("", ""),
    legend: bool = True,
) -> None:
    """Draw curves over a common axis with bands of one standard error, such as curves of invariance.

    Parameters
    ----------
    axes : matplotlib Axes
    x : float (n_points,)
    curves : mapping of str to float (n_points,)
        Up to four, by name; NaN leaves a gap.
    errors : mapping of str to float (n_points,), optional
        Standard errors of some of them.
    level : float, optional
        A dashed horizontal line, such as the distance of unrelated patches.
    labels : (str, str)
        Of the horizontal and the vertical axis.
    legend : bool, default True
    """
    check_axes(axes)
    along = as_array(x, name="x", axes=("n_points",))
    level = checked("level", level, Real() | None)
    legend = checked("legend", legend, Boolean())
    if not isinstance(curves, Mapping) or not 1 <= len(curves) <= 4:
        raise UsageError("curves are a mapping of one to four names to numbers")
    quiet_axes(axes)
    styles = zip((OURS, PIXELS, RANDOM, QUIET), ("-", "--", "-.", ":"), strict=True)
    for (name, values), (color, style) in zip(curves.items(), styles, strict=False):
        drawn = as_array(values, name=f"values of {name}", axes=along.shape, finite=False)
        axes.plot(along, drawn, color=color, linestyle=style, linewidth=1.8, label=str(name))
        if errors is not None and name in errors:
            error = as_array(errors[name], name=f"errors of {name}", axes=along.shape, finite=False)
            axes.fill_between(along, drawn - error, drawn + error, color=color, alpha=0.25, linewidth=0)
    if level is not None:
        axes.axhline(level, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    if legend:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)


def draw_distances(axes: Any, distances: Mapping[str, ArrayLike], *, n_bins: int = 20, label: str = "") -> None:
    """Draw distributions as steps over common bins, such as nearest-neighbor distances of pinwheels and of a control.

    Parameters
    ----------
    axes : matplotlib Axes
    distances : mapping of str to float (n,)
        Up to four, by name; NaN is left out.
    n_bins : int, default 20
    label : str
        Of the horizontal axis.
    """
    check_axes(axes)
    n_bins = checked("n_bins", n_bins, Integer(low=2))
    if not isinstance(distances, Mapping) or not 1 <= len(distances) <= 4:
        raise UsageError("distances are a mapping of one to four names to numbers")
    known = {}
    for name, values in distances.items():
        numbers = as_array(values, name=f"distances of {name}", axes=("n",), finite=False).astype(np.float64)
        known[str(name)] = numbers[np.isfinite(numbers)]
    most = max((float(values.max(initial=0)) for values in known.values()), default=0.0) or 1.0
    edges = np.linspace(0, most, n_bins + 1)
    quiet_axes(axes)
    for (name, values), color in zip(known.items(), (OURS, PIXELS, RANDOM, QUIET), strict=False):
        share = np.histogram(values, edges)[0] / max(len(values), 1)
        axes.stairs(100 * share, edges, color=color, linewidth=1.8, label=f"{name} (n = {len(values)})")
    axes.set_ylim(top=(1 + 0.14 * len(known)) * axes.get_ylim()[1])  # room for the legend
    axes.set_xlabel(label)
    axes.set_ylabel("share, %")
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
