"""Pictures of the gallery: figures that an example makes without pyplot, as striate's own functions do."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst


def made_figures(block: Any, variables: dict[str, Any], settings: dict[str, Any]) -> str:
    """Save the figure that is the last value of a block, and return the directive that shows it."""
    figure = variables["example_globals"].get("___")
    if not isinstance(figure, Figure):
        return ""
    path = next(variables["image_path_iterator"])
    figure.savefig(path, dpi=130)
    return str(figure_rst([path], settings["src_dir"]))
