from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest
from PIL import Image

from striate.errors import UsageError
from striate.live.training import Trainer
from tests.live.talking import ROOT, serving

pytest.importorskip("fastapi")


@pytest.fixture
def things(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "things" / name).mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "things" / name / f"{number}.png")
    return tmp_path / "things"


def wait(what: Callable[[], Any]) -> Any:
    while not (found := what()):
        time.sleep(0.05)
    return found


def finished(trainer: Trainer) -> dict[str, Any]:
    def state() -> dict[str, Any] | None:
        found = trainer.state()
        return found if found and found["finished"] else None

    return dict(wait(state))


def test_progress_is_shown_and_the_run_can_be_stopped(things: Path) -> None:
    trainer = Trainer(things)
    assert trainer.state() is None
    trainer.start()
    with pytest.raises(UsageError, match="already"):
        trainer.start()
    wait(lambda: (trainer.state() or {})["phase"] not in ("starting", None))
    process = trainer._process
    assert process is not None
    trainer.stop()
    assert process.poll() is not None
    state = finished(trainer)
    assert "stopped" in state["error"]
    assert "model" not in state
    trainer.stop()  # once more does no harm


def test_an_error_of_the_run_is_shown(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "only" / "one.png")
    trainer = Trainer(tmp_path)
    trainer.start()
    state = finished(trainer)
    assert state["error"]
    assert not state["error"].startswith("striate")
    assert not trainer.model.exists()


def test_model_and_report_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a command in the place of `striate train` that does what it says, at once."""
    script = (
        "import json, sys, pathlib\n"
        "out = pathlib.Path(sys.argv[sys.argv.index('--out') + 1])\n"
        "print(json.dumps({'phase': 'filters', 'done': 3, 'total': 10, 'unit': 'batches'}), file=sys.stderr)\n"
        "print('words', file=sys.stderr)\n"
        "out.write_bytes(b'model'); out.with_suffix('.html').write_text('report')\n"
        "print(json.dumps({'accuracy': 0.75, 'n_test': 4}))\n"
    )
    monkeypatch.setattr("striate.live.training._STRIATE", (sys.executable, "-c", script))
    trainer = Trainer(tmp_path)
    trainer.start()
    assert finished(trainer) == {
        "phase": "finished", "done": 3, "total": 10, "finished": True, "log_tail": ["words"], "accuracy": 0.75,
        "n_test": 4, "model": "/model", "report": "/report",
    }  # fmt: skip
    assert (trainer.model.read_bytes(), trainer.report.read_text()) == (b"model", "report")
    trainer.start()  # again
    assert finished(trainer)["model"] == "/model"


@pytest.mark.skipif(os.name == "nt", reason="broken pipes are reported in other ways there")
def test_training_ends_when_nobody_reads_its_progress(things: Path) -> None:
    command = [sys.executable, "-m", "striate", "train", str(things), "--out", str(things.parent / "model")]
    process = subprocess.Popen([*command, "--progress", "json"], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stderr is not None
    first = json.loads(process.stderr.readline())
    assert "phase" in first or "message" in first
    process.stderr.close()
    assert process.wait(250) == 1
    assert not (things.parent / "model").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.skipif(os.name == "nt", reason="there are no such signals there")
def test_training_ends_with_the_server(things: Path, number: signal.Signals) -> None:
    with serving(things) as server, server.client() as client:
        client.ready()
        client.do("train")
        client.until("state", lambda state: (state["training"] or {}).get("phase") not in (None, "starting"))
        (child,) = psutil.Process(server.process.pid).children()
        server.process.send_signal(number)
        server.process.wait(60)
        psutil.wait_procs([child], timeout=250)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_the_page_starts_and_stops_it(things: Path) -> None:
    with serving(things) as server, server.client() as client:
        client.ready()
        client.do("train")
        client.until("state", lambda state: state["training"] is not None)
        client.ask()  # frames go on
        client.do("train")
        assert "already" in client.until("error")["message"]
        client.do("stop_training")
        state = client.until("state", lambda state: state["training"]["finished"])
        assert "stopped" in state["training"]["error"]
        assert server.get("/model").status == server.get("/report").status == 404
