from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from striate.errors import StriateError
from striate.experiments import (
    EXPERIMENTS,
    Experiment,
    cells_of,
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
    assert (listed["scale"], listed["date"], listed["complete"], listed["current"]) == ("full", None, False, False)


def test_figures_are_measured_and_judged_as_declared_now(make_experiment: Make, tmp_path: Path) -> None:
    run = run_experiment(make_experiment(), results=tmp_path)
    listed = summary(make_experiment(), tmp_path)
    today = {"current": True, "dirty": False}
    assert [figure | {"dirty": False} for figure in listed["figures"]] == [row | today for row in run.record["figures"]]
    assert listed["complete"] is listed["current"] is True

    stricter = summary(make_experiment({"goal=90.0": "goal=99.0"}), tmp_path)
    assert stricter["figures"][0]["measured"] == 90.5
    assert stricter["figures"][0]["verdict"] == "short"

    # Another way to measure needs no new run, as long as it reads what the units returned.
    renamed = summary(make_experiment({'what="rise"': 'what="ascent"', "> max(": "> 2 * max("}), tmp_path)
    assert (renamed["figures"][1]["verdict"], renamed["figures"][1]["held"]) == ("shape", False)
    assert renamed["current"] is True


SPLIT = {
    '"accuracy": 80.0': '"accuracy": helper(settings)',
    "def measure(": "def helper(settings): return 80.0\n\n\ndef measure(",
}


@pytest.mark.parametrize(
    ("change", "current"),
    [
        ({"return 80.0": "return 81.0"}, [False, False]),
        ({"for labels in (10, 100)": "for labels in (20, 100)"}, [True, False]),
        ({'{labels} labels, split': '{labels} examples, split'}, [False, False]),
        ({'"""One cell."""': '"""A cell."""', "90.0,": "91.0,"}, [True, True]),
    ],
)  # fmt: skip
def test_the_list_says_which_figures_were_measured_on_older_code(
    make_experiment: Make, tmp_path: Path, change: dict[str, str], current: list[bool]
) -> None:
    run_experiment(make_experiment(SPLIT), results=tmp_path)
    listed = summary(make_experiment(SPLIT | change), tmp_path)
    assert [figure["current"] for figure in listed["figures"]] == current
    assert listed["current"] is all(current)
    assert [figure["verdict"] != "not run" for figure in listed["figures"]] == [True, True], "values stay"
    assert [("older code" in cells_of(figure)[3]) for figure in listed["figures"]] == [not one for one in current]


def test_results_without_fingerprints_of_units_count_as_older(make_experiment: Make, tmp_path: Path) -> None:
    run_experiment(make_experiment(), results=tmp_path)
    record = read_record(tmp_path / "toy.json")
    for unit in record["units"]:
        del unit["code"]
    (tmp_path / "toy.json").write_text(json.dumps(record | {"code": "0" * 64}))
    listed = summary(make_experiment(), tmp_path)
    assert [figure["current"] for figure in listed["figures"]] == [False, False]


def test_what_was_measured_on_uncommitted_code_is_shown(make_experiment: Make, tmp_path: Path) -> None:
    run_experiment(make_experiment(), results=tmp_path)
    record = read_record(tmp_path / "toy.json")
    for unit in record["units"]:
        unit["checkout"]["dirty"] = unit["settings"]["labels"] == 10
    (tmp_path / "toy.json").write_text(json.dumps(record))
    accuracy, rise = summary(make_experiment(), tmp_path)["figures"]
    assert (accuracy["dirty"], rise["dirty"]) == (False, True)
    assert "uncommitted" not in cells_of(accuracy)[3]
    assert cells_of(rise)[3] == "more labels are better: held; measured on uncommitted code"


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
