"""What a folder holds and is not used is said: ignored files, lost classes, unreadable images, foreign classes."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate.cli._left_out import LeftOut
from striate.images import Skipped, as_images
from tests.cli.command import Done, striate
from tests.recognition.digits import TINY, digits, quick, write_folder

Capture = pytest.CaptureFixture[str]

# Control characters, a mark of direction, a byte that is no text, and an accent.
HOSTILE = os.fsdecode(b"new\nline \x1b[31m\xe2\x80\xaegnp \xff \xc3\xa9.png")


def raw(text: str) -> set[str]:
    """Characters that may drive a terminal."""
    return {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs")} - {"\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of digits; raw files in one of them, a third class of nothing else, and a file of text."""
    folder = write_folder(tmp_path / "images", *digits((0, 1), 12))
    (folder / "raw").mkdir()
    for number in range(5):
        (folder / "0" / f"{number}.CR2").write_bytes(b"raw")
        (folder / "raw" / f"{number}.CR2").write_bytes(b"raw")
    (folder / "1" / "notes.txt").write_text("hello")
    (folder / "1" / HOSTILE).write_bytes(b"no image")
    return folder


def check_said(text: str) -> None:
    assert "10 .cr2 files were ignored" in text
    assert "class raw" in text
    assert ".txt" in text
    assert r"new\nline \x1b[31m\u202egnp \udcff é.png" in text


def check_json(result: dict[str, Any], name: str) -> None:
    assert result["ignored"] == {".cr2": 10, ".txt": 1}
    assert any("class raw" in note for note in result["notes"])
    assert result["unreadable_folders"] == []
    (skipped,) = result["skipped"]
    assert skipped["name"] == name


