"""The figures of an experiment as a table on the terminal."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

_STYLES = {"met": "green", "short": "yellow", "shape": "cyan", "not run": "dim"}


def figures_table(title: str, figures: Sequence[Mapping[str, Any]]) -> str:
    """Return published number, goal, measured number and verdict, one row per figure.

    Parameters
    ----------
    title : str
        Title above the table.
    figures : sequence of dict
        Figures of an experiment's record.

    Returns
    -------
    str
        Lines as wide as the terminal, with colors if standard output is a terminal.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from striate.experiments import cells_of

    table = Table(title=Text(title), title_justify="left", title_style="bold")
    for heading in ("", "published", "goal", "measured", "verdict"):
        table.add_column(heading)
    for figure in figures:
        *numbers, verdict = cells_of(figure)
        cells = [figure["what"], *numbers]
        table.add_row(*(Text(cell) for cell in cells), Text(verdict, style=_STYLES[figure["verdict"]]))
    lines = io.StringIO()
    width = shutil.get_terminal_size((100, 24)).columns
    Console(file=lines, width=width, force_terminal=sys.stdout.isatty()).print(table)
    return lines.getvalue()
