"""What a long computation saves on its way, so that a killed one goes on where it was."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from striate import model_file
from striate.errors import UsageError
from striate.whole_file import whole_file

__all__ = ["Checkpoint"]

_FINGERPRINT = "fingerprint.json"


class Checkpoint:
    """A folder that holds the state of one run, and knows which run it belongs to.

    Parameters
    ----------
    folder : str or os.PathLike
        Created where it is missing. It must be empty or an earlier checkpoint: everything in it is
        striate's own, and `remove` removes it.
    fingerprint : mapping
        What determines the result of the run: options, seed, a description of the data. Anything that JSON
        can hold.
    interval : float, default=20.0
        Seconds between two saves, as `due` reports them: a kill loses no more than this, and saving takes
        little of the time.
    fresh : bool, default=False
        Whether to drop what an earlier run left in the folder.

    Raises
    ------
    UsageError
        If the folder belongs to a run with another fingerprint, or holds something else.

    Examples
    --------
    >>> import tempfile, numpy
    >>> checkpoint = Checkpoint(tempfile.mkdtemp(), {"seed": 0}, interval=0)
    >>> checkpoint.load("codes") is None
    True
    >>> if checkpoint.due():
    ...     checkpoint.save("codes", {"sums": numpy.zeros(3)}, {"batch": 40})
    >>> arrays, state = checkpoint.load("codes")
    >>> state
    {'batch': 40}
    >>> checkpoint.remove()
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        fingerprint: Mapping[str, Any],
        *,
        interval: float = 20.0,
        fresh: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.fingerprint: dict[str, Any] = json.loads(json.dumps(dict(fingerprint)))
        self.interval = interval
        self._prefix = ""
        self._open(fresh)
        self._last_save = time.monotonic()

    def _open(self, fresh: bool) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if fresh and (self.folder / _FINGERPRINT).exists():
                self.remove()
                self.folder.mkdir()
            theirs = _read_fingerprint(self.folder)
        except OSError as error:
            raise UsageError(f"cannot keep checkpoints in {self.folder}: {error.strerror}") from error
        if theirs is None:
            with whole_file(self.folder / _FINGERPRINT) as file:
                file.write(json.dumps(self.fingerprint, indent=1).encode())
        elif theirs != self.fingerprint:
            raise UsageError(
                f"the checkpoint in {self.folder} belongs to another run "
                f"({_differences(theirs, self.fingerprint)}); "
                "repeat that run's options and data to go on with it, or start afresh"
            )

    def part(self, name: str) -> Checkpoint:
        """Return a checkpoint for one part of the run: the same folder, with names of its own.

        So two stages that are learned by the same code do not take each other's state.
        """
        part = copy.copy(self)
        part._prefix = f"{self.path(name).name}."
        part._last_save = time.monotonic()
        return part

    def due(self) -> bool:
        """Tell whether the interval has passed since the last save."""
        return time.monotonic() - self._last_save >= self.interval

    def save(self, name: str, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Save arrays and a JSON state under a name; a kill during this leaves the earlier save in place."""
        model_file.write(self._file(name), arrays, state, kind="checkpoint")
        self._last_save = time.monotonic()

    def load(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Return what was saved under a name, or None if that is nothing, or damaged."""
        if not self._file(name).is_file():
            return None
        try:
            return model_file.read(self._file(name), kind="checkpoint")
        except model_file.ModelFileError:
            return None

    def path(self, name: str) -> Path:
        """Return where a file of the caller's own may lie, such as a memory map; `remove` takes it too."""
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII):
            raise ValueError(f"a checkpoint's name has letters, digits, '.', '_' and '-' only, not {name!r}")
        return self.folder / (self._prefix + name)

    def remove(self) -> None:
        """Remove the folder, once the run's result is safe elsewhere."""
        # The fingerprint goes last: a folder that a kill leaves half removed is still known as ours.
        for entry in sorted(self.folder.iterdir(), key=lambda entry: entry.name == _FINGERPRINT):
            entry.unlink()
        self.folder.rmdir()

    def _file(self, name: str) -> Path:
        return self.path(f"{name}.safetensors")


def _read_fingerprint(folder: Path) -> dict[str, Any] | None:
    """Return the fingerprint of the run that left something here; None if nobody did."""
    file = folder / _FINGERPRINT
    try:
        fingerprint = json.loads(file.read_text())
        if isinstance(fingerprint, dict):
            return fingerprint
    except FileNotFoundError:
        # A run that was killed while it wrote its fingerprint leaves one hidden file.
        if all(entry.name.startswith(".striate-") for entry in folder.iterdir()):
            return None
        raise UsageError(
            f"cannot keep checkpoints in {folder}: the folder holds other files; choose a new folder"
        ) from None
    except ValueError:
        pass
    raise UsageError(f"{file} is damaged; remove the folder {folder} to start afresh")


def _differences(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    parts = []
    for key in sorted(theirs.keys() | ours.keys()):
        if key not in ours:
            parts.append(f"{key} was {_short(theirs[key])}, and is not given now")
        elif key not in theirs:
            parts.append(f"{key} was not given, and is {_short(ours[key])}")
        elif theirs[key] != ours[key]:
            parts.append(f"{key} was {_short(theirs[key])}, and is {_short(ours[key])}")
    return "; ".join(parts)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