def test_every_command_says_what_it_left_out(
    capsys: Capture, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Done:
        done = striate(capsys, *arguments)
        assert done.code == 0, done.err
        assert not raw(done.out)
        assert not raw(done.err)
        return done

    name = f"1/{HOSTILE}"
    train = ("train", folder, "--out", "m.safetensors", "--learner", "random", "--architecture", TINY, "-q")
    check_said(run(*train).out)
    page = Path("m.html").read_text(encoding="utf-8")
    check_said(page)
    assert "What was left out" in page
    check_json(run(*train, "--json").json, name)
    check_said(run("evaluate", "m.safetensors", folder, "-q").out)
    check_json(run("evaluate", "m.safetensors", folder, "-q", "--json").json, name)
    check_said(run("features", "m.safetensors", folder).err)
    check_json(run("features", "m.safetensors", folder, "--json").json, str(folder / name))
    small = ("--n", 8, "--size", 6, "--patches", 3000, "-q")
    check_said(run("filters", folder, "--learner", "random", *small).out)
    check_json(run("filters", folder, "--learner", "random", *small, "--json").json, name)
    check_said(run("code", folder, "--batches", 2, *small).out)
    check_json(run("code", folder, "--batches", 2, *small, "--json").json, name)

    done = run("predict", "m.safetensors", folder)
    check_said(done.err)
    assert len(done.out.splitlines()) == 24
    assert len(run("predict", "m.safetensors", folder, "--csv").out.splitlines()) == 25
    (skipped,) = [one for one in run("predict", "m.safetensors", folder, "--json").json if one["skipped"]]
    assert skipped["path"] == str(folder / name)
    assert skipped["label"] is None


def test_classes_that_the_model_does_not_know_are_told_apart(capsys: Capture, tmp_path: Path) -> None:
    quick().fit(*digits((0, 1), 12)).save(tmp_path / "m")
    folder = write_folder(tmp_path / "images", *digits((0, 1), 10, first=100))
    write_folder(folder, digits((7,), 5)[0], ["stars\n"] * 5)
    result = striate(capsys, "evaluate", tmp_path / "m", folder, "--json", "-q").json
    assert (result["classes_not_in_model"], result["n_not_in_model"], result["n_test"]) == (["stars\n"], 5, 25)
    assert set(result["per_class"]) == {"0", "1"}
    known = result["accuracy_of_classes_in_model"]
    assert result["accuracy"] == pytest.approx(known * 20 / 25)
    text = striate(capsys, "evaluate", tmp_path / "m", folder, "-q").out
    assert f"{known:.1%} of the 20 whose class is in the model" in text
    assert r"not in the model, so that their 5 images are always wrong: stars\n (5)" in text
    hardest = next(line for line in text.splitlines() if line.startswith("hardest"))
    assert "stars" not in hardest
    only = write_folder(tmp_path / "only", digits((7,), 5)[0], ["stars"] * 5)
    text = striate(capsys, "evaluate", tmp_path / "m", only, "-q").out
    assert "none of their classes is in the model" in text
    assert "hardest" not in text
    train = (tmp_path / "images", "--out", tmp_path / "n", "--learner", "random", "--architecture", TINY, "-q")
    (folder / "stars\n").rename(tmp_path / "stars")
    write_folder(tmp_path / "test", *digits((0, 1, 8), 3, first=200))
    done = striate(capsys, "train", *train, "--test", tmp_path / "test")
    assert "always wrong: 8 (3)" in done.out
    assert "always wrong: 8 (3)" in (tmp_path / "n.html").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_opened_for_now_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("raw"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    left_out = LeftOut()
    left_out.of(as_images(folder))
    assert left_out.for_json()["unreadable_folders"] == ["raw"]
    assert "raw: was left out, it cannot be opened" in left_out.text()
    json.dumps(left_out.for_json())


def test_what_was_left_out_is_said_with_an_error_too(capsys: Capture, folder: Path, tmp_path: Path) -> None:
    for path in (folder / "1").iterdir():
        path.rename(path.with_suffix(".CR2"))
    train = ("train", folder, "--out", tmp_path / "m", "--learner", "random", "--architecture", TINY, "-q")
    done = striate(capsys, *train)
    assert done.code == 2
    *notes, error = done.err.splitlines()
    assert "one class" in error
    assert any("class 1: none of its" in note for note in notes)


def test_many_skipped_images_are_counted_and_where_all_are_is_said() -> None:
    left_out = LeftOut()
    assert left_out.text() == ""
    left_out.skipped += [Skipped(f"{number}.png", "is cut off") for number in range(12)]
    first, *listed, last = left_out.text().splitlines()
    assert first == "skipped 12 images that could not be read:"
    assert len(listed) == 10
    assert last == "  … and 2 more: --json lists all"
    assert left_out.text("listed in the report").endswith("2 more: listed in the report")


def test_sources_are_told_once(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.heif_").write_bytes(b"")
    left_out = LeftOut()
    for _ in range(2):
        left_out.of(as_images(tmp_path))
    assert len(left_out.notes) == 1


def test_training_goes_on_with_what_can_be_read(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of one class cannot be read, but most of the whole can; what is inside decides about files of boxes."""
    monkeypatch.chdir(tmp_path)
    folder = write_folder(tmp_path / "images", *digits((0, 1), 20))
    for path in sorted((folder / "1").iterdir())[6:]:
        path.write_bytes(path.read_bytes()[:90])
    for number in range(60):
        (folder / "0" / f"{number}.avif").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    train = ("train", folder, "--out", "m.safetensors", "--learner", "random", "--architecture", TINY, "-q", "--json")
    done = striate(capsys, *train)
    assert done.code == 0, done.err
    assert len(done.json["skipped"]) == 14
    assert done.json["ignored"] == {".avif": 60}
    assert any("60 .avif files were ignored" in note for note in done.json["notes"])
    for path in sorted((folder / "0").glob("*.png"))[3:]:
        path.write_bytes(b"")
    done = striate(capsys, *train)
    assert done.code == 1
    assert "at least half must be readable" in done.err


def test_folders_without_images_do_not_cost_the_others(capsys: Capture, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", *digits((0, 1), 3))
    quick().fit(*digits((0, 1), 6)).save(tmp_path / "m.safetensors")
    (tmp_path / "empty").mkdir()
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "1.CR2").write_bytes(b"raw")
    (tmp_path / "nowhere.png").symlink_to("lost.png")
    others = [tmp_path / name for name in ("empty", "raw", "nowhere.png")]
    for options in ((), ("--json",)):
        done = striate(capsys, "predict", tmp_path / "m.safetensors", *others, folder, *options)
        assert done.code == 0, done.err
        assert done.out.count("images/") == 6
        assert "note: " in done.err
        for words in ("empty: holds no images", "1 .cr2 file was ignored", "nowhere.png: does not exist"):
            assert words in done.err
    done = striate(capsys, "features", tmp_path / "m.safetensors", *others[:2], "--out", tmp_path / "f.npy")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
