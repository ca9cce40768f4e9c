"""Arrays in files that have all of their room before anything is written to them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from striate.errors import StriateError
from striate.memory_map import mapped_array


def test_an_array_is_on_the_disk_in_full(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    array = mapped_array(path, (300, 1000))
    status = path.stat()
    assert status.st_blocks * 512 >= status.st_size > 1_200_000
    assert not array.any()
    array[7, 9] = 3
    np.testing.assert_array_equal(np.load(path), array)  # others can read it
    assert mapped_array(path, (300, 1000), keep=True)[7, 9] == 3
    assert mapped_array(path, (300, 1000))[7, 9] == 0


@pytest.mark.parametrize("supported", [True, False])
def test_holes_are_filled_and_numbers_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, supported: bool, rng: np.random.Generator
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    if not supported:
        monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    path = tmp_path / "a.npy"
    values = rng.standard_normal((700, 600)).astype(np.float32)
    mapped_array(path, values.shape)[...] = values
    assert path.stat().st_blocks * 512 >= values.nbytes
    np.testing.assert_array_equal(mapped_array(path, values.shape, keep=True), values)


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "longer", "header", "other shape", "link", "fifo"])
def test_a_file_that_does_not_fit_is_made_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.npy"
    mapped_array(path, (30, 10))[...] = 1
    content = path.read_bytes()
    changed = {"empty": b"", "cut": content[:-5], "longer": content + b"x", "header": b"x" + content[1:]}
    if damage in changed:
        path.write_bytes(changed[damage])
    elif damage == "other shape":
        mapped_array(path, (10, 30))[...] = 1
    else:
        path.unlink()
    (tmp_path / "precious").write_bytes(content)
    if damage == "link":
        path.symlink_to("precious")
    if damage == "fifo":
        os.mkfifo(path)
    array = mapped_array(path, (30, 10), keep=True)
    assert not array.any()
    array[...] = 2
    assert (tmp_path / "precious").read_bytes() == content


@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
def test_no_numbers_are_an_array_too(tmp_path: Path, shape: tuple[int, int]) -> None:
    for keep in (False, True):
        assert mapped_array(tmp_path / "a.npy", shape, keep=keep).shape == shape


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from striate.errors import StriateError
from striate.memory_map import mapped_array
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    mapped_array(Path(sys.argv[1]), (1000, 1000))[...] = 1
except StriateError as error:
    print(error)
"""


def test_no_room_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npy"
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == (
        f"cannot write {path}: File too large; it takes 4.0 MB, so make room, or choose another disk\n"
    )
    assert os.listdir(tmp_path) == []

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", fail, raising=False)
    with pytest.raises(StriateError, match="No space left on device; it takes"):
        mapped_array(path, (1000, 1000))
    assert os.listdir(tmp_path) == []
    with pytest.raises(StriateError, match="no"):
        mapped_array(tmp_path / "missing" / "a.npy", (3, 3))
