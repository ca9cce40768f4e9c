from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from striate import model_file
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
    for content in other_bytes(file):
        file.unlink()
        assert checkpoint.load("psd") is None
        if content is not None:
            file.write_bytes(content)
            assert checkpoint.load("psd") is None
        checkpoint.save("psd", {"a": np.ones(9)}, {})


def other_bytes(path: Path) -> list[bytes | None]:
    """A file's content as damage leaves it; None for a file that is gone."""
    content = path.read_bytes()
    flipped = [bytearray(content) for _ in range(3)]
    for number, changed in enumerate(flipped):
        changed[(2 * number + 1) * len(content) // 6] ^= 1
    return [
        None,
        b"",
        content[:-1],
        content[: len(content) // 2],
        b"\x80garbage" * 99,
        b"[]",
        b"{}",
        *map(bytes, flipped),
    ]


def test_a_damaged_fingerprint_is_no_loss(folder: Path) -> None:
    Checkpoint(folder, FINGERPRINT).save("psd", {}, {"batch": 7})
    file = folder / "fingerprint.json"
    whole = file.read_bytes()
    for content in other_bytes(file):
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        # Of another run nothing is taken, even where the folder's own fingerprint is gone.
        if json.loads(whole)["digest"].encode() not in (content or b""):
            other = Checkpoint(folder, FINGERPRINT | {"seed": 1})
            assert other.load("psd") is None
            file.unlink()
        assert Checkpoint(folder, FINGERPRINT).load("psd") == ({}, {"batch": 7})
        assert file.read_bytes() == whole


def test_a_fingerprint_of_an_earlier_striate(folder: Path) -> None:
    folder.mkdir(parents=True)
    file = folder / "fingerprint.json"
    for content, words in (('{"striate": "0.1"}', "belongs to another run"), ("[]", "damaged"), ("", "damaged")):
        file.write_text(content)
        with pytest.raises(UsageError, match=words):
            Checkpoint(folder, FINGERPRINT)
        assert os.listdir(folder) == ["fingerprint.json"] or content.startswith("{")
        Checkpoint(folder, FINGERPRINT, fresh=True).remove()
        folder.mkdir()


def test_parts_of_another_run_or_another_name_count_as_none(folder: Path, tmp_path: Path) -> None:
    other = Checkpoint(tmp_path / "other", FINGERPRINT | {"seed": 1})
    other.save("psd", {}, {"of": "other"})
    ours = Checkpoint(folder, FINGERPRINT)
    ours.save("codes", {}, {"of": "codes"})
    for foreign in (other.path("psd.safetensors"), ours.path("codes.safetensors")):
        (folder / "psd.safetensors").write_bytes(foreign.read_bytes())
        assert ours.load("psd") is None
    model_file.write(folder / "psd.safetensors", {}, {"batch": 1}, kind="checkpoint")  # as an earlier striate had it
    assert ours.load("psd") is None


HOLDER = """
import sys, time
from striate.checkpoint import Checkpoint
checkpoint = Checkpoint(sys.argv[1], {"seed": 5})
checkpoint.save("psd", {}, {"of": "holder"})
print("ready", flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize("seed", [5, 6])
def test_a_folder_belongs_to_one_process_until_that_ends(folder: Path, seed: int) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        for fresh in (False, True):
            with pytest.raises(UsageError, match="another run is using") as caught:
                Checkpoint(folder, {"seed": seed}, fresh=fresh)
            assert f"process {holder.pid} on" in str(caught.value)
            assert "wait until it has ended" in str(caught.value)
        holder.kill()
    checkpoint = Checkpoint(folder, {"seed": 5})
    assert checkpoint.load("psd") == ({}, {"of": "holder"})
    checkpoint.remove()
    assert not folder.exists()


def test_a_process_gives_a_folder_back(folder: Path) -> None:
    first = Checkpoint(folder, FINGERPRINT)
    part = first.part("stage-1")
    opens = f"from striate.checkpoint import Checkpoint; Checkpoint({str(folder)!r}, {FINGERPRINT!r})"

    def opens_elsewhere() -> bool:
        return subprocess.run([sys.executable, "-c", opens], stderr=subprocess.DEVNULL, check=False).returncode == 0

    Checkpoint(folder, FINGERPRINT)  # the same process may; this one goes, and the others stay
    del first
    assert not opens_elsewhere()
    del part
    gc.collect()
    assert opens_elsewhere()


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
