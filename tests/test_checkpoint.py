from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striate.checkpoint import Checkpoint
from striate.errors import UsageError

FINGERPRINT = {"seed": 0, "sparsity": 1.0, "sizes": (9, 9)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "run"


def test_what_was_saved_is_loaded_by_the_next_process(folder: Path) -> None:
    first = Checkpoint(folder, FINGERPRINT)
    assert first.load("psd") is None
    first.save("psd", {"filters": np.eye(3)}, {"batch": 7, "random": 2**100})
    loaded = Checkpoint(folder, FINGERPRINT).load("psd")
    assert loaded is not None
    np.testing.assert_array_equal(loaded[0]["filters"], np.eye(3))
    assert loaded[1] == {"batch": 7, "random": 2**100}


def test_parts_do_not_meet(folder: Path) -> None:
    whole = Checkpoint(folder, FINGERPRINT)
    for name in ("stage-1", "stage-2"):
        whole.part(name).save("psd", {}, {"name": name})
    assert whole.load("psd") is None
    for name in ("stage-1", "stage-2"):
        assert whole.part(name).load("psd") == ({}, {"name": name})
    assert whole.part("stage-1").path("maps.npy") != whole.part("stage-2").path("maps.npy")
    assert whole.part("a").part("b").path("c").name == "a.b.c"


def test_another_run_is_refused_by_name(folder: Path) -> None:
    Checkpoint(folder, FINGERPRINT | {"old": True}).save("psd", {}, {})
    with pytest.raises(UsageError, match=r"sparsity was 1\.0, and is 2\.0") as caught:
        Checkpoint(folder, FINGERPRINT | {"sparsity": 2.0, "new": "x" * 99})
    assert "old was true, and is not given now" in str(caught.value)
    assert "new was not given" in str(caught.value)
    assert "seed" not in str(caught.value)
    afresh = Checkpoint(folder, {"seed": 1}, fresh=True)
    assert afresh.load("psd") is None
    Checkpoint(folder, {"seed": 1})


def test_a_damaged_save_counts_as_none(folder: Path) -> None:
    checkpoint = Checkpoint(folder, FINGERPRINT)
    checkpoint.save("psd", {"a": np.ones(9)}, {})
    (file,) = folder.glob("*.safetensors")
    for content in (file.read_bytes()[:-1], b""):
        file.write_bytes(content)
        assert checkpoint.load("psd") is None


def test_a_damaged_fingerprint(folder: Path) -> None:
    Checkpoint(folder, FINGERPRINT)
    for content in ("", "[]"):
        (folder / "fingerprint.json").write_text(content)
        with pytest.raises(UsageError, match="damaged"):
            Checkpoint(folder, FINGERPRINT)
    Checkpoint(folder, FINGERPRINT, fresh=True)


@pytest.mark.parametrize("fresh", [True, False])
def test_somebody_elses_files_are_safe(tmp_path: Path, fresh: bool) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    with pytest.raises(UsageError, match="holds other files"):
        Checkpoint(tmp_path, FINGERPRINT, fresh=fresh)
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot keep checkpoints"):
        Checkpoint(tmp_path / "file", FINGERPRINT)


def test_a_kill_before_the_fingerprint_is_no_obstacle(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / ".striate-1-1.partial").touch()
    Checkpoint(folder, FINGERPRINT)


def test_due(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    checkpoint = Checkpoint(folder, FINGERPRINT, interval=20)
    assert not checkpoint.due()
    now += 20
    assert checkpoint.due()
    checkpoint.save("psd", {}, {})
    assert not checkpoint.due()


def test_remove_takes_everything_and_the_fingerprint_last(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint(folder, FINGERPRINT)
    checkpoint.save("psd", {}, {})
    checkpoint.path("maps.npy").touch()
    removed = []
    unlink = Path.unlink

    def watched(path: Path) -> None:
        removed.append(path.name)
        unlink(path)

    monkeypatch.setattr(Path, "unlink", watched)
    checkpoint.remove()
    assert not folder.exists()
    assert removed[-1] == "fingerprint.json"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b"])
def test_names_stay_within_the_folder(folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Checkpoint(folder, FINGERPRINT).path(name)
