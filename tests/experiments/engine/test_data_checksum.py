from __future__ import annotations

import os
from pathlib import Path

import pytest

from striate.experiments.engine import data_checksum as module
from striate.experiments.engine.data_checksum import data_checksum


def test_the_checksum_of_data_is_that_of_its_content(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    data = tmp_path / "data"
    for name, content in {"a.png": b"1", "b/c.png": b"2"}.items():
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    before = data_checksum(data, memory)
    assert data_checksum(data, memory) == before

    data.rename(tmp_path / "elsewhere")
    data = tmp_path / "elsewhere"
    os.utime(data / "a.png", (0, 0))
    assert data_checksum(data, memory) == before, "neither place nor date counts"

    (data / "a.png").rename(data / "z.png")
    assert data_checksum(data, memory) != before
    (data / "z.png").rename(data / "a.png")
    assert data_checksum(data, memory) == before
    (data / "a.png").write_bytes(b"3")
    assert data_checksum(data, memory) != before


def test_data_is_not_read_again_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "digits.gz"
    data.write_bytes(b"1")
    first = data_checksum(data, tmp_path / "memory")

    def refuse(path: Path) -> str:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(module, "content_digest", refuse)
    assert data_checksum(data, tmp_path / "memory") == first
    for note in (tmp_path / "memory").iterdir():
        note.write_text("damaged")
    with pytest.raises(AssertionError, match="was read"):
        data_checksum(data, tmp_path / "memory")
