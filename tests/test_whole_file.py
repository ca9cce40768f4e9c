"""Files that appear whole or not at all: what may be replaced, leftovers, and writers beside each other."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from striate.errors import UsageError
from striate.whole_file import check_output, whole_file


def write(path: Path | str, content: bytes = b"new") -> None:
    with whole_file(path) as file:
        file.write(content)


def make_node(path: Path) -> None:
    """A device of our own: the null device, under another name."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except (OSError, AttributeError):
        pytest.skip("devices cannot be made here")


def make_socket(path: Path) -> None:
    # Bound by its relative name, since the path of a socket has some 100 characters at most.
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


SPECIAL = {
    "device": make_node,
    "pipe": os.mkfifo,
    "socket": make_socket,
    "folder": os.mkdir,
    "link": lambda path: os.symlink(path.parent / "precious", path),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_only_files_are_replaced(tmp_path: Path, kind: str) -> None:
    (tmp_path / "precious").write_bytes(b"old")
    path = tmp_path / "out"
    SPECIAL[kind](path)
    before = path.lstat()
    for attempt in (write, check_output):
        with pytest.raises(UsageError, match=f"out: it is a {kind}") as caught:
            attempt(path)
        assert "\n" not in str(caught.value)
    after = path.lstat()
    assert (after.st_ino, after.st_mode, after.st_rdev) == (before.st_ino, before.st_mode, before.st_rdev)
    assert (tmp_path / "precious").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["out", "precious"]


def test_links_to_devices_and_to_nothing_are_no_way_around(tmp_path: Path) -> None:
    make_node(tmp_path / "node")
    (tmp_path / "to-node").symlink_to("node")
    (tmp_path / "to-nothing").symlink_to("missing")
    for name in ("to-node", "to-nothing"):
        with pytest.raises(UsageError, match="it is a link to"):
            write(tmp_path / name)
    assert stat.S_ISCHR((tmp_path / "node").stat().st_mode)
    assert not (tmp_path / "missing").exists()


def test_what_becomes_a_device_meanwhile_is_safe(tmp_path: Path) -> None:
    path = tmp_path / "out"

    def write_beside_another() -> None:
        with whole_file(path) as file:
            file.write(b"new")
            os.mkfifo(path)

    with pytest.raises(UsageError, match="it is a pipe"):
        write_beside_another()
    assert os.listdir(tmp_path) == ["out"]


def test_a_folder_that_is_a_link_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link" / "out")
    assert (tmp_path / "real" / "out").read_bytes() == b"new"


@pytest.mark.parametrize(("path", "words"), [
    ("", "no file can have this name"), ("a\0b", "no file can have this name"), (".", "it is a folder"),
    ("..", "it is a folder"), ("/", "it is a folder"), ("missing/out", "no folder missing"),
    ("file/out", "no folder file"), ("x" * 256, "name too long"), ("ö" * 200, "name too long"),
])  # fmt: skip
def test_names_that_no_file_can_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    for attempt in (write, check_output):
        with pytest.raises(UsageError, match=words):
            attempt(path)
    assert os.listdir() == ["file"]


@pytest.mark.parametrize("name", ["x" * 255, "ö" * 127, ".hidden", "-", "a b\n", "\udcff", ".striate-name.partial"])
def test_names_that_a_file_can_have(tmp_path: Path, name: str) -> None:
    for content in (b"first", b"second"):
        write(tmp_path / name, content)
        assert os.listdir(tmp_path) == [name]
        assert (tmp_path / name).read_bytes() == content


def test_leftovers_of_other_machines_and_versions_are_no_obstacle(tmp_path: Path) -> None:
    # Names by process number were those of 0.1; in a container the number is always 1.
    names = [".striate-1-1.partial", f".striate-{os.getpid()}-1.partial", ".striate-0123abcd-77.partial"]
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    write(tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == sorted([*names, "out"])  # they may be alive elsewhere
    for name in names[:2]:
        os.utime(tmp_path / name, (time.time() - 1e6,) * 2)
    write(tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == sorted([names[2], "out"])


def test_writers_beside_each_other_keep_their_files(tmp_path: Path) -> None:
    with whole_file(tmp_path / "first") as first:
        first.write(b"1")
        with whole_file(tmp_path / "second") as second:
            second.write(b"2")
        script = "import sys; from striate.whole_file import whole_file\nwith whole_file(sys.argv[1]): pass"
        subprocess.run([sys.executable, "-c", script, str(tmp_path / "third")], check=True)
        assert len(list(tmp_path.glob(".striate-*"))) == 1
    assert (tmp_path / "first").read_bytes() == b"1"
    assert sorted(os.listdir(tmp_path)) == ["first", "second", "third"]
    # The leftover of a killed one of this machine goes at once.
    script = script.replace("pass", "import os; os.kill(os.getpid(), 9)")
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "fourth")], check=False)
    assert len(list(tmp_path.glob(".striate-*"))) == 1
    write(tmp_path / "fourth")
    assert sorted(os.listdir(tmp_path)) == ["first", "fourth", "second", "third"]


@pytest.mark.skipif(os.name != "posix", reason="limits of processes")
def test_a_limit_of_a_file_s_size_is_one_sentence(tmp_path: Path) -> None:
    script = """
import resource, sys
from striate.errors import StriateError
from striate.whole_file import whole_file
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with whole_file(sys.argv[1]) as file:
        file.write(bytes(5000))
except StriateError as error:
    print(error)
"""
    (tmp_path / "out").write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "out")], capture_output=True, text=True)
    assert "File too large; whatever was there before is unchanged" in done.stdout
    assert (tmp_path / "out").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out"]
