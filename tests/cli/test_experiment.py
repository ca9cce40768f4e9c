from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from striate.cli.experiment import parse_duration
from striate.errors import UsageError

# The toy's units wait for a file, so that a test decides when they go on.
TOY = '''
from __future__ import annotations
import time
from pathlib import Path
from striate.experiments import Figure, Unit

NAME = "toy"
CLAIM = "The more labels [sic], the better."
DATA = {"quick": (), "full": ()}
FIGURES = (
    Figure(what="accuracy", better="higher", goal=90.0, unit="%", measure=lambda results: results.column("accuracy")),
)

def measure(settings, context):
    """Waits to be killed, if a file says so."""
    while settings["split"] == 1 and Path(__file__).with_name("wait").exists():
        Path(__file__).with_name("waiting").touch()
        time.sleep(0.01)
    return {"accuracy": 90.0 + settings["split"] + context.seed}

def units(scale):
    return [Unit(f"split {split}", {"split": split}, measure, 500.0 * split) for split in range(2)]
'''

RUN = "from striate.experiments import EXPERIMENTS; EXPERIMENTS['toy'] = 'toy'; from striate.cli.main import run; run()"


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What striate's files define, taken apart once for all commands here."""
    return tmp_path_factory.mktemp("definitions")


@pytest.fixture
def folder(tmp_path: Path, definitions: Path) -> Path:
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "definitions").symlink_to(definitions)
    return tmp_path


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {
        "STRIATE_CACHE": str(folder / "cache"),
        "PYTHONPATH": str(folder),
        "COLUMNS": "100",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", RUN, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


def striate(folder: Path, *arguments: str, exit_code: int = 0) -> tuple[str, str]:
    process = start(folder, *arguments)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == exit_code, errors
    return output, errors


def test_a_budget_ends_early_and_the_next_run_goes_on(folder: Path) -> None:
    common = ("experiment", "toy", "--results", "out")
    output, _ = striate(folder, *common, "--budget", "1m", "--json", "--seed", "2")
    first = json.loads(output)
    assert first["complete"] is False
    assert first["remaining"] == ["split 1"]
    assert first["figures"][0]["verdict"] == "not run"

    output, errors = striate(folder, *common, "--budget", "1m", "--seed", "2")
    assert "Not complete: 1 of 2 units have finished, 1 of them in earlier runs" in output
    assert "split 1: not started" in errors

    output, _ = striate(folder, *common, "--json", "--quiet", "--seed", "2")
    last = json.loads(output)
    assert last["complete"] is True
    assert last["reused"] == ["split 0"]
    assert last["path"] == str(Path("out", "toy.json"))
    (figure,) = last["figures"]
    assert (figure["measured"], figure["uncertainty"], figure["n"]) == (92.5, 0.5, 2)
    assert json.loads((folder / "out" / "toy.json").read_text())["figures"] == [figure]

    # The list says what was measured on code that has changed since.
    (folder / "toy.py").write_text(TOY.replace("90.0 +", "91.0 +"))
    output, _ = striate(folder, "experiments", "--results", "out", "--json")
    (toy,) = [experiment for experiment in json.loads(output) if experiment["name"] == "toy"]
    assert toy["current"] is toy["figures"][0]["current"] is False
    assert toy["figures"][0]["measured"] == 92.5


def test_the_table_has_published_goal_measured_and_verdict(folder: Path) -> None:
    output, errors = striate(folder, "experiment", "toy", "--scale", "quick", "--quiet")
    assert errors == ""
    for text in ("[sic]", "≥ 90 %", "90.50 ± 0.50 % (n = 2)", "met", "Quick scale", "Complete: 2 units"):
        assert text in output
    assert "out" not in os.listdir(folder)

    (folder / "none").mkdir()
    output, _ = striate(folder, "experiments", "--results", "none")
    assert "not run" in output


def test_the_list_has_the_fields_that_were_promised(folder: Path) -> None:
    striate(folder, "experiment", "toy", "--results", "out", "--quiet")
    output, _ = striate(folder, "experiments", "--results", "out", "--json")
    (toy,) = [experiment for experiment in json.loads(output) if experiment["name"] == "toy"]
    assert toy.keys() >= {"name", "claim", "scale", "figures"}
    (figure,) = toy["figures"]
    fields = {"what", "published", "source", "goal", "measured", "uncertainty", "n", "better", "verdict"}
    assert figure.keys() >= fields
    assert figure["verdict"] == "met"
    assert figure["current"] is toy["current"] is True
    assert figure["history"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("experiment", "alchemy"), "there is no experiment 'alchemy'"),
        (("experiment", "toy", "--budget", "soon"), "--budget 'soon' is no duration"),
        (("experiment", "toy", "--only", "split 7"), "has no such unit; its units are split 0, split 1"),
        (("experiment", "toy", "--scale", "huge"), "huge"),
        (("experiments", "--results", "nowhere"), "there is no such folder"),
    ],
)
def test_wrong_use_is_one_sentence(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    output, errors = striate(folder, *arguments, exit_code=2)
    assert output == ""
    assert message in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_says_that_finished_units_are_kept(folder: Path) -> None:
    import signal
    import time

    (folder / "wait").touch()
    process = start(folder, "experiment", "toy", "--results", "out", "--quiet")
    while not (folder / "waiting").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "")
    assert errors == ("striate: interrupted; finished units are kept, and the same command goes on from there\n")
    (folder / "wait").unlink()
    output, _ = striate(folder, "experiment", "toy", "--results", "out", "--json")
    assert json.loads(output)["reused"] == ["split 0"]


@pytest.mark.parametrize(("text", "seconds"), [("150m", 9000), ("1h30m", 5400), ("90s", 90), ("1.5h", 5400), ("0s", 0)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "m", "-5m", "30m1h", "1 h", "nan", "infh"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="write for example 150m"):
        parse_duration(text)
