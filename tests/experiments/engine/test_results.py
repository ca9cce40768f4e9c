from __future__ import annotations

import doctest

import pytest

from striate.experiments import NotRunError, Results, Unit
from striate.experiments.engine import results


def test_the_example_in_the_docstring() -> None:
    assert doctest.testmod(results).attempted > 0
    assert doctest.testmod(results).failed == 0


def test_units_that_do_not_exist_were_not_run() -> None:
    nothing = Results("quick", [], {})
    assert len(nothing) == 0
    with pytest.raises(NotRunError, match="no unit at scale quick gives 'accuracy'"):
        nothing.column("accuracy")


def test_selection_keeps_the_order_and_asks_for_all_settings() -> None:
    units = [Unit(f"{a}{b}", {"a": a, "b": b}, lambda settings, context: {}) for a in (2, 1) for b in (3, 4)]
    chosen = Results("full", units, {}).select(b=4)
    assert [unit.name for unit in chosen] == ["24", "14"]
    assert [unit.name for unit in chosen.select(a=1)] == ["14"]
    assert len(chosen.select(c=None)) == 0, "a setting that a unit does not have is not None"
