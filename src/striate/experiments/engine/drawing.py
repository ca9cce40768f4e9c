"""The drawing of an experiment without a `draw` of its own, and helpers for drawings."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import compress, decompress

import numpy as np
from numpy.typing import NDArray

_COLORS = {"met": "#2a7f4f", "short": "#b3541e", "shape": "#4c5f8a", "not run": "#888888"}


def draw_figures(title: str, figures: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw measured values with their standard errors, goals and published numbers, one row per figure.

    Parameters
    ----------
    title : str
        Above the rows.
    figures : sequence of dict
        As `Figure.judge` returns them.
    path : Path
        A PNG.
    """
    import textwrap

    canvas = new_canvas(8.0, 1.1 + 0.75 * len(figures))
    canvas.suptitle(textwrap.fill(title, 95), fontsize=10)
    rows = canvas.subplots(len(figures), 1, squeeze=False)[:, 0]
    for axes, figure in zip(rows, figures, strict=True):
        _row(axes, figure)
    save_canvas(canvas, path, dpi=120)


def pack(pixels: NDArray[np.uint8]) -> str:
    """Return images, uint8 of any shape, as text for a results file, a tenth as long as a list of numbers."""
    return b64encode(compress(pixels.tobytes(), 9)).decode()


def unpack(text: str, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Return the images, uint8 of the given shape, that `pack` turned into text."""
    return np.frombuffer(decompress(b64decode(text)), np.uint8).reshape(shape)


def new_canvas(width: float, height: float) -> Any:
    """Return a matplotlib figure of this size in inches, without a window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(canvas)
    return canvas


def save_canvas(canvas: Any, path: Path, *, dpi: int = 110) -> None:
    """Write a PNG whose bytes depend only on what is drawn."""
    canvas.savefig(path, format="png", dpi=dpi, metadata={"Software": None})


def _row(axes: Any, figure: Mapping[str, Any]) -> None:
    color = _COLORS[figure["verdict"]]
    axes.set_yticks([])
    axes.set_ylim(-1, 1)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
    unit = f" ({figure['unit']})" if figure["unit"] else ""
    verdict = figure["verdict"]
    if figure.get("held") is not None:
        verdict = f"{figure['predicate']}: {'held' if figure['held'] else 'did not hold'}"
    axes.set_title(f"{figure['what']}{unit}: {verdict}", fontsize=8, loc="left", color=color)
    if figure["measured"] is not None:
        error = figure["uncertainty"] or 0.0
        axes.errorbar(figure["measured"], 0, xerr=error, fmt="o", color=color, capsize=4)
    if figure["goal"] is not None:
        axes.axvline(figure["goal"], color=color, linewidth=1)
        if "tolerance" in figure:
            low, high = figure["goal"] - figure["tolerance"], figure["goal"] + figure["tolerance"]
            axes.axvspan(low, high, color=color, alpha=0.12)
    if figure["published"] is not None:
        axes.plot(figure["published"], 0, marker="D", color="black", fillstyle="none")
    if figure["measured"] is None and figure["goal"] is None and figure["published"] is None:
        axes.set_axis_off()
        axes.set_title(axes.get_title(loc="left"), fontsize=8, loc="left", color=color)
    axes.margins(x=0.25)
