"""Which digits are moved where, and what the figures are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.experiments import Results, load_experiment
from striate.experiments.robot.drlim_mnist import MARGIN, SHIFTS, _moved

EXPERIMENT = load_experiment("drlim-mnist")


def measured(what: str, **changed: float) -> Any:
    values = {"error": 0.03, "error of components": 0.02, "explained": 0.01, "within": 0.04, **changed}
    (figure,) = (figure for figure in EXPERIMENT.figures if figure.what.startswith(what))
    return figure.read(
        Results("full", EXPERIMENT.units("full"), {unit.name: values for unit in EXPERIMENT.units("full")})
    )


def test_digits_move_and_the_middle_stays(rng: np.random.Generator) -> None:
    rows = rng.random((3, 784)).astype(np.float32)
    images = rows.reshape(3, 28, 28)
    for shift in SHIFTS:
        moved = _moved(rows, shift).reshape(3, 28, 28 + 2 * MARGIN)
        inner = slice(6 + max(shift, 0), 28 - 6 + min(shift, 0))  # columns that no shift cuts
        of_digit = images[:, :, inner.start - shift : inner.stop - shift]
        np.testing.assert_array_equal(moved[:, :, MARGIN + inner.start : MARGIN + inner.stop], of_digit)
    np.testing.assert_array_equal(_moved(rows, 0).reshape(3, 28, -1)[:, :, MARGIN:-MARGIN], images)


def test_errors_are_ratios_and_variances_percent() -> None:
    assert measured("4 and 9").value == pytest.approx(1.5)
    assert measured("4 and 9").n == 3
    assert measured("ten digits").n == 1
    assert measured("variance explained by shift, shifted").value == pytest.approx(1)
    assert measured("variance of the places").value == pytest.approx(4)
    assert not measured("variance explained by shift, without").held
    assert measured("variance explained by shift, without", explained=0.9).held


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_every_kind_has_a_unit(scale: Any) -> None:
    kinds = {unit.settings["kind"] for unit in EXPERIMENT.units(scale)}
    assert kinds == {"4 and 9", "ten digits", "shifts, plain neighbors", "shifts, shifted neighbors"}
