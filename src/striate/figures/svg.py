"""Drawings as SVG elements of a page, with colors that follow the page, light or dark."""

from __future__ import annotations

import io
import itertools
import re
import warnings
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from striate.parameters import Instance, checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Figures are drawn in the colors of a light page, and a PNG keeps them. In SVG each color becomes a variable of the
# page's style sheet; pages that do not define them show the light colors.
PAPER = "#fbfaf7"
INK = "#1c1b19"
QUIET = "#76736d"
LINE = "#dcd8d0"
OURS = "#b4481e"
PIXELS = "#55748f"
RANDOM = "#8a8a3c"
_VARIABLES = {
    PAPER: "paper",
    INK: "ink",
    QUIET: "quiet",
    LINE: "line",
    OURS: "ours",
    PIXELS: "pixels",
    RANDOM: "random",
}

_numbers = itertools.count()


def new_figure(width: float, height: float) -> Figure:
    """An empty transparent matplotlib figure; width and height in inches, 72 CSS pixels each in SVG."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), facecolor="none", layout=ConstrainedLayoutEngine(w_pad=0.005, h_pad=0.03))


def quiet_axes(axes: Any, *, grid: bool = True) -> None:
    """Reduce axes to a thin bottom spine, light horizontal lines and small labels."""
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(QUIET)
        spine.set_linewidth(0.8)
    axes.tick_params(which="both", colors=QUIET, labelcolor=INK, labelsize=10.5, width=0.8, length=3)
    axes.tick_params(axis="y", which="both", length=0)
    if grid:
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
    axes.xaxis.label.set(color=QUIET, fontsize=10)
    axes.yaxis.label.set(color=QUIET, fontsize=10)


def to_svg(figure: Figure, *, alt: str) -> str:
    """A figure as an SVG element to be put into HTML.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn in the colors of this module.
    alt : str
        A description in words, for readers who cannot see it.

    Returns
    -------
    str
        ``<svg …>…</svg>``. Text stays text in the page's font, nothing is loaded, and the ids of its parts differ from
        those of every other figure of this process.
    """
    import matplotlib
    from matplotlib.figure import Figure

    checked("figure", figure, Instance(Figure, words="a matplotlib figure"))
    alt = checked("alt", alt, Instance(str, words="a string"))
    file = io.StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "striate", "svg.image_inline": True}
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # The browser draws names in any script; matplotlib's own font is used for measuring only.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support .* natively")
        figure.savefig(file, format="svg", metadata=nothing)
    text = file.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    head, body = text.split(">", 1)
    # HTML needs no name spaces, and the page chooses the size.
    box = re.search(r'viewBox="[^"]*"', head)
    assert box is not None
    prefix = f"d{next(_numbers)}-"
    body = body.replace("xlink:href=", "href=")
    # Matplotlib derives the ids of images from their content: two flat patches would share one. Nothing uses them.
    body = re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", body)
    body = re.sub(r'\bid="', f'id="{prefix}', body)
    body = body.replace('href="#', f'href="#{prefix}').replace("url(#", f"url(#{prefix}")
    for color, name in _VARIABLES.items():
        body = body.replace(color, f"var(--{name}, {color})")
    body = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", body)
    # A page may draw it somewhat larger than 72 pixels per inch, and smaller on a phone.
    width = figure.get_figwidth() * 72 * 1.4
    return f'<svg {box.group()} role="img" style="max-width: {width:.0f}px"><title>{escape(alt)}</title>{body}'
