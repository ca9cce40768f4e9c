"""How far filters move, and their image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striate.experiments import Context, Results
from striate.experiments.engine.drawing import unpack
from striate.experiments.recognition.stage2_filters import FIGURES, compare_filters, cosines, draw, units
from striate.progress import Progress


def test_cosines_are_over_all_maps_of_a_filter(rng: np.random.Generator) -> None:
    filters = rng.standard_normal((3, 2, 4, 4))
    changed = filters * np.array([2.0, -1.0, 1.0])[:, None, None, None]
    changed[2, 0] = 0
    left = np.linalg.norm(filters[2, 1]) / np.linalg.norm(filters[2])
    np.testing.assert_allclose(cosines(filters, changed), np.array([1, -1, left], np.float64))


def test_filters_before_and_after_are_kept_and_drawn(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (unit,) = units("quick")
    settings = {**unit.settings, "protocol": "RR", "n_epochs": 1}
    result = compare_filters(settings, Context("quick", 0, {}, tmp_path, Progress(), 1))
    assert result["steps"] > 0
    for stage, n_maps in (("first", 16), ("second", 32)):
        assert len(result[f"cosine, {stage} stage"]) == n_maps
        assert 0 < result[f"change, {stage} stage"] < 1
        before, after = (result[f"{stage} stage, {when}"] for when in ("before", "after"))
        assert before["shape"] == after["shape"]
        assert unpack(before["pixels"], before["shape"]).max() > 200
        assert before["pixels"] != after["pixels"]
    results = Results("quick", units("quick"), {unit.name: result})
    figures = [figure.judge(figure.read(results)) for figure in FIGURES]
    assert all(figure["verdict"] == "shape" for figure in figures)
    draw(results, tmp_path / "filters.png")
    assert (tmp_path / "filters.png").stat().st_size > 10_000
