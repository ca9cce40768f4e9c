"""A self-contained HTML page from a template of this folder, in the style of all pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from striate.images.names import printable

__all__ = ["render_page"]

_HERE = Path(__file__).parent


def render_page(
    template: str, values: Mapping[str, Any], filters: Mapping[str, Callable[..., str]] | None = None
) -> str:
    """The page as a string of HTML.

    Parameters
    ----------
    template : str
        Name of its file.
    values : mapping
        Variables of the template; ``css`` and the filter ``printable`` are always there.
    filters : mapping, optional
        More filters.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,  # names of classes and files come from the user and may hold any characters
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters or {}, printable=lambda text: printable(str(text)))
    css = (_HERE / "report.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(css=css, **values)
