"""Every registered experiment at the quick scale; it is meant to take at most ten seconds on shipped data."""

from __future__ import annotations

from pathlib import Path

import pytest

from striate.experiments import EXPERIMENTS, load_experiment, run_experiment


@pytest.mark.slow
@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_an_experiment_runs_at_the_quick_scale(name: str, tmp_path: Path) -> None:
    experiment = load_experiment(name)
    run = run_experiment(experiment, scale="quick", results=tmp_path)
    assert run.complete
    assert [figure["what"] for figure in run.record["figures"]] == [figure.what for figure in experiment.figures]
    assert any(figure["n"] > 0 for figure in run.record["figures"]), "a quick run measures something"
    assert (tmp_path / f"{name}.png").stat().st_size > 0

    again = run_experiment(experiment, scale="quick", results=tmp_path)
    assert len(again.reused) == len(run.record["units"])
    assert again.record["figures"] == run.record["figures"]
