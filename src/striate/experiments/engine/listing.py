"""What has been measured: the experiments, their figures and the committed results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from striate.errors import StriateError
from striate.experiments.engine.experiment import Experiment
from striate.experiments.engine.figure import Measurement, measurement_of
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
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StriateError(
            f"{path} is not a readable result of an experiment ({type(error).__name__}: {error}); "
            "run the experiment again, or restore the file"
        ) from error
    return record


def summary(experiment: Experiment, results: Path) -> dict[str, Any]:
    """Return one experiment with its figures, as they stand in the results folder.

    What is published and asked comes from the experiment's module, what was measured from the file, and the
    verdict from both: a goal that is changed counts at once, and a figure that is added is "not run".

    Returns
    -------
    dict
        ``name``, ``claim``, ``scale``, ``complete``, ``date`` (None before the first run), ``seconds``, and
        ``figures``, never empty.
    """
    path = results / f"{experiment.name}.json"
    record = read_record(path) if path.exists() else None
    if record is not None and record["name"] != experiment.name:
        raise StriateError(f"{path} holds the experiment {record['name']}; rename the file, or remove it")
    measured: dict[str, Measurement | None] = {}
    if record is not None:
        measured = {row["what"]: measurement_of(row) for row in record["figures"]}
    return {
        "name": experiment.name,
        "claim": experiment.claim,
        "scale": record["scale"] if record else "full",
        "complete": record["complete"] if record else False,
        "date": record["provenance"]["date"] if record else None,
        "seconds": record["seconds"] if record else None,
        "figures": [figure.judge(measured.get(figure.what)) for figure in experiment.figures],
    }
