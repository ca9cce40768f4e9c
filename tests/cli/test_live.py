from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from tests.cli.command import striate
from tests.live.talking import jpeg, talking

pytest.importorskip("fastapi")


@contextmanager
def live(*arguments: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command as a process, and the address that it prints."""
    command = [sys.executable, "-m", "striate", "live", *map(str, arguments), "--no-browser"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_class_is_learned_and_the_end_is_clean(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "things"
    with live(folder, "--port", 0) as (process, address):
        assert urlsplit(address).hostname == "127.0.0.1"
        assert len(urlsplit(address).query) > len("token=") + 30
        with talking(address) as page:
            page.ready()
            cup = page.add_classes("cup")["cup"]
            assert len(page.ask(cup)["bars"]) == 64
        process.send_signal(number)
        _, text = process.communicate(timeout=100)
        assert process.returncode == 0
        told = [line for line in text.splitlines() if "compiles its kernels" not in line]
        assert told == [
            f"samples go into {folder}; Ctrl-C ends",
            f"{folder}: 1 sample of 1 class",
        ]
    assert len(list((folder / "cup").glob("*.jpg"))) == 1
    assert not list(folder.glob(".striate-*.lock"))


def test_a_source_plays_and_the_token_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    Image.new("RGB", (300, 200), "red").save(tmp_path / "frames" / "1.png")
    (tmp_path / "things" / "red").mkdir(parents=True)
    (tmp_path / "things" / "red" / "one.jpg").write_bytes(jpeg())
    options = ("--source", tmp_path / "frames", "--port", 0, "--quiet", "--threads", 1)
    with live(tmp_path / "things", *options, STRIATE_LIVE_TOKEN="for this test") as (process, address):
        assert address.endswith("/?token=for%20this%20test")
        with talking(address) as page:
            assert not page.until("hello")["camera"]
            page.until("source_frame")
            assert page.ready()["samples"] == 1
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=100)[1] == ""


def test_a_port_that_is_in_use(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = striate(capsys, "live", tmp_path / "things", "--port", port, "--no-browser")
    assert (done.code, done.out) == (2, "")
    assert f"--port {port}: another program uses this port" in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "things").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "give one address"),
        (["--host", "::"], "give one address"),
        (["--host", "no such host"], "--host"),
        (["--host", "192.0.2.1"], "--host"),
        (["--source", "missing"], "no such file"),
        (["--model", "missing"], "no such file"),
    ],
)
def test_wrong_options(capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], words: str) -> None:
    done = striate(capsys, "live", tmp_path, *options, "--port", 0, "--no-browser")
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert done.err.count("\n") == 1


def test_a_model_that_cannot_be_used_ends_the_server(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with live(tmp_path / "things", "--port", 0, "--quiet", "--model", tmp_path / "model.safetensors") as (process, _):
        told = process.communicate(timeout=100)[1]
        assert process.returncode in (1, 2)
        assert "model.safetensors" in told
        assert told.count("\n") == 1


def test_without_the_extra(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'uvicorn': raise ModuleNotFoundError(f'No module named {name}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from striate.cli.main import run\n"
        f"sys.argv = ['striate', 'live', {json.dumps(str(tmp_path))}]\n"
        "run()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "striate: striate live needs uvicorn, which is not installed: pip install striate[live]\n"
