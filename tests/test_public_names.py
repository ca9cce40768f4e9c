from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import striate


def test_importing_striate_costs_nothing() -> None:
    script = "import sys, striate; assert not {'numpy', 'striate.images'} & sys.modules.keys(); dir(striate)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_importing_solvers_loads_no_compiler() -> None:
    """numba takes a second to load, and does not load at all with some settings that striate repairs."""
    script = "import sys, striate.coding; assert not {'numba', 'torch'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("name", striate.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(striate, name) is not None
    assert name in dir(striate)


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Classifier'"):
        _ = striate.Classifier


def test_the_reference_describes_every_public_name_once() -> None:
    page = (Path(__file__).parents[1] / "docs" / "reference.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(set(striate.__all__) - {"__version__"})


def test_public_names_come_from_folders_that_list_them() -> None:
    for name, home in striate._HOME.items():
        listed = getattr(import_module(home), "__all__", None)
        assert listed is None or name in listed
    assert set(striate._HOME) == set(striate.__all__) - {"__version__"}
