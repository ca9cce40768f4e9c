from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import striate
from striate.cli.main import COMMANDS

# Commands that do what commands may do, in the place of `demo` and `data`.
STUBS = '''
from __future__ import annotations
import errno, sys, time
from pathlib import Path
from typing import Annotated
import numpy as np
import typer
from striate.cli._options import AsJson, Quiet, Seed, Threads, emit
from striate.errors import StriateError, UsageError, UnreadableImage
from striate.threads import n_threads

ERRORS = {
    "failed": StriateError("the work failed"),
    "usage": UsageError("a.csv has no column label"),
    "newline": UsageError("no folder a\\nb\\x1b[31m"),
    "image": UnreadableImage(Path("x.jpg"), "it is cut off"),
    "memory": MemoryError(),
    "disk": OSError(errno.ENOSPC, "No space left on device", "out.csv"),
    "denied": PermissionError(errno.EACCES, "Permission denied", "out.csv"),
    "interrupt": KeyboardInterrupt(),
    "kept": KeyboardInterrupt("interrupted; train --resume goes on"),
    "defect": ZeroDivisionError("division by zero"),
    "parameter": typer.BadParameter("no such size"),
}

def demo(
    fail: str = "", wait: bool = False, many: bool = False,
    seed: Seed = 0, threads: Threads = None, quiet: Quiet = False, as_json: AsJson = False,
) -> None:
    """Do something [really]."""
    if fail:
        raise ERRORS[fail]
    if wait:
        print("waiting", flush=True)
        time.sleep(60)
    if many:
        for _ in range(100_000):
            emit({}, False, "line")
    result = {"seed": seed, "threads": n_threads(), "quiet": quiet, "figures": np.arange(2.0),
              "one": np.float32(0.5), "none": float("nan"), 3: Path("dir") / "\\udcff", "pair": (1, np.inf)}
    emit(result, as_json, "done \\udcff")

data = typer.Typer()

@data.command()
def list() -> None:
    emit([], False, "listed")

@data.command()
def get(name: str) -> None:
    emit([], False, f"got {name}")
'''

START = """
import sys
from striate.cli import main
main.COMMANDS = main.COMMANDS | {"demo": ("stubs", "Demo."), "data": ("stubs", "Data.")}
main.run()
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "stubs.py").write_text(STUBS)
    (tmp_path / "start.py").write_text(START)
    return [sys.executable, str(tmp_path / "start.py")]


def run(command: list[str], *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, env=os.environ | environment, timeout=60
    )


def striate_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "striate"], *arguments)


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_help_names_every_command(arguments: list[str]) -> None:
    result = striate_command(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    for name in COMMANDS:
        assert f" {name} " in result.stdout


def test_version() -> None:
    result = striate_command("--version")
    assert (result.returncode, result.stdout) == (0, f"striate {striate.__version__}\n")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(option: str) -> None:
    script = (
        f"import sys\nfrom striate.cli.main import run\nsys.argv = ['striate', {option!r}]\n"
        "try: run()\nexcept SystemExit: pass\n"
        "heavy = set('numpy scipy sklearn numba matplotlib PIL safetensors jinja2 pooch torch'.split())\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
        "assert not [name for name in sys.modules if name.startswith('striate.') and name.count('.') > 1\n"
        "            and not name.startswith(('striate.cli.main', 'striate.cli._'))]\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["tain"], "tain"),
        (["--foo"], "--foo"),
        (["demo", "--foo"], "--foo"),
        (["demo", "--threads", "0"], "--threads"),
        (["demo", "--seed", "x"], "--seed"),
        (["data", "get"], "name"),
        (["data", "fetch"], "fetch"),
        (["demo", "--fail", "parameter"], "no such size"),
    ],
)
def test_a_wrong_command_line_is_one_line(command: list[str], arguments: list[str], part: str) -> None:
    result = run(command, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert part in result.stderr.lower()
    assert result.stderr.endswith("--help\n")


@pytest.mark.parametrize(
    ("error", "exit_code", "line"),
    [
        ("failed", 1, "the work failed"),
        ("usage", 2, "a.csv has no column label"),
        ("newline", 2, r"no folder a\nb\x1b[31m"),
        ("image", 1, "x.jpg: it is cut off"),
        ("memory", 1, "out of memory; close other programs, or use fewer or smaller images"),
        ("disk", 1, "no space left on the disk where out.csv should go; free some and run the command again"),
        ("denied", 1, "out.csv: Permission denied"),
        ("interrupt", 130, "interrupted"),
        ("kept", 130, "interrupted; train --resume goes on"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(command: list[str], error: str, exit_code: int, line: str) -> None:
    result = run(command, "demo", "--fail", error)
    assert (result.returncode, result.stdout, result.stderr) == (exit_code, "", f"striate: {line}\n")


def test_a_defect_is_one_line_too_unless_asked_for_more(command: list[str]) -> None:
    result = run(command, "demo", "--fail", "defect")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "ZeroDivisionError: division by zero" in result.stderr
    more = run(command, "demo", "--fail", "defect", STRIATE_DEBUG="1")
    assert more.returncode == 1
    assert "Traceback" in more.stderr
    assert more.stderr.endswith(result.stderr)


def test_a_command_that_is_missing_altogether(command: list[str]) -> None:
    Path(command[1]).with_name("stubs.py").unlink()
    result = run(command, "demo")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)


def test_control_c_is_one_line(command: list[str]) -> None:
    process = subprocess.Popen([*command, "demo", "--wait"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (130, "striate: interrupted\n")


def test_results_leave_as_text_or_as_one_document(command: list[str]) -> None:
    assert run(command, "demo").stdout == "done \\udcff\n"
    result = run(command, "demo", "--json", "--seed", "3", "--threads", "1", "-q")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {
        "seed": 3,
        "threads": 1,
        "quiet": True,
        "figures": [0.0, 1.0],
        "one": 0.5,
        "none": None,
        "3": "dir/\udcff",
        "pair": [1, None],
    }


def test_a_command_has_help_of_its_own(command: list[str]) -> None:
    result = run(command, "demo", "--help")
    assert result.returncode == 0
    for part in ("striate demo", "--seed", "--threads", "--json", "--quiet"):
        assert part in result.stdout


def test_a_command_may_have_commands(command: list[str]) -> None:
    assert run(command, "data", "list").stdout == "listed\n"
    assert run(command, "data", "get", "mnist").stdout == "got mnist\n"
    assert "striate data" in run(command, "data", "--help").stdout


def test_a_reader_that_leaves_early(command: list[str]) -> None:
    process = subprocess.Popen([*command, "demo", "--many"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=30) == 1
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
