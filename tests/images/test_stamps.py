"""Stamps of files: size and time, and what stands for files that are absent or out of reach."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.images import as_images
from striate.images.stamps import ABSENT, UNAVAILABLE, fingerprint_of, stamp_of, stamps_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/0.png", "a/1.png", "b/0.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
        os.utime(path, ns=(0, 123_456_789))
    return tmp_path / "images"


def test_a_stamp_is_size_and_time(folder: Path) -> None:
    path = folder / "a" / "0.png"
    assert stamp_of(path) == (path.stat().st_size, 123_456_789)
    assert stamps_of(as_images(folder)) == [stamp_of(path)] * 3


def test_what_is_no_file_is_absent(folder: Path) -> None:
    assert stamp_of(None) == stamp_of(folder / "no") == stamp_of(folder / "a" / "0.png" / "no") == ABSENT
    assert stamps_of(as_images(np.zeros((2, 4, 4), np.float32))) == [ABSENT] * 2


def test_what_cannot_be_accessed_is_unavailable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> os.stat_result:
        raise PermissionError

    monkeypatch.setattr(Path, "stat", refuse)
    assert stamp_of(folder / "a" / "0.png") == UNAVAILABLE


def test_a_fingerprint_shows_every_change(folder: Path) -> None:
    def found() -> str:
        return fingerprint_of(as_images(folder))

    seen = [found()]
    assert found() == seen[0]
    os.utime(folder / "b" / "0.png", ns=(0, 5))
    seen.append(found())
    (folder / "b" / "0.png").rename(folder / "b" / "1.png")
    seen.append(found())
    (folder / "b" / "1.png").rename(folder / "a" / "2.png")
    seen.append(found())
    assert len(set(seen)) == len(seen)
    images = as_images(folder)
    assert fingerprint_of(images.with_labels(["a", "b", "a"])) != fingerprint_of(images)
