"""A full model, trained in the background by `striate train`, a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from striate.errors import StriateError, UsageError, one_line

__all__ = ["Trainer"]

_STRIATE = (sys.executable, "-m", "striate")
_LOG_LINES = 8
_LONGEST_LINE = 2000
_PATIENCE = 5.0  # seconds for a process to end, before it is killed
_LOWER_PRIORITY = 10  # frames come first


class Trainer:
    """Runs `striate train` on a folder, one run at a time.

    Model and report go to the hidden folder ``.striate-model`` in the folder, where `striate train` finds no images.
    The process writes its progress into a pipe; if this process is killed, the pipe breaks, and training ends too.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    changed : bool
        Set when the state has changed; whoever shows it resets this before.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._lock = threading.Lock()
        self._state: dict[str, Any] | None = None
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._stopped = False
        self.changed = False

    @property
    def place(self) -> Path:
        """The folder of model and report."""
        return self._folder / ".striate-model"

    @property
    def model(self) -> Path:
        """The model file."""
        return self.place / f"{self._name}.safetensors"

    @property
    def report(self) -> Path:
        """The report."""
        return self.place / f"{self._name}.html"

    @property
    def _name(self) -> str:
        return self._folder.resolve().name or "live"

    @property
    def runs(self) -> bool:
        """Whether a model is being trained."""
        return self._process is not None and self._process.poll() is None

    def state(self) -> dict[str, Any] | None:
        """What the page shows: None if nothing was trained."""
        with self._lock:
            return None if self._state is None else {**self._state, "log_tail": list(self._log)}

    def start(self) -> None:
        """Begin to train.

        Raises
        ------
        UsageError
            If a model is being trained already.
        StriateError
            If the process cannot be started.
        """
        if self.runs:
            raise UsageError("a model is being trained already: stop it first, or wait for it")
        command = [*_STRIATE, "train", os.path.abspath(self._folder)]
        command += ["--out", os.path.abspath(self.model), "--progress", "json", "--json"]
        try:
            self.place.mkdir(exist_ok=True)
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise StriateError(one_line(f"striate train cannot be started: {error.strerror or error}")) from error
        if hasattr(os, "setpriority"):
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, _LOWER_PRIORITY)
        with self._lock:
            self._log.clear()
            self._stopped = False
            self._state = {"phase": "starting", "done": 0, "total": None, "finished": False}
            self.changed = True
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True, name="striate training")
        self._reader.start()

    def stop(self) -> None:
        """End the training, if there is one, and wait until it has ended."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        self._stopped = True
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join(_PATIENCE)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        assert process.stdout is not None
        while line := process.stderr.readline(_LONGEST_LINE):
            self._take(line)
        result = process.stdout.read(1 << 20)
        process.wait()
        process.stdout.close()
        process.stderr.close()
        with self._lock:
            assert self._state is not None
            self._state["finished"] = True
            if self._stopped:
                self._state["error"] = "the training was stopped"
            elif process.returncode == 0:
                self._state |= {"phase": "finished", "model": "/model", "report": "/report"} | _summary(result)
            else:
                # The last line says why, as on a terminal.
                said = self._log[-1].removeprefix("striate: ") if self._log else "the training has ended early"
                self._state["error"] = said
            self.changed = True

    def _take(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = {"message": line}
        if not isinstance(event, dict):
            event = {"message": line}
        with self._lock:
            assert self._state is not None
            if "message" in event:
                text = one_line(str(event["message"]).strip())
                if text:
                    self._log.append(text)
            elif "phase" in event:
                self._state |= {name: event.get(name) for name in ("phase", "done", "total")}
            self.changed = True


def _summary(result: str) -> dict[str, Any]:
    """What the run has reached, from its result."""
    try:
        found = json.loads(result)
        return {"accuracy": float(found["accuracy"]), "n_test": int(found["n_test"])}
    except (ValueError, KeyError, TypeError):
        return {}
