"""A hierarchy as a drawing from the image at the top to the class at the bottom, one row per layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from striate.errors import UsageError
from striate.figures.svg import INK, LINE, OURS, PAPER, PIXELS, QUIET, RANDOM, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Layers learned without labels have the color of learned filters in all figures, those learned with labels another.
_COLORS = {"learned": OURS, "classifier": RANDOM, "input": QUIET}
_ROW = 0.54  # inches


def draw_architecture(layers: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the layers of a hierarchy from top to bottom.

    Parameters
    ----------
    layers : sequence of dict
        Each with ``"kind"`` (``"input"``, ``"learned"``, ``"classifier"``, or any other word for a layer without
        learned parameters), ``"label"`` (the text beside it) and ``"shape"``: that of its output, (maps, height,
        width) or (n,), or None. The side of a map is drawn in proportion to the square root of its size in pixels,
        and the stack is deeper the more maps there are.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if not layers:
        raise UsageError("a drawing of a hierarchy needs at least one layer.")
    from matplotlib.patches import Rectangle

    try:
        layers = [{name: layer[name] for name in ("kind", "label", "shape")} for layer in layers]
        shapes = [tuple(int(n) for n in (() if layer["shape"] is None else layer["shape"])) for layer in layers]
    except (TypeError, ValueError, KeyError, IndexError):
        raise UsageError('layers are dictionaries with "kind", "label" and "shape", some integers or None.') from None
    figure = new_figure(5.2, _ROW * len(layers))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, 5.2)
    axes.set_ylim(_ROW * len(layers), 0)
    widest = max([max(shape[-2:]) for shape in shapes if len(shape) == 3], default=1)
    axes.plot([0.55, 0.55], [_ROW / 2, _ROW * (len(layers) - 0.5)], color=LINE, linewidth=1.2, zorder=0)
    for row, (layer, shape) in enumerate(zip(layers, shapes, strict=True)):
        middle = _ROW * (row + 0.5)
        color = _COLORS.get(layer["kind"], PIXELS)
        for left, top, width, height in _sheets(shape, widest, middle):
            place = (left, top), width, height
            axes.add_patch(Rectangle(*place, facecolor=PAPER))  # hides the sheets drawn before
            axes.add_patch(Rectangle(*place, facecolor=color, alpha=0.25))
            axes.add_patch(Rectangle(*place, facecolor="none", edgecolor=color, linewidth=0.9))
        axes.text(1.25, middle, layer["label"], va="center", fontsize=11, color=INK, parse_math=False)
        size = " × ".join(f"{n:,}" for n in shape)
        axes.text(5.15, middle, size, va="center", ha="right", fontsize=10, color=QUIET)
    return figure


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
