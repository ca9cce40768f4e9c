"""The networks for MNIST: which digits have labels, what figures make of errors, and how a run goes on after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate.experiments import Context, Figure, Results, Unit
from striate.experiments.recognition import mnist_architecture, mnist_best
from striate.experiments.recognition.refined_digits import ARCHITECTURE, PREPROCESSING, labeled
from striate.hierarchy import Hierarchy
from striate.progress import Progress
from striate.recognition import refine


def test_the_geometry_is_that_of_the_paper() -> None:
    hierarchy = Hierarchy(ARCHITECTURE["full"])
    shapes = [PREPROCESSING.shape]
    for layer in hierarchy:
        shapes.append(layer.output_shape(shapes[-1]))
    assert list(dict.fromkeys(shapes)) == [(1, 34, 34), (50, 28, 28), (50, 14, 14), (128, 10, 10), (128, 5, 5)]
    assert 128 * 8 == 1024  # kernels of the second stage


def test_labels_are_balanced_and_nested(rng: np.random.Generator) -> None:
    labels = rng.permutation(np.repeat(np.arange(10), 50))
    few, more = labeled(labels, 30, 1), labeled(labels, 300, 1)
    assert set(few) < set(more)
    np.testing.assert_array_equal(np.bincount(labels[few]), [3] * 10)
    assert set(few) != set(labeled(labels, 30, 2))
    np.testing.assert_array_equal(labeled(labels, 500, 1), np.arange(500))


def figures_of(rows: dict[tuple[str, int], tuple[float, float]]) -> dict[str, Any]:
    """What the figures of `mnist-architecture` are, with these errors in per cent, frozen and refined."""
    units = mnist_architecture.units("full")
    finished = {}
    for unit in units:
        frozen, refined = rows[unit.settings["letters"], unit.settings["n_labels"]]
        finished[unit.name] = {"frozen": frozen / 100, "refined": refined / 100}
    results = Results("full", units, finished)
    return {each.what: each.judge(each.read(results)) for each in mnist_architecture.FIGURES}


def test_figures_are_of_the_best_and_of_ratios() -> None:
    counts = mnist_architecture.EPOCHS
    rows = {("RR", n): (3.0, 2.2) for n in counts} | {("UU", n): (2.5, 2.0) for n in counts}
    found = figures_of({**rows, ("UU", 1000): (1.5, 1.9)})
    assert found["error, best of the four, 1,000 labels"]["measured"] == pytest.approx(1.5)
    assert found["error, best of the four, 1,000 labels"]["n"] == 3
    assert found["error, U+U+, 60,000 labels, undistorted"]["measured"] == pytest.approx(2.0)
    assert found["error, U+U+, 60,000 labels, undistorted"]["verdict"] == "short"
    name = "error of R+R+ divided by that of U+U+, mean over all numbers of labels"
    assert found[name]["measured"] == pytest.approx((7 * 2.2 / 2.0 + 2.2 / 1.9) / 8)
    assert found[name]["held"]
    assert found["error of RR divided by that of U+U+, 60,000 labels"]["held"] is False  # exactly 1.5
    few = found["largest of the four errors divided by the smallest, 300 labels"]
    assert (few["measured"], few["held"]) == (pytest.approx(1.5), False)


def test_units_fit_the_time_that_is_allowed() -> None:
    units: list[Unit] = mnist_architecture.units("full")
    assert all(unit.checkpoints for unit in units)
    assert max(unit.expected_seconds for unit in units) <= 40 * 60
    assert sum(unit.expected_seconds for unit in units) <= 3 * 3600
    assert max(unit.expected_seconds for unit in mnist_best.units("full")) <= 3600


class Killed(BaseException):
    """As a kill is: no code catches it."""


def context_in(folder: Path) -> Context:
    return Context("quick", 0, {}, folder, Progress(), 1)


@pytest.mark.slow
def test_an_average_goes_on_with_the_network_that_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    unit = next(unit for unit in mnist_best.units("quick") if unit.name == mnist_best.DISTORTED)
    whole = unit.run(unit.settings, context_in(tmp_path / "whole"))
    begun: list[str] = []

    def killed_once(*arguments: Any, **options: Any) -> Any:
        begun.append(options["checkpoint"].path("x").name)
        if len(begun) == 2:
            raise Killed
        return refine(*arguments, **options)

    monkeypatch.setattr(mnist_best, "refine", killed_once)
    with pytest.raises(Killed):
        unit.run(unit.settings, context_in(tmp_path / "killed"))
    found = unit.run(unit.settings, context_in(tmp_path / "killed"))
    assert len(begun) == 3
    assert begun[1] == begun[2] != begun[0]
    assert found["errors"] == whole["errors"]
    assert found["error of averages"] == whole["error of averages"]
    assert found["error of averages"][0] == found["errors"][0]
    np.testing.assert_array_equal(found["wrong"], whole["wrong"])
    assert len(found["wrong"]) == round(1000 * found["error of averages"][-1])


def test_every_published_error_has_a_source() -> None:
    figures: tuple[Figure, ...] = (*mnist_architecture.FIGURES, *mnist_best.FIGURES)
    assert all(figure.source for figure in figures if figure.published is not None)
