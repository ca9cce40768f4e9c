from __future__ import annotations

import getpass
import json
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import striate
from striate import provenance
from striate.provenance import current_provenance


def test_it_says_where_numbers_come_from() -> None:
    origin = current_provenance()
    assert origin["striate"] == striate.__version__
    assert origin["versions"]["python"] == platform.python_version()
    assert origin["versions"]["numpy"] == np.__version__
    assert origin["machine"]["cpu_count"] >= 1
    assert origin["machine"]["memory_bytes"] is None or origin["machine"]["memory_bytes"] > 2**28
    assert abs((datetime.now(UTC) - datetime.fromisoformat(origin["date"])).total_seconds()) < 3600


def test_it_gives_away_no_path_and_no_machine() -> None:
    text = json.dumps(current_provenance())
    assert str(Path.home()) not in text or str(Path.home()) == "/"
    assert platform.node() not in text
    assert str(Path(striate.__file__).parents[2]) not in text
    assert f'"{getpass.getuser()}"' not in text


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "code.py").write_text("1")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "toy.json").write_text("{}")
    git("init")
    git("add", ".")
    git("commit", "--message", "begin")
    monkeypatch.setattr(provenance, "repository", lambda: tmp_path)
    return tmp_path


def test_a_changed_file_makes_a_checkout_dirty_but_a_result_does_not(checkout: Path) -> None:
    clean = provenance.checkout()
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (checkout / "results" / "toy.json").write_text('{"a": 1}')
    assert provenance.checkout() == clean
    (checkout / "code.py").write_text("2")
    assert provenance.checkout() == {"commit": clean["commit"], "dirty": True}


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "repository", lambda: None)
    assert provenance.checkout() == {"commit": None, "dirty": None}
    (tmp_path / ".git").mkdir()  # not really a repository
    monkeypatch.setattr(provenance, "repository", lambda: tmp_path)
    assert provenance.checkout() == {"commit": None, "dirty": None}
