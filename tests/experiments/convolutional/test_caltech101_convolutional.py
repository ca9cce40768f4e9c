"""The cells with patches and by convolution, and their differences by split."""

from __future__ import annotations

from typing import Any

import pytest

from striate.experiments import Results, load_experiment
from striate.experiments.recognition.caltech101_one_stage import TABLE as ONE_STAGE
from striate.experiments.recognition.caltech101_two_stage import TABLE as TWO_STAGES

EXPERIMENT = load_experiment("caltech101-convolutional")


def measured(what: str, **accuracies: list[float]) -> Any:
    (figure,) = (figure for figure in EXPERIMENT.figures if figure.what == what)
    finished = {letters: {"accuracy": [value / 100 for value in found]} for letters, found in accuracies.items()}
    return figure.read(Results("full", EXPERIMENT.units("full"), finished))


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_cells_have_the_architecture_of_the_tables(scale: Any) -> None:
    found = {unit.name: unit.settings["architecture"] for unit in EXPERIMENT.units(scale)}
    assert list(found) == ["U", "C", "U shrinkage", "C shrinkage", "UU", "CC"]
    assert found["U"] == found["C"]
    assert found["UU"] == found["CC"]
    assert found["U shrinkage"] == found["C shrinkage"] == found["U"].replace(" ", "SS ", 1)
    if scale == "full":
        assert found["U"] == ONE_STAGE.architecture("Rabs-N-PA", scale)
        assert found["UU"] == TWO_STAGES.architecture("Rabs-N-PA", scale)


def test_differences_are_paired_by_split() -> None:
    cells = {"U": [50.0, 60.0, 70.0], "C": [51.0, 62.0, 73.0]}
    gain = measured("one stage, by convolution minus patches", **cells)
    assert (gain.value, gain.uncertainty, gain.n) == (pytest.approx(2), pytest.approx(3**-0.5), 3)
    errors = measured("one stage, by convolution minus patches, in standard errors", **cells)
    assert (errors.value, errors.held) == (pytest.approx(2 * 3**0.5), True)
    assert measured("two stages, by convolution minus patches, in standard errors", **cells) is None


def test_shrinkage_has_figures_of_its_own() -> None:
    cells = {"U": [50.0], "U shrinkage": [52.0], "C shrinkage": [57.5]}
    found = measured("one stage, by convolution, smooth shrinkage", **cells)
    assert found.value == pytest.approx(57.5)
    assert measured("one stage, smooth shrinkage, by convolution minus patches", **cells).value == pytest.approx(5.5)
