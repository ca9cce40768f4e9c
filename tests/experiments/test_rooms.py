"""Experiments know nothing of each other: what they share stands in `data/`, or in a module of their folder."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import striate.experiments
from striate.experiments import EXPERIMENTS, load_experiment

FOLDER = Path(striate.experiments.__path__[0])


def imported(path: Path) -> set[str]:
    """The modules that a file imports from, and what it takes from them, as dotted names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively; name the whole module"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_no_module_imports_an_experiment() -> None:
    wrong = {
        path.relative_to(FOLDER).as_posix(): sorted(found)
        for path in FOLDER.rglob("*.py")
        if (found := imported(path) & set(EXPERIMENTS.values()))
    }
    assert not wrong, "put what two experiments share into data/, or into a module of their folder"


def test_data_and_engine_know_no_part_of_the_talk() -> None:
    parts = {path.parent.name for path in FOLDER.glob("*/__init__.py")} - {"data", "engine"}
    wrong = {
        path.relative_to(FOLDER).as_posix(): name
        for room in ("data", "engine")
        for path in (FOLDER / room).rglob("*.py")
        for name in imported(path)
        for part in parts
        if name.startswith(f"striate.experiments.{part}")
    }
    assert not wrong


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_experiment_is_declared_at_both_scales(name: str) -> None:
    experiment = load_experiment(name)
    assert experiment.name == name
    quick, full = (experiment.units(scale) for scale in ("quick", "full"))
    assert {unit.run for unit in quick} <= {unit.run for unit in full}
