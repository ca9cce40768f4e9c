"""Which objects are drawn, and what each unit measures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate.experiments import Context, Results
from striate.experiments.recognition.live_learning import (
    COUNTS,
    DRAWS,
    FIGURES,
    LEARNED,
    METHODS,
    PIXELS,
    SHIPPED,
    draw,
    units,
)
from striate.experiments.recognition.live_sets import DEVELOPMENT, draw_objects, load_shown
from striate.live import decode_frame
from striate.progress import Progress

OBJECTS = np.repeat(np.arange(99), 36)


def context(tmp_path: Path) -> Context:
    return Context("quick", 0, {}, tmp_path, Progress(), 1)


def known(drawn_objects: np.ndarray, seed: int) -> set[int]:
    drawn = draw_objects(drawn_objects, seed, n_known=10, n_foreign=20, n_samples=20, n_tests=20)
    return set(drawn_objects[drawn.samples[:, 0]].tolist())


def test_draws_are_of_frames_and_objects_that_do_not_meet() -> None:
    drawn = draw_objects(OBJECTS, 100, n_known=10, n_foreign=20, n_samples=20, n_tests=20)
    assert drawn.samples.shape == (10, 20)
    assert len(drawn.tests) == len(drawn.truth) == 160  # 36 views
    assert len(drawn.foreign) == 100
    assert not set(drawn.samples.ravel()) & set(drawn.tests)
    shown = OBJECTS[drawn.samples[:, 0]]
    np.testing.assert_array_equal(OBJECTS[drawn.tests], shown[drawn.truth])
    assert not set(OBJECTS[drawn.foreign]) & set(shown)
    again = draw_objects(OBJECTS, 100, n_known=10, n_foreign=20, n_samples=5, n_tests=20)
    np.testing.assert_array_equal(again.samples, drawn.samples[:, :5])


def test_no_object_of_a_draw_was_known_in_development() -> None:
    developed = set()
    for seed in DEVELOPMENT:  # as the draws of development were made
        developed |= set(np.random.default_rng(seed).choice(99, 30, replace=False)[:10].tolist())
    for seed in DRAWS:
        assert not known(OBJECTS, seed) & developed


def test_every_method_count_and_draw_is_measured_once() -> None:
    found = Counter(
        (unit.settings["set"], unit.settings["method"], count, unit.settings["draw"])
        for unit in units("full")
        if "method" in unit.settings
        for count in unit.settings["counts"]
    )
    assert set(found.values()) == {1}
    assert {key[:2] for key in found} == {(name, m) for name in ("COIL-100", "Caltech-101") for m in METHODS}
    assert {key[2] for key in found if key[1] == SHIPPED} == set(COUNTS)
    assert len([unit for unit in units("full") if "kind" in unit.settings]) == 2


def test_figures_compare_the_same_draws(tmp_path: Path) -> None:
    accuracy = {SHIPPED: 0.9, LEARNED: 0.85, PIXELS: 0.5}
    finished: dict[str, dict[str, Any]] = {}
    for unit in units("full"):
        if "method" in unit.settings:
            value = accuracy[unit.settings["method"]] + 0.01 * (unit.settings["draw"] - 102)
            row = [value] * len(unit.settings["counts"])
            finished[unit.name] = {"accuracy": row, "area": row, "false alarms": row}
        elif unit.settings["kind"] == "time":
            finished[unit.name] = {"press": [0.1, 0.3], "update": [0.01, 0.03], "rate": [20.0, 40.0]}
        else:
            finished[unit.name] = {"gained": 1.0}
    results = Results("full", units("full"), finished)
    found = {figure.what: figure.read(results) for figure in FIGURES}
    assert all(found.values())
    lead = found["COIL-100, 5 samples per class: features that ship minus those of striate train"]
    assert lead is not None
    assert lead.value == pytest.approx(5.0)
    assert lead.uncertainty == pytest.approx(0.0, abs=1e-9)
    assert lead.n == len(DRAWS)
    times = [one.value for what, one in found.items() if one is not None and "10 classes of 100" in what]
    assert times == [0.3, pytest.approx(0.02), 30.0]
    draw(results, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 0


def test_frames_are_those_of_a_page(tmp_path: Path) -> None:
    shown = load_shown("digits", context(tmp_path))
    bright, dark = decode_frame(shown.frame(0)), decode_frame(shown.frame(0, gain=0.5))
    assert bright.shape == (3, 28, 28)
    assert dark.mean() < 0.6 * bright.mean()


def test_digits_are_recognized_from_pixels(tmp_path: Path) -> None:
    (unit,) = (unit for unit in units("quick") if unit.name == "digits, pixels, draw 0")
    found = unit.run(unit.settings, context(tmp_path))
    assert found["accuracy"][1] > 0.6
    assert found["area"][1] > 0.5
    assert all(0 <= value <= 1 for row in found.values() for value in row)
