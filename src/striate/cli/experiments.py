"""``striate experiments``: list the published results that can be measured again, with what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from striate.cli._options import AsJson, emit


def experiments(
    results: Annotated[Path | None, typer.Option(help="Folder with the results files.", show_default="results")] = None,
    as_json: AsJson = False,
) -> None:
    """List the experiments, with published and measured figures, and whether their code has changed since."""
    from striate.errors import UsageError
    from striate.experiments import list_experiments

    if results is not None and not results.is_dir():
        raise UsageError(f"--results {results}: there is no such folder; leave the option out, or correct it")
    listed = list_experiments(results)
    emit(listed, as_json, "" if as_json else _text(listed))


def _text(listed: list[dict[str, Any]]) -> str:
    from striate.cli._figures_table import figures_table

    if not listed:
        return "There are no experiments yet."
    tables = [figures_table(f"{one['name']}: {one['claim']}", one["figures"]) for one in listed]
    return "\n".join(tables) + "\nRun one with: striate experiment NAME"
