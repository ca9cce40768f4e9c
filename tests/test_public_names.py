from __future__ import annotations

import subprocess
import sys

import pytest

import striate


def test_importing_striate_costs_nothing() -> None:
    script = "import sys, striate; assert not {'numpy', 'striate.images'} & sys.modules.keys(); dir(striate)"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("name", striate.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(striate, name) is not None
    assert name in dir(striate)


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Classifier'"):
        _ = striate.Classifier
