from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from striate.errors import StriateError
from striate.experiments import (
    EXPERIMENTS,
    Experiment,
    list_experiments,
    read_record,
    results_folder,
    run_experiment,
    summary,
)
from striate.provenance import repository

Make = Callable[..., Experiment]


def test_before_the_first_run_the_figures_are_listed_as_not_run(make_experiment: Make, tmp_path: Path) -> None:
    listed = summary(make_experiment(), tmp_path / "results")
    assert [figure["what"] for figure in listed["figures"]] == ["accuracy", "rise"]
    assert {figure["verdict"] for figure in listed["figures"]} == {"not run"}
    assert (listed["scale"], listed["date"], listed["complete"]) == ("full", None, False)


def test_the_list_reads_results_and_judges_by_what_is_declared_now(make_experiment: Make, tmp_path: Path) -> None:
    run = run_experiment(make_experiment(), results=tmp_path)
    listed = summary(make_experiment(), tmp_path)
    assert listed["figures"] == run.record["figures"]
    assert listed["complete"] is True

    stricter = summary(make_experiment({"goal=90.0": "goal=99.0"}), tmp_path)
    assert stricter["figures"][0]["measured"] == 90.5
    assert stricter["figures"][0]["verdict"] == "short"

    added = summary(make_experiment({'what="rise"': 'what="ascent"'}), tmp_path)
    assert added["figures"][1]["verdict"] == "not run"


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"name": "toy"', '{"name": 3}'])
def test_a_damaged_result_is_one_sentence(make_experiment: Make, tmp_path: Path, damage: str) -> None:
    (tmp_path / "toy.json").write_text(damage)
    with pytest.raises(StriateError, match=r"toy\.json is not a readable result of an experiment"):
        summary(make_experiment(), tmp_path)


def test_a_result_under_a_wrong_name_is_refused(make_experiment: Make, tmp_path: Path) -> None:
    run_experiment(make_experiment(), results=tmp_path)
    (tmp_path / "toy.json").rename(tmp_path / "joy.json")
    with pytest.raises(StriateError, match="holds the experiment toy"):
        summary(make_experiment({'"toy"': '"joy"'}), tmp_path)


def test_an_installed_package_looks_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = repository()
    assert root is not None
    assert results_folder() == root / "results"
    monkeypatch.setattr("striate.experiments.engine.listing.repository", lambda: None)
    monkeypatch.chdir(tmp_path)
    assert results_folder() == tmp_path / "results"


def test_the_committed_results_are_whole_and_full() -> None:
    listed = {experiment["name"]: experiment for experiment in list_experiments()}
    assert set(listed) == set(EXPERIMENTS)
    for path in results_folder().glob("*.json"):
        record = read_record(path)
        assert path.stem in EXPERIMENTS, f"{path.name} belongs to no experiment"
        assert record["scale"] == "full"
        assert path.with_suffix(".png").exists() or not record["complete"]
