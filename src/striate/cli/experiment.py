"""``striate experiment``: measure a published result again."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli._options import AsJson, Quiet, Seed, Threads, emit
from striate.errors import UsageError

if TYPE_CHECKING:
    from striate.experiments import Run

_DURATION = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?", re.ASCII)
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}


class Scale(StrEnum):
    """The size of an experiment."""

    quick = "quick"
    full = "full"


def experiment(
    name: Annotated[str, typer.Argument(help="As `striate experiments` lists it.", show_default=False)],
    scale: Annotated[
        Scale, typer.Option(help="quick: seconds, on data that are part of striate; full: as published.")
    ] = Scale.full,
    budget: Annotated[
        str | None, typer.Option(help="Stop within this time, for example 150m, 1h30m or 90s; the next run continues.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Run only this unit (* stands for any text); may be repeated.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Folder for NAME.json and NAME.png.", show_default="results, for quick in the cache"),
    ] = None,
    reuse: Annotated[
        Path | None,
        typer.Option(help="A results file, for example of another machine; units that are the same count."),
    ] = None,
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure a published result again, and compare.

    Finished units are kept: a run that was stopped or killed continues with the others.
    """
    seconds = None if budget is None else parse_duration(budget)
    from striate.experiments import load_experiment, run_experiment
    from striate.progress import RichProgress

    try:
        run = run_experiment(
            load_experiment(name),
            scale=scale.value,
            seed=seed,
            budget=seconds,
            only=only or (),
            results=results,
            reuse=reuse,
            progress=RichProgress(quiet=quiet),
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "interrupted; finished units are kept, and the same command goes on from there"
        ) from None
    emit(run.record | {"path": run.path, "reused": run.reused}, as_json, "" if as_json else _text(run))


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as ``150m``, ``1h30m`` or ``90s``."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise UsageError(f"--budget {text!r} is no duration; write for example 150m, 1h30m or 90s")
    return sum(float(number) * _SECONDS[unit] for unit, number in match.groupdict("0").items())


def _text(run: Run) -> str:
    from striate.cli._figures_table import figures_table

    record = run.record
    lines = [figures_table(f"{record['name']}: {record['claim']}", record["figures"]).rstrip()]
    if any(unit["checkout"]["dirty"] for unit in record["units"]):
        lines.append("Some units were measured on uncommitted code.")
    if record["scale"] == "quick":
        lines.append("Quick scale: a small run; the published numbers and goals are for the full one.")
    n_finished = len(record["units"])
    n_units = n_finished + len(run.remaining)
    earlier = f", {len(run.reused)} of them in earlier runs" if run.reused else ""
    if run.complete:
        lines.append(f"Complete: {n_units} units{earlier}, {record['seconds']:,.1f} s of work.")
    else:
        lines.append(f"Not complete: {n_finished} of {n_units} units have finished{earlier}. What remains:")
        lines += [f"  {unit}" for unit in run.remaining]
        lines.append("The same command goes on from here.")
    if run.path is not None:
        lines.append(f"Results: {run.path}")
    else:
        lines.append("The complete results of an earlier run stay as they are until this one is complete.")
    return "\n".join(lines)
