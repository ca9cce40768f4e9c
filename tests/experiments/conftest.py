"""Toy experiments: modules in a temporary folder, as an experiment's module looks."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from striate.experiments.engine.experiment import Experiment, from_module

TOY = '''
"""A toy: counts how often each unit really ran."""
from __future__ import annotations
from pathlib import Path
from striate.experiments import Context, Figure, Unit

NAME = "toy"
CLAIM = "Accuracy rises with the number of labels."
DATA = {"quick": (), "full": ()}
FIGURES = (
    Figure(
        what="accuracy",
        better="higher",
        goal=90.0,
        unit="%",
        measure=lambda results: results.select(labels=100).column("accuracy"),
    ),
    Figure(
        what="rise",
        better="higher",
        predicate="more labels are better",
        measure=lambda results: min(results.select(labels=100).column("accuracy"))
        > max(results.select(labels=10).column("accuracy")),
    ),
)
DIARY = Path(__file__).with_name("diary.txt")


def measure(settings, context):
    """One cell."""
    with DIARY.open("a") as diary:
        diary.write(f"{settings['labels']}/{settings['split']}\\n")
    return {"accuracy": 80.0 + settings["labels"] / 10 + settings["split"]}


def units(scale):
    return [
        Unit(f"{labels} labels, split {split}", {"labels": labels, "split": split}, measure)
        for labels in (10, 100)
        for split in range(1 if scale == "quick" else 2)
    ]
'''


@pytest.fixture
def make_experiment(tmp_path: Path) -> Callable[..., Experiment]:
    """Load a module's text as an experiment; by default the toy, with some text replaced."""
    numbers = itertools.count()

    def make(replace: Mapping[str, str] | None = None, text: str = TOY) -> Experiment:
        for old, new in (replace or {}).items():
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "toy.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(f"toy_{next(numbers)}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return from_module(module)

    return make


@pytest.fixture
def diary(tmp_path: Path) -> Callable[[], list[str]]:
    """Return what the toy's units wrote each time they really ran."""

    def read() -> list[str]:
        path = tmp_path / "diary.txt"
        return path.read_text().split() if path.exists() else []

    return read


@pytest.fixture(scope="session")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What striate's files define, taken apart once for all tests: it depends on their content alone."""
    return tmp_path_factory.mktemp("definitions")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, definitions: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache folder of its own."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "definitions").symlink_to(definitions)
    return tmp_path / "cache"
