"""Refined cells: which are measured, what counts, and that a killed unit goes on to the same result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from striate.experiments import Context, Measurement, Results
from striate.experiments.recognition import caltech101_refined as refined
from striate.experiments.recognition.cells import COLUMNS, measure_cell
from striate.progress import Progress
from tests.killing import learn_through_kills

FULL = refined.units("full")


def context(folder: Path) -> Context:
    return Context("quick", 0, {}, folder, Progress(), 1)


def quick(name: str) -> Any:
    (unit,) = (unit for unit in refined.units("quick") if unit.name == name)
    return unit.settings


def measured(gains: dict[str, list[float]], level: float = 60.0) -> dict[str, Measurement | None]:
    """What the figures find if refinement adds so many points to `level` in each split."""
    finished = {}
    for unit in FULL:
        gain = gains[unit.settings["row"]][unit.settings["split"]]
        split = 2 * unit.settings["split"]  # that all systems share
        finished[unit.name] = {
            "accuracy": (level + split + gain) / 100,
            "accuracy before": (level + split) / 100,
        }
    return {figure.what: figure.read(Results("full", FULL, finished)) for figure in refined.FIGURES}


def test_each_published_cell_is_a_figure_and_those_with_units_are_measured() -> None:
    cells = {figure.what: figure for figure in refined.FIGURES if figure.published is not None}
    assert list(cells) == [f"{row}, {column}" for row in refined.PUBLISHED for column in COLUMNS]
    has_unit = {f"{unit.settings['row']}, {unit.settings['column']}" for unit in FULL}
    assert {what for what, figure in cells.items() if figure.measure is not None} == has_unit
    assert all(unit.checkpoints for unit in FULL)
    splits = {
        row: [unit.settings["split"] for unit in FULL if unit.name.startswith(f"{row}, Rabs-N-PA")]
        for row in refined.PUBLISHED
    }
    assert splits == {"U+": [0, 1, 2], "R+": [0, 1, 2], "U+U+": [0, 1], "R+R+": [0, 1]}
    assert cells["U+, Rabs-N-PA"].goal == pytest.approx(54.2 - 1.5)
    assert cells["R+, Rabs-N-PA"].goal == pytest.approx(54.8 - 1.5)
    assert (cells["U+U+, Rabs-N-PA"].goal, cells["R+R+, Rabs-N-PA"].goal) == (65.5, 64.7)


def test_gains_are_paired_by_split() -> None:
    found = measured({"U+": [1, 2, 3], "R+": [1, 1, 1], "U+U+": [0.1, 0.3], "R+R+": [-0.6, 2.0]})
    cell = found["U+, Rabs-N-PA"]
    assert cell is not None
    assert cell.value == pytest.approx(64)
    one = found["refined minus frozen, one stage"]
    assert one is not None
    assert one.value == pytest.approx(1.5)
    assert (one.n, one.held) == (6, True)
    two = found["refined minus frozen, two stages"]
    assert two is not None
    assert two.value == pytest.approx(0.45)
    assert (two.n, two.held) == (4, False)  # within two standard errors of 0
    difference = found["U+ minus R+"]
    assert difference is not None
    assert difference.value == pytest.approx(1.0)
    assert (difference.n, difference.held) == (3, True)
    assert difference.uncertainty == pytest.approx(1 / 3**0.5)


@pytest.mark.parametrize(("worst", "held"), [(-0.5, True), (-0.6, False)])
def test_refined_learned_filters_must_not_lose_in_any_split(worst: float, held: bool) -> None:
    gains: dict[str, list[float]] = {"U+": [1, 1, 1], "R+": [1, 1, 1], "U+U+": [3.0, worst], "R+R+": [1, 1]}
    found = measured(gains)["U+U+ minus UU"]
    assert found is not None
    assert found.held is held


@pytest.mark.parametrize(("lead", "held"), [([1.0, 3.0], False), ([1.0, 2.0], True)])
def test_pre_training_helps_much_from_three_points_on(lead: list[float], held: bool) -> None:
    found = measured({"U+": [1, 1, 1], "R+": [1, 1, 1], "U+U+": lead, "R+R+": [0, 0]})["U+U+ minus R+R+"]
    assert found is not None
    assert found.held is held


def test_a_unit_measures_the_frozen_cell_of_the_tables_and_goes_on_after_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    settings = quick("R+, N-PM, split 0")
    whole = refined.measure(settings, context(tmp_path / "whole"))
    assert not list((tmp_path / "whole").iterdir()), "its checkpoint is removed"
    frozen = measure_cell(settings, context(tmp_path))
    assert whole["accuracy before"] == frozen["accuracy"][0]
    assert len(whole["history"]) == 1 + settings["n_epochs"]
    assert 0.5 < whole["accuracy"] <= 1

    def again(checkpoint: Any) -> dict[str, Any]:
        monkeypatch.setattr(refined, "checkpoint_of", lambda *_: checkpoint)
        return refined.measure(settings, context(tmp_path))

    resumed, kills = learn_through_kills(again, tmp_path / "killed", lambda: 7)
    assert kills >= 1
    assert resumed == whole


def test_a_system_that_no_step_made_better_stays_frozen(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    settings = {**quick("R+, N-PM, split 0"), "learning_rate": 1e3}
    found = refined.measure(settings, context(tmp_path))
    assert found["steps"] == 0
    assert found["accuracy"] == found["accuracy before"]
