"""The deep autoencoder of digits: its options are the best of those that are tried on held-out digits."""

from __future__ import annotations

from typing import Any

import pytest

from striate.experiments import Results
from striate.experiments.energies import deep_autoencoder_mnist as experiment


def test_a_figure_says_whether_the_best_options_are_used() -> None:
    units = experiment.units("full")
    choices = [unit for unit in units if unit.settings["kind"] == "choice"]
    assert len(choices) == len(experiment.TRIED)
    chosen = experiment.TRIED.index(experiment.CHOSEN)
    (figure,) = (figure for figure in experiment.FIGURES if figure.what.startswith("held-out error"))

    def judged(errors: dict[int, float]) -> dict[str, Any]:
        finished = {unit.name: {"held-out error": errors.get(n, 3.0)} for n, unit in enumerate(choices)}
        return figure.judge(figure.read(Results("full", units, finished)))

    assert judged({chosen: 2.5})["held"]
    found = judged({chosen: 2.5, (chosen + 1) % len(choices): 2.4})
    assert (found["measured"], found["held"]) == (pytest.approx(0.1), False)


def test_what_is_measured_uses_the_chosen_options() -> None:
    units = [unit for unit in experiment.units("full") if unit.settings["kind"] == "deep"]
    assert {unit.settings["pretraining"] for unit in units} == {None, "rbm", "psd"}
    for unit in units:
        assert {name: unit.settings[name] for name in experiment.CHOSEN} == experiment.CHOSEN
        assert unit.expected_seconds <= 3600
        assert unit.checkpoints
