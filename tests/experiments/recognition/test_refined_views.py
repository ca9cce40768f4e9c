"""The curves of refined systems: their predicates, their steps, kills, and the true small NORB in tiny files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate.experiments import Context, Measurement, Results
from striate.experiments.recognition import refined_views
from striate.experiments.recognition.norb_refined import CURVE
from striate.experiments.recognition.refined_views import measure_labels, n_epochs_for
from striate.experiments.recognition.small_norb_refined import CURVE as SMALL_NORB
from striate.progress import Progress
from tests.experiments.data.test_views import write_small_norb
from tests.killing import learn_through_kills

FULL = CURVE.units("full")


def measured(**errors: Any) -> dict[str, Measurement | None]:
    """What the figures find from errors in per cent: functions of (frozen, normalized, count, draw), or numbers."""
    finished = {}
    for unit in FULL:
        settings = unit.settings
        finished[unit.name] = {
            key: [
                errors[settings["protocol"]](frozen, settings["normalized"], settings["count"], draw) / 100
                for draw in range(3)
            ]
            for key, frozen in (("errors before", True), ("errors", False))
        }
    return {figure.what: figure.read(Results("full", FULL, finished)) for figure in CURVE.figures}


def held(found: Measurement | None) -> bool | None:
    assert found is not None
    return found.held


def test_predicates_are_paired_by_draw_and_see_the_ends_of_the_curve() -> None:
    def learned(frozen: bool, normalized: bool, count: int, draw: int) -> float:
        return 40 / count + 3 * draw + frozen * (2 if count > 1 else -1) + (not normalized)

    def random(frozen: bool, normalized: bool, count: int, draw: int) -> float:
        return learned(frozen, normalized, count, draw) + 5 / count - 2 * (count == 4 and not normalized)

    found = measured(UU=learned, RR=random)
    assert held(found["error of learned filters frozen minus refined, most labels"])
    assert not held(found["error of learned filters frozen minus refined, fewest labels"])
    assert held(found["error of refined random filters minus that of refined learned ones, fewest labels"])
    merging = found["error of refined random filters minus that of refined learned ones, most labels"]
    assert held(merging)
    assert merging is not None
    assert merging.value == pytest.approx(5 / 16)
    assert held(found["error without normalization minus that with it, refined learned filters"])
    assert not held(found["error without normalization minus that with it, refined random filters"])


def test_steps_are_enough_for_few_labels_and_epochs_for_many() -> None:
    assert n_epochs_for(32, 400) == 400
    assert n_epochs_for(99, 400) == 100  # of four steps
    assert n_epochs_for(24_300, 400) == refined_views.FEWEST_EPOCHS


def test_architectures_differ_by_normalization_alone() -> None:
    with_it, without = (
        next(unit.settings["architecture"] for unit in FULL if unit.settings["normalized"] is normalized)
        for normalized in (True, False)
    )
    assert without == "32F7x7 - Rabs - PA6x6/4 - 128F5x5 - Rabs - PA4x4/2"
    assert [layer for layer in with_it.split(" - ") if not layer.startswith("N")] == without.split(" - ")


def test_a_unit_goes_on_after_kills_to_the_same_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    (unit,) = (unit for unit in CURVE.units("quick") if unit.name == "RR, normalized, 4 labels per class")
    settings = {**unit.settings, "protocol": "R", "architecture": "4F5x5 - Rabs - N5x5 - PA8x8/4"}
    context = Context("quick", 0, {}, tmp_path / "whole", Progress(), 1)
    whole = measure_labels(settings, context)
    assert not list((tmp_path / "whole").iterdir())
    assert {len(errors) for errors in whole.values()} == {2}
    assert all(0 < error < 0.8 for errors in whole.values() for error in errors)

    def again(checkpoint: Any) -> dict[str, Any]:
        monkeypatch.setattr(refined_views, "Checkpoint", lambda *_, **__: checkpoint)
        return measure_labels(settings, context)

    resumed, kills = learn_through_kills(again, tmp_path / "killed", lambda: 13)
    assert kills >= 1
    assert resumed == whole


def test_the_same_unit_runs_on_small_norb(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    folder = write_small_norb(tmp_path, n_per_category=4)
    unit = SMALL_NORB.units("full")[0]
    settings = {
        **unit.settings, "protocol": "R", "architecture": "4F7x7 - Rabs - PA6x6/4", "count": 3, "draws": 1, "steps": 2,
    }  # fmt: skip
    context = Context("full", 0, {"small-norb": folder}, tmp_path / "unit", Progress(), 1)
    found = measure_labels(settings, context)
    (before,), (after,) = found["errors before"], found["errors"]
    assert np.isclose(before * 20, round(before * 20)), "all 20 test images count"
    assert 0 <= after <= 1
