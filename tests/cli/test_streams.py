"""Standard streams that are closed, full or left; warnings of libraries; little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import striate

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="shell redirections and /dev/full")

# Work in a file, a result, a warning of each kind, a message while it goes on, and a library's own message.
STUB = """
import os, warnings
from contextlib import suppress
from pathlib import Path
from typing import Annotated
import typer
from striate.cli._options import AsJson, Quiet, emit
from striate.progress import RichProgress

def demo(quiet: Quiet = False, as_json: AsJson = False) -> None:
    with RichProgress(quiet=quiet).phase("work\\x1b[31m", total=1, unit="items") as phase:
        with open("made", "w") as file:
            with suppress(OSError):
                os.write(2, b"of a library\\n" if not quiet else b"")
            file.write("whole")
        phase.advance()
    warnings.warn_explicit("did not\\nconverge", UserWarning, OURS, 1)
    warnings.warn_explicit("did not\\nconverge", UserWarning, OURS, 2)
    warnings.warn_explicit("overflow", RuntimeWarning, OURS, 3)
    warnings.warn_explicit("strange tags", UserWarning, "PIL/TiffImagePlugin.py", 4)
    emit({"done": True}, as_json, "done")
"""
START = """
import sys, striate.cli, stubs
stubs.OURS = striate.cli.__file__
from striate.cli import main
main.COMMANDS = main.COMMANDS | {"demo": ("stubs", "Demo.")}
main.run()
"""


@pytest.fixture
def command(tmp_path: Path) -> str:
    (tmp_path / "stubs.py").write_text(STUB)
    (tmp_path / "start.py").write_text(START)
    return f"{sys.executable} start.py demo"


def shell(script: str, folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}"], cwd=folder, stderr=subprocess.PIPE, text=True, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        (">&-", 0),
        ("2>&-", 0),
        ("<&- >&- 2>&-", 0),
        ("2>/dev/full", 0),
        (">/dev/full", 1),
        (">/dev/full 2>/dev/full", 1),
        ("2> >(:) >/dev/null; sleep 0.1", 0),
    ],
)
def test_streams_that_take_nothing_do_not_end_the_work(
    command: str, tmp_path: Path, redirection: str, code: int
) -> None:
    found, err = shell(f"{command} {redirection}", tmp_path)
    assert (tmp_path / "made").read_text() == "whole"
    assert found == code, err
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert ("No space" in err or "no space left" in err) == (redirection == ">/dev/full")


def test_warnings_are_a_line_of_ours_or_nothing(command: str, tmp_path: Path) -> None:
    for environment in ("", "PYTHONWARNINGS=error"):
        code, err = shell(f"{environment} {command} -q >/dev/null", tmp_path)
        assert (code, err) == (0, "striate: warning: did not\\nconverge\n")


def test_a_phase_cannot_drive_the_terminal(command: str, tmp_path: Path) -> None:
    _, err = shell(f"{command} >/dev/null", tmp_path)
    assert r"work\x1b[31m:" in err
    assert "\x1b" not in err


def test_help_and_version_on_a_full_disk(tmp_path: Path) -> None:
    for arguments in ("--version", "--help", "code --help"):
        code, err = shell(f"{sys.executable} -m striate {arguments} >/dev/full", tmp_path)
        assert (code, len(err.splitlines())) == (1, 1)
        assert "no space left" in err


def test_little_memory_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.ones((9, 4)))
    for kilobytes in (200_000, 400_000, 600_000):
        code, err = shell(f"ulimit -v {kilobytes}; {sys.executable} -m striate code s.npy -q", tmp_path)
        assert (code, len(err.splitlines())) == (1, 1), err
        assert "out of memory" in err
        assert "ulimit" in err


def test_an_empty_argument_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("train", ""), ("train", "x", "--out", ""), ("train", "x", "--out="), ("predict", "m", "")):
        done = striate(capsys, *arguments)
        assert (done.code, len(done.err.splitlines())) == (2, 1)
        assert "is empty" in done.err
