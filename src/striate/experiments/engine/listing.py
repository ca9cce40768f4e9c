"""The list of experiments with what was measured for each figure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from striate.errors import StriateError
from striate.experiments.engine.experiment import Experiment
from striate.experiments.engine.figure import Figure, FigureError, Measurement, measurement_of
from striate.experiments.engine.fingerprint import SourceTree
from striate.experiments.engine.json_file import plain
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Unit
from striate.provenance import repository

_NEEDED = {
    "name": str,
    "claim": str,
    "scale": str,
    "complete": bool,
    "seconds": int | float,
    "figures": list,
    "units": list,
    "provenance": dict,
}


def results_folder() -> Path:
    """Return the checkout's ``results``; for an installed package, ``results`` in the current folder."""
    return (repository() or Path.cwd()) / "results"


def read_record(path: Path) -> dict[str, Any]:
    """Read what a run of an experiment wrote.

    Raises
    ------
    StriateError
        If it is not such a file, or it is damaged.
    """
    try:
        record = json.loads(path.read_text("utf-8"))
        for part, kind in _NEEDED.items():
            if not isinstance(record[part], kind):
                raise TypeError(part)
        for row in record["figures"]:
            if not isinstance(row["what"], str):
                raise TypeError("what")
            measurement_of(row)
        for unit in record["units"]:
            if not isinstance(unit["result"], dict) or not {"name", "settings", "checkout"} <= unit.keys():
                raise TypeError("units")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StriateError(
            f"{path} is not a readable result of an experiment ({type(error).__name__}: {error}); "
            "run the experiment again, or restore the file"
        ) from error
    return record


def summary(experiment: Experiment, results: Path, tree: SourceTree | None = None) -> dict[str, Any]:
    """Return one experiment with its figures, as they stand in the results folder.

    Goals, published numbers and the way in which a figure is measured come from the experiment's module, the units'
    results from the file: a goal that is changed counts at once. A figure that cannot be measured from the units in
    the file keeps the value that it has there, as measured on older code.

    Parameters
    ----------
    experiment : Experiment
    results : Path
        Folder with the results files.
    tree : SourceTree, optional
        The code of today; one for several experiments saves time.

    Returns
    -------
    dict
        ``name``, ``claim``, ``scale``, ``complete``, ``current`` (whether all figures are), ``date`` (None before the
        first run), ``seconds``, and ``figures``, never empty. Each figure also has ``current`` (whether all units that
        it was measured from ran the code and settings of today) and ``dirty`` (whether one of them ran code that was
        not committed).
    """
    path = results / f"{experiment.name}.json"
    record = read_record(path) if path.exists() else None
    if record is not None and record["name"] != experiment.name:
        raise StriateError(f"{path} holds the experiment {record['name']}; rename the file, or remove it")
    if record is None:
        figures = [figure.judge(None) | {"current": False, "dirty": False} for figure in experiment.figures]
    else:
        figures = _figures(experiment, record, tree or SourceTree())
    return {
        "name": experiment.name,
        "claim": experiment.claim,
        "scale": record["scale"] if record else "full",
        "complete": record["complete"] if record else False,
        "current": all(figure["current"] for figure in figures),
        "date": record["provenance"]["date"] if record else None,
        "seconds": record["seconds"] if record else None,
        "figures": figures,
    }


def _figures(experiment: Experiment, record: Mapping[str, Any], tree: SourceTree) -> list[dict[str, Any]]:
    units = experiment.units(record["scale"])
    stored = {unit["name"]: unit for unit in record["units"]}
    current = {unit.name for unit in units if unit.name in stored and _is_current(unit, stored[unit.name], tree)}
    dirty = {name for name, unit in stored.items() if unit["checkout"]["dirty"]}
    earlier = {row["what"]: measurement_of(row) for row in record["figures"]}
    rows = []
    for figure in experiment.figures:
        outcome = Results(record["scale"], units, {name: unit["result"] for name, unit in stored.items()})
        measurement = None
        with suppress(FigureError):  # the units of today return something else
            measurement = figure.read(outcome)
        is_current = measurement is not None and (outcome.used or set(stored)) <= current
        is_current |= figure.measure is None  # there is nothing that could be older
        row = figure.judge(measurement if measurement is not None else _if_suitable(figure, earlier.get(figure.what)))
        rows.append(row | {"current": is_current, "dirty": bool(outcome.used & dirty)})
    return rows


def _is_current(unit: Unit, stored: Mapping[str, Any], tree: SourceTree) -> bool:
    """Whether a stored unit ran the code and settings of today."""
    settings = plain(unit.settings, f"the settings of the unit {unit.name!r}")
    # Results from before units had fingerprints have no "code".
    return bool(settings == stored["settings"] and stored.get("code") == tree.fingerprint(unit.run))


def _if_suitable(figure: Figure, earlier: Measurement | None) -> Measurement | None:
    """An earlier measurement, unless the figure has become one of a shape, or has ceased to be one."""
    return earlier if earlier is not None and figure.is_shape == (earlier.held is not None) else None
