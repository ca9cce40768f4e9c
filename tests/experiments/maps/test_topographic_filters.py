"""Differences between neighbors of a sheet, on Gabors whose map is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striate.analysis import GaborFits
from striate.experiments import load_experiment, run_experiment
from striate.experiments.maps.topographic_filters import differences


def fits(orientation: np.ndarray, r_squared: np.ndarray) -> GaborFits:
    ones = np.ones(orientation.size)
    # Frequency halves from row to row, and the position moves by 3 and 4 pixels from column to column.
    rows, columns = np.divmod(np.arange(orientation.size), 4)
    return GaborFits(
        r_squared.ravel(), ones, 3.0 * columns, 4.0 * columns, orientation.ravel(), 2.0**-rows, ones, ones, ones
    )


def test_differences_are_those_of_neighbors_on_the_torus() -> None:
    # 10° from row to row; the last row and the first are 10° apart as well, beyond 180°.
    orientation = np.radians(np.repeat(10.0 * np.arange(18), 4)).reshape(18, 4)
    found = differences(fits(orientation, np.ones((18, 4))), (18, 4))
    assert found["orientation"]["neighbors"] == pytest.approx(5.0)  # 10° along one side, 0° along the other
    assert found["orientation"]["shuffled"] == pytest.approx(45, abs=1.5)
    assert found["frequency"]["neighbors"] == pytest.approx((17 * 1 + 17) / 18 / 2)
    assert found["position"]["neighbors"] == pytest.approx((3 * 5 + 15) / 4 / 2)
    assert found["phase"] == {"neighbors": 0.0, "shuffled": 0.0}


def test_filters_that_are_no_gabors_are_left_out() -> None:
    orientation, fitted = np.zeros((18, 4)), np.ones((18, 4))
    orientation[5, 2], fitted[5, 2] = 1.0, 0.5
    found = differences(fits(orientation, fitted), (18, 4))
    assert found["orientation"] == {"neighbors": 0.0, "shuffled": 0.0}


def test_a_quick_run_measures_every_figure(tmp_path: Path) -> None:
    run = run_experiment(load_experiment("topographic-filters"), scale="quick", results=tmp_path)
    assert run.complete
    assert all(figure["n"] > 0 for figure in run.record["figures"])
