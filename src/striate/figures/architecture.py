"""A hierarchy as a drawing from the image at the top to the class at the bottom, one row per layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from striate.errors import UsageError
from striate.figures.svg import INK, LINE, OURS, PAPER, PIXELS, QUIET, RANDOM, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Layers learned without labels have the color of learned filters in all figures, those learned with labels another.
_COLORS = {"learned": OURS, "classifier": RANDOM, "input": QUIET}
_ROW, _LINE, _INDENT = 0.54, 0.55, 0.5  # inches: height of a row, left of the line, shift of a path


def draw_architecture(layers: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the layers of a hierarchy from top to bottom.

    Parameters
    ----------
    layers : sequence of dict
        Each with ``"kind"`` (``"input"``, ``"learned"``, ``"classifier"``, or any other word for a layer without
        learned parameters), ``"label"`` (the text beside it) and ``"shape"``: that of its output, (maps, height,
        width) or (n,), or None. The side of a map is drawn in proportion to the square root of its size in pixels,
        and the stack is deeper the more maps there are. A layer that joins paths also has ``"paths"``: a list of
        sequences of layers. They are drawn before it, indented, each on a line of its own that leaves the line of the
        layers before and comes back to it.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if not layers:
        raise UsageError("a drawing of a hierarchy needs at least one layer.")
    from matplotlib.patches import Rectangle

    try:
        rows, brackets = _rows(layers, 0, 0)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError):
        raise UsageError('layers are dictionaries with "kind", "label" and "shape", some integers or None.') from None
    sizes = [" × ".join(f"{n:,}" for n in row.shape) for row in rows]
    # Letters of 11 points are narrower than 0.09 inches on average: the two texts of a row stay apart.
    width = max(
        1.5 + _INDENT * row.depth + 0.085 * len(f"{row.label}{size}") for row, size in zip(rows, sizes, strict=True)
    )
    width = max(5.2, width)
    figure = new_figure(width, _ROW * len(rows))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(_ROW * len(rows), 0)
    widest = max([max(row.shape[-2:]) for row in rows if len(row.shape) == 3], default=1)
    axes.plot([_LINE, _LINE], [_ROW / 2, _ROW * (len(rows) - 0.5)], color=LINE, linewidth=1.2, zorder=0)
    for depth, first, last in brackets:
        outer, inner = _LINE + (depth - 1) * _INDENT, _LINE + depth * _INDENT
        top, bottom = _ROW * (first + 0.04), _ROW * (last + 0.96)
        axes.plot([outer, inner, inner, outer], [top, top, bottom, bottom], color=LINE, linewidth=1.2, zorder=0)
    for number, row in enumerate(rows):
        middle, indent = _ROW * (number + 0.5), _INDENT * row.depth
        color = _COLORS.get(row.kind, PIXELS)
        for left, top, wide, tall in _sheets(row.shape, widest, middle):
            place = (left + indent, top), wide, tall
            axes.add_patch(Rectangle(*place, facecolor=PAPER))  # hides the sheets drawn before
            axes.add_patch(Rectangle(*place, facecolor=color, alpha=0.25))
            axes.add_patch(Rectangle(*place, facecolor="none", edgecolor=color, linewidth=0.9))
        axes.text(1.25 + indent, middle, row.label, va="center", fontsize=11, color=INK, parse_math=False)
        axes.text(width - 0.05, middle, sizes[number], va="center", ha="right", fontsize=10, color=QUIET)
    return figure


class _Row(NamedTuple):
    kind: Any
    label: Any
    shape: tuple[int, ...]
    depth: int  # paths that it is inside of


def _rows(layers: Sequence[Mapping[str, Any]], depth: int, first: int) -> tuple[list[_Row], list[tuple[int, int, int]]]:
    """The rows of layers and of their paths, and of each path its depth, first and last row."""
    rows: list[_Row] = []
    brackets = []
    for layer in layers:
        for path in layer.get("paths", ()):
            start = first + len(rows)
            inner, its_brackets = _rows(path, depth + 1, start)
            rows += inner
            brackets += [*its_brackets, (depth + 1, start, start + len(inner) - 1)]
        shape = tuple(int(n) for n in (() if layer["shape"] is None else layer["shape"]))
        rows.append(_Row(layer["kind"], layer["label"], shape, depth))
    return rows, brackets


def _sheets(shape: tuple[int, ...], widest: int, middle: float) -> list[tuple[float, float, float, float]]:
    """Left, top, width and height of each sheet of a stack, in inches, back to front."""
    if len(shape) != 3:  # a vector is a bar
        return [(0.25, middle - 0.05, 0.6, 0.1)] if shape else []
    n_maps, height, width = shape
    n_sheets = 1 if n_maps <= 3 else 2 + min(4, round(math.log2(n_maps) / 2))
    step = 0.055
    tall, wide = (0.34 * math.sqrt(side / widest) for side in (height, width))
    left = 0.55 - (wide + step * (n_sheets - 1)) / 2
    top = middle - (tall + 0.4 * step * (n_sheets - 1)) / 2
    return [(left + step * sheet, top + 0.4 * step * sheet, wide, tall) for sheet in range(n_sheets)]
