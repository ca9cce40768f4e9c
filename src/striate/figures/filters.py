"""Filters as a matplotlib figure: their mosaic, with a caption."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from striate.figures.mosaic import GAP, ColorSpace, filter_mosaic
from striate.figures.svg import INK, new_figure
from striate.parameters import Instance, checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 5.2  # inches
_CAPTION = 0.3


def draw_filters(
    filters: ArrayLike, *, caption: str = "", columns: int | None = None, color: ColorSpace = "rgb"
) -> Figure:
    """Draw filters as a mosaic.

    Parameters
    ----------
    filters : float (n_filters, channels, height, width)
        Each is scaled to its own strongest weight, see `filter_mosaic`.
    caption : str, optional
        A line above the mosaic.
    columns : int, optional
        Filters per row; by default about as many as there are rows.
    color : "rgb" or "yuv", default="rgb"
        The meaning of three channels.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    UsageError
        As `filter_mosaic` does.
    """
    caption = checked("caption", caption, Instance(str, words="a string"))
    mosaic = filter_mosaic(filters, columns=columns, color=color, scale=1)
    height, width = mosaic.shape[:2]
    figure = new_figure(_WIDTH, _WIDTH * height / width + (_CAPTION if caption else 0))
    axes = figure.subplots()
    axes.imshow(mosaic, cmap="gray", vmin=0, vmax=GAP, interpolation="none")
    axes.set_axis_off()
    if caption:
        axes.set_title(caption, loc="left", fontsize=10, color=INK, parse_math=False)
    return figure
