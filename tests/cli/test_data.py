from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from striate.cli.main import app
from striate.images import datasets
from striate.images import download as downloading
from striate.images.datasets import DATA_SETS, Download
from tests.file_server import FileServer

CONTENT = b"digits " * 30_000


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(downloading, "_PAUSE", 0.0)
    return tmp_path / "data"


@pytest.fixture
def toy(file_server: FileServer, monkeypatch: pytest.MonkeyPatch) -> FileServer:
    """A server that delivers the whole of a small "mnist"."""
    file_server.files["/toy.gz"] = CONTENT
    download = Download((file_server.url + "/toy.gz",), hashlib.sha256(CONTENT).hexdigest())
    changed = {**DATA_SETS, "mnist": replace(DATA_SETS["mnist"], downloads=(download,))}
    monkeypatch.setattr(datasets, "DATA_SETS", changed)
    return file_server


def data(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["data", *arguments])


def json_of(*arguments: str) -> Any:
    result = data(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def message_of(*arguments: str, exit_code: int) -> str:
    result = data(*arguments)
    assert (result.exit_code, result.stdout) == (exit_code, ""), result.output
    assert result.stderr.startswith("striate: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_list_says_how_each_is_had_and_where_it_is(root: Path) -> None:
    (root / "coil100").mkdir(parents=True)
    (root / "coil100" / "coil100-64x64.npz").touch()
    listed = {one["name"]: one for one in json_of("list")}
    assert list(listed) == list(DATA_SETS)
    assert listed["coil100"]["path"] == str(root / "coil100")
    assert listed["mnist"]["path"] is None
    assert listed["mnist"]["download"]
    assert len(listed["mnist"]["sha256"]) == 4
    assert not listed["stereo"]["download"]

    text = data("list").stdout
    assert f"here: {root / 'coil100'}" in text
    assert "not here; download of 137 MB, SHA-256 checked: striate data get caltech101" in text
    assert "not here; place it yourself: register with the publisher" in text


def test_path(root: Path) -> None:
    (root / "mnist").mkdir(parents=True)
    (root / "mnist" / "x.gz").touch()
    assert data("path", "mnist").stdout == f"{root / 'mnist'}\n"
    assert json_of("path", "mnist") == {"name": "mnist", "path": str(root / "mnist")}
    assert "type `striate data get berkeley`" in message_of("path", "berkeley", exit_code=2)
    assert "there is no data set 'x'" in message_of("path", "x", exit_code=2)


def test_get(root: Path, toy: FileServer) -> None:
    first = json_of("get", "mnist")
    assert (first["name"], first["path"], first["downloaded"]) == ("mnist", str(root / "mnist"), True)
    assert (root / "mnist" / "toy.gz").read_bytes() == CONTENT
    assert json_of("get", "mnist")["downloaded"] is False
    quiet = data("get", "mnist", "--quiet")
    assert (quiet.stdout, quiet.stderr) == (f"{root / 'mnist'}\n", "")


def test_get_goes_on_after_a_broken_transfer(root: Path, toy: FileServer) -> None:
    toy.break_after = 81_920
    json_of("get", "mnist")
    assert [asked for _, asked in toy.requests] == ["", "bytes=81920-", "bytes=163840-"]
    assert (root / "mnist" / "toy.gz").read_bytes() == CONTENT


def test_get_failures_are_one_sentence(root: Path, toy: FileServer) -> None:
    toy.files["/toy.gz"] = b"wrong"
    assert "another checksum" in message_of("get", "mnist", "--quiet", exit_code=1)
    toy.files["/toy.gz"] = CONTENT
    toy.hang_after = 0
    assert "sent nothing for 0.2 seconds" in message_of("get", "mnist", "--quiet", "--timeout", "0.2", exit_code=1)
    toy.hang_after = None
    toy.ranges, toy.break_after = False, 49_152
    message = message_of("get", "mnist", "--quiet", exit_code=1)
    assert "broke off after 49 of 210 kB" in message
    assert "type `striate data get mnist` again, which goes on" in message
    assert "cannot be downloaded" in message_of("get", "video", exit_code=2)
    assert "not a web address" in message_of("get", "mnist", "--mirror", "ftp://x", exit_code=2)
    assert not (root / "mnist").exists()


def test_without_a_sub_command() -> None:
    assert "Missing command; see " in message_of(exit_code=2)


def test_get_into_a_place_that_is_no_folder(root: Path, toy: FileServer) -> None:
    root.write_text("a file")
    assert str(root) in message_of("get", "mnist", "--quiet", exit_code=1)


def striate(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "striate", "data", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


def test_the_command_itself_refuses_files_that_are_not_the_publishers(root: Path, file_server: FileServer) -> None:
    file_server.files["/train-images-idx3-ubyte.gz"] = CONTENT
    process = striate("get", "mnist", "--mirror", file_server.url, "--json")
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (1, "")
    assert "train-images-idx3-ubyte.gz" in stderr
    assert "another checksum" in stderr
    assert "Traceback" not in stderr
    assert list((root / ".mnist.arriving").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT of POSIX")
def test_ctrl_c_keeps_what_has_arrived(root: Path, file_server: FileServer) -> None:
    file_server.files["/train-images-idx3-ubyte.gz"] = CONTENT
    file_server.hang_after = 131_072
    process = striate("get", "mnist", "--mirror", file_server.url, "--quiet")
    part = root / ".mnist.arriving" / "train-images-idx3-ubyte.gz.part"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr == "striate: interrupted; striate data get mnist goes on from what has arrived\n"
    assert part.stat().st_size
