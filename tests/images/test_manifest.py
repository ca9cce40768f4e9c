"""Manifests: the names and labels of the folder, interrupted walks, and files that are none."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate.errors import UsageError
from striate.images import ImageFolder, ManifestImages, write_manifest
from striate.progress import Phase

NAMES = ["a-b.png", "loose.png", "a/1.png", "a/b/2.png", "a/b-/3.png", "a.x/1.png", "cat, dog/é.png", 'quo"ted/q.png']


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), 10 * number).save(folder / name)
    (folder / "a" / "notes.txt").write_text("no image")
    (folder / ".hidden.png").touch()
    return folder


@pytest.mark.parametrize("place", ["images.manifest.csv", "images/own.manifest.csv", "lists/other.manifest.csv"])
def test_it_lists_what_the_folder_has(folder: Path, tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    assert write_manifest(folder, path) == len(NAMES)
    expected, found = ImageFolder(folder), ManifestImages(path)
    assert found.labels == expected.labels
    assert found.classes == expected.classes
    assert [os.path.normpath(path.parent / name) for name in found.names] == [
        os.path.normpath(folder / name) for name in expected.names
    ]
    assert found.names[-1] == found.names[len(found) - 1] == found.names[-1:][0]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["path", "label"]
    assert [row[0] for row in rows[1:]] == list(found.names)
    assert not list(path.parent.glob("*.partial"))


@pytest.mark.parametrize("n_kept", range(len(NAMES) + 1))
@pytest.mark.parametrize("cut", [False, True])
def test_a_walk_that_was_interrupted_goes_on(folder: Path, tmp_path: Path, n_kept: int, cut: bool) -> None:
    path = tmp_path / "images.manifest.csv"
    write_manifest(folder, path)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    rest = lines[1 + n_kept][:3] if cut and n_kept < len(NAMES) else b""
    path.with_name(path.name + ".partial").write_bytes(b"".join(lines[: 1 + n_kept]) + rest)
    path.unlink()
    assert write_manifest(folder, path) == len(NAMES)
    assert path.read_bytes() == whole


def test_complete_folders_are_not_opened_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "images.manifest.csv"
    write_manifest(folder, path)
    lines = path.read_bytes().splitlines(keepends=True)
    last = next(number for number, line in enumerate(lines) if b"a/b/2.png" in line)
    path.with_name(path.name + ".partial").write_bytes(b"".join(lines[: last + 1]))
    opened = []
    scandir = os.scandir

    def watched(path: Path) -> Any:
        opened.append(path.name)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", watched)
    write_manifest(folder, path)
    assert "b-" not in opened  # before a/b/
    assert {"a", "b", "cat, dog"} <= set(opened)


def test_circles_of_links_end(folder: Path, tmp_path: Path) -> None:
    (folder / "a" / "b" / "up").symlink_to(folder / "a", target_is_directory=True)
    path = tmp_path / "images.manifest.csv"
    assert write_manifest(folder, path) == len(NAMES)


def test_progress_counts_images(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    monkeypatch.setattr(Phase, "advance", lambda self, n=1: counted.append(n))
    write_manifest(folder, tmp_path / "images.manifest.csv")
    assert sum(counted) == len(NAMES)


def test_bad_manifests(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.manifest\.csv"):
        write_manifest(folder, tmp_path / "list.csv")
    with pytest.raises(UsageError, match="no such folder"):
        write_manifest(folder / "nowhere", tmp_path / "x.manifest.csv")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="holds no images"):
        write_manifest(empty, tmp_path / "x.manifest.csv")
    assert not list(tmp_path.glob("x.*"))
    path = tmp_path / "x.manifest.csv"
    for content, message in (
        (b"name\na.png\n", "not a manifest"),
        (b"path,label\n", "lists no images"),
        (b"path,label\na.png,", "cut off"),
        (b"path,label\na.png,b,c\n", "not path,label"),
        (b"path,label\na.png\n", "not path,label"),
        (b"", "not a manifest"),
    ):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=message):
            ManifestImages(path)
    with pytest.raises(UsageError, match="no such file"):
        ManifestImages(tmp_path / "nowhere.manifest.csv")
    write_manifest(folder, path)
    with pytest.raises(IndexError):
        ManifestImages(path).names[len(NAMES)]
