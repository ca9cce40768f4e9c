"""Every registered experiment at the quick scale; it is meant to take at most ten seconds on shipped data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from striate.experiments import EXPERIMENTS, load_experiment, run_experiment
from tests.cli.command import striate


@pytest.mark.slow
@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_an_experiment_runs_at_the_quick_scale(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = load_experiment(name)
    run = run_experiment(experiment, scale="quick", results=tmp_path)
    assert run.complete
    assert [figure["what"] for figure in run.record["figures"]] == [figure.what for figure in experiment.figures]
    assert any(figure["n"] > 0 for figure in run.record["figures"]), "a quick run measures something"
    assert (tmp_path / f"{name}.png").stat().st_size > 0

    # The command finds all units finished, and shows the same figures.
    done = striate(capsys, "experiment", name, "--scale", "quick", "--results", tmp_path, "--quiet")
    assert done.code == 0, done.err
    n_units = len(run.record["units"])
    assert f"Complete: {n_units} units, {n_units} of them in earlier runs" in done.out
    assert json.loads((tmp_path / f"{name}.json").read_text())["figures"] == run.record["figures"]
