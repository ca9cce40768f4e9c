from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tools.carry_over import Commits, carried_record, carry_cache

from striate.experiments import Experiment, read_record, run_experiment
from striate.experiments.engine.fingerprint import SourceTree

Make = Callable[..., Experiment]


@pytest.fixture
def committed(tmp_path: Path) -> Callable[[str], str]:
    """Commit a text as the toy's module of an earlier striate; return the commit."""
    repository = tmp_path / "repository"
    package = repository / "src" / "striate" / "experiments"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('EXPERIMENTS: dict[str, str] = {"toy": "striate.experiments.old_toy"}')
    (package.parent / "__init__.py").write_text("")
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)

    def commit(text: str) -> str:
        (package / "old_toy.py").write_text(text)
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", "The toy", "--allow-empty"], check=True)
        return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()

    return commit


def measured_at(commit: str | None, results: Path, *, dirty: bool = False) -> dict[str, Any]:
    """What the toy measured, as of a commit, in a file from before units had fingerprints."""
    record = read_record(results / "toy.json")
    for unit in record["units"]:
        unit["checkout"] = {"commit": commit, "dirty": dirty}
        del unit["code"]
    return record | {"code": "0" * 64}


def test_units_are_carried_over_where_their_code_is_the_same(
    make_experiment: Make, committed: Callable[[str], str], tmp_path: Path
) -> None:
    experiment = make_experiment()
    run_experiment(experiment, results=tmp_path)
    text = experiment.source.read_text()
    same = committed(text.replace("goal=90.0", "goal=80.0").replace('"""One cell."""', '"""A cell."""'))
    commits = Commits(tmp_path / "sources", tmp_path / "repository")
    today = SourceTree()
    record, refused = carried_record(measured_at(same, tmp_path), experiment, today, commits)
    assert refused == []
    assert "code" not in record
    assert record["provenance"]["carried_over"] == [f"from {same}: the syntax trees are equal"]
    now = read_record(tmp_path / "toy.json")
    assert [unit["code"] for unit in record["units"]] == [unit["code"] for unit in now["units"]]
    assert [unit["result"] for unit in record["units"]] == [unit["result"] for unit in now["units"]]
    again, refused = carried_record(record, experiment, today, commits)
    assert (again, refused) == (record, [])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("80.0 + settings", "81.0 + settings", "its code has changed since"),
        ("def measure(settings", "def other(settings", "has no function measure"),
        ("", "", "not committed"),
    ],
)
def test_units_that_are_not_proved_the_same_stay_as_they_are(
    make_experiment: Make, committed: Callable[[str], str], tmp_path: Path, old: str, new: str, message: str
) -> None:
    experiment = make_experiment()
    run_experiment(experiment, results=tmp_path)
    text = experiment.source.read_text()
    commit = committed(text.replace(old, new) if old else text)
    stored = measured_at(commit, tmp_path, dirty=not old)
    commits = Commits(tmp_path / "sources", tmp_path / "repository")
    record, refused = carried_record(stored, experiment, SourceTree(), commits)
    assert len(refused) == 4
    assert all(message in reason for reason in refused)
    assert record["units"] == stored["units"]
    assert "carried_over" not in record["provenance"]


def test_other_settings_and_units_that_are_gone_are_refused(
    make_experiment: Make, committed: Callable[[str], str], tmp_path: Path
) -> None:
    run_experiment(make_experiment(), results=tmp_path)
    commit = committed(make_experiment().source.read_text())
    changed = make_experiment(
        {'"split": split}, measure': '"split": split, "n": labels // 100}, measure', "(10, 100)": "(100, 1000)"}
    )
    commits = Commits(tmp_path / "sources", tmp_path / "repository")
    _, refused = carried_record(measured_at(commit, tmp_path), changed, SourceTree(), commits)
    assert refused == [
        "10 labels, split 0: there is no such unit any more",
        "10 labels, split 1: there is no such unit any more",
        "100 labels, split 0: its settings have changed",
        "100 labels, split 1: its settings have changed",
    ]


def test_the_cache_gets_todays_keys(
    make_experiment: Make,
    committed: Callable[[str], str],
    diary: Callable[[], list[str]],
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit = committed(make_experiment().source.read_text())
    monkeypatch.setattr("striate.provenance.checkout", lambda: {"commit": commit, "dirty": False})
    with monkeypatch.context() as earlier:
        earlier.setattr(SourceTree, "fingerprint", lambda tree, run: "0" * 64)
        run_experiment(make_experiment(), results=tmp_path)
    commits = Commits(tmp_path / "sources", tmp_path / "repository")
    folder = cache / "experiments" / "toy"
    arguments = (make_experiment(), folder, SourceTree(), commits)
    assert carry_cache(*arguments, write=False) == (4, 0)
    assert len(list(folder.glob("*.json"))) == 4
    assert carry_cache(*arguments, write=True) == (4, 0)
    assert len(diary()) == 4
    assert len(run_experiment(make_experiment(), results=tmp_path).reused) == 4
    assert len(diary()) == 4
    other = make_experiment({"80.0 + settings": "81.0 + settings"})
    assert carry_cache(other, folder, SourceTree(), commits, write=True) == (0, 8)
    assert json.loads(next(folder.glob("*.json")).read_text())["function"] == "measure"
