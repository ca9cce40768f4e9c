"""Checkpoints of long computations, so that a run that was killed can be continued."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Literal
from weakref import WeakValueDictionary

import numpy as np

from striate import model_file
from striate.errors import StriateError, UsageError
from striate.file_lock import try_lock
from striate.whole_file import whole_file

__all__ = ["Checkpoint"]

_FINGERPRINT = "fingerprint.json"
_LOCK = ".striate-lock"


class Checkpoint:
    """A folder with the state of one run, and a fingerprint of this run.

    The folder is locked while a checkpoint uses it, so that no other process can open one there (except on network
    file systems without locks, see `striate.file_lock`). Every part has the run's fingerprint and a checksum: parts
    that are damaged, or belong to another run, count as missing and are computed again.

    Parameters
    ----------
    folder : str or os.PathLike
        Created if it does not exist. It must be empty or an earlier checkpoint; `remove` deletes everything in it.
    fingerprint : mapping
        Everything that determines the result of the run: options, seed, a description of the data. Values must be
        valid in JSON.
    interval : float, default=20.0
        Seconds between two saves, as `due` reports them. If the run is killed, at most this time is lost.
    fresh : bool, default=False
        Whether to delete the files of an earlier run in the folder.

    Raises
    ------
    UsageError
        If the folder belongs to a run with another fingerprint, is in use by another process, or has other files.

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
        self._run = _digest(self.fingerprint)
        self._open(fresh)
        self._last_save = time.monotonic()

    def _open(self, fresh: bool) -> None:
        try:
            self._lock = _FolderLock.of(self.folder, fresh)
            theirs = _read_fingerprint(self.folder, fresh)
            if fresh:
                self._empty()
            elif isinstance(theirs, dict):
                if theirs != self.fingerprint:
                    raise UsageError(
                        f"the checkpoint in {self.folder} belongs to another run "
                        f"({_differences(theirs, self.fingerprint)}); "
                        "repeat that run's options and data to continue it, or start afresh"
                    )
                return
            document = {"fingerprint": self.fingerprint, "digest": self._run}
            with whole_file(self.folder / _FINGERPRINT) as file:
                file.write(json.dumps(document, indent=1).encode())
        except OSError as error:
            raise UsageError(f"cannot keep checkpoints in {self.folder}: {error.strerror or error}") from error

    def part(self, name: str) -> Checkpoint:
        """Return a checkpoint for one part of the run: the same folder, with separate names.

        Two stages that are learned by the same code then do not read each other's state.
        """
        part = copy.copy(self)
        part._prefix = f"{self.path(name).name}."
        part._last_save = time.monotonic()
        return part

    def due(self) -> bool:
        """Tell whether the interval has passed since the last save."""
        return time.monotonic() - self._last_save >= self.interval

    def save(self, name: str, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Save arrays and a JSON state under a name; if the process is killed meanwhile, the earlier save remains."""
        header = {"run": self._run, "part": self.path(name).name, "state": dict(state)}
        model_file.write(self._file(name), arrays, header, kind="checkpoint")
        self._last_save = time.monotonic()

    def load(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Return what this run saved under a name, or None if there is no such save, or it is damaged."""
        try:
            arrays, header = model_file.read(self._file(name), kind="checkpoint")
        except (model_file.ModelFileError, UsageError):
            return None
        if (header.get("run"), header.get("part")) != (self._run, self.path(name).name):
            return None
        return arrays, header["state"]

    def path(self, name: str) -> Path:
        """Return the path for a file of the caller, such as a memory map; `remove` deletes it too."""
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII):
            raise ValueError(f"a checkpoint's name has letters, digits, '.', '_' and '-' only, not {name!r}")
        return self.folder / (self._prefix + name)

    def remove(self) -> None:
        """Remove the folder, after the run's result has been saved elsewhere."""
        try:
            self._empty()
            self._lock.remove()
            self.folder.rmdir()
        except FileNotFoundError:
            pass  # another process has removed it
        except OSError as error:
            raise StriateError(
                f"the checkpoint in {self.folder} is no longer needed, and cannot be removed "
                f"({error.strerror or error}); remove the folder by hand"
            ) from error

    def _empty(self) -> None:
        # The fingerprint is removed last: if the process is killed meanwhile, the folder is still recognized as a
        # checkpoint.
        for entry in sorted(self.folder.iterdir(), key=lambda entry: entry.name == _FINGERPRINT):
            if entry.name != _LOCK:
                entry.unlink()

    def _file(self, name: str) -> Path:
        return self.path(f"{name}.safetensors")


class _FolderLock:
    """The lock of a folder, held by this process for as long as one of its checkpoints is in use."""

    _held: ClassVar[WeakValueDictionary[str, _FolderLock]] = WeakValueDictionary()

    def __init__(self, path: Path, handle: int) -> None:
        self._path, self._handle = path, handle

    @classmethod
    def of(cls, folder: Path, fresh: bool) -> _FolderLock:
        """Lock a folder, which is created if it does not exist.

        Raises
        ------
        UsageError
            If another process holds the lock, or the folder has files that are not striate's.
        """
        path = Path(os.path.realpath(folder)) / _LOCK
        held = cls._held.get(str(path))
        if held is not None and held._is_at_its_place():
            return held
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                _read_fingerprint(folder, fresh)  # before any file is written into the folder
                handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            except FileNotFoundError:  # the owner has removed the folder just now
                continue
            if not try_lock(handle):
                owner = _words(os.read(handle, 300))
                os.close(handle)
                raise UsageError(
                    f"another run is using {folder}{owner}; wait until it has ended, or choose another --out"
                )
            lock = cls(path, handle)
            if lock._is_at_its_place():
                break
        about = f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"
        os.ftruncate(handle, 0)
        os.write(handle, about.encode())
        cls._held[str(path)] = lock
        return lock

    def _is_at_its_place(self) -> bool:
        try:
            ours, there = os.fstat(self._handle), os.stat(self._path)
        except OSError:
            return False
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def remove(self) -> None:
        """Remove the file, and the lock with it."""
        if os.name == "nt":  # open files cannot be removed there
            self.__del__()
        if os.name == "nt" or self._is_at_its_place():
            os.unlink(self._path)

    def __del__(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _words(owner: bytes) -> str:
    text = owner.decode(errors="replace")
    return f" ({text})" if text.isprintable() and text else ""


def _digest(fingerprint: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()


def _read_fingerprint(folder: Path, fresh: bool) -> dict[str, Any] | Literal["none", "lost"]:
    """The fingerprint of the run that used this folder; "none" if there was no run, "lost" if it is damaged.

    Raises
    ------
    UsageError
        If the folder is not a checkpoint of striate.
    """
    file = folder / _FINGERPRINT
    document: Any = None
    try:
        document = json.loads(file.read_bytes())
        fingerprint = document["fingerprint"]
        if isinstance(fingerprint, dict) and document["digest"] == _digest(fingerprint):
            return fingerprint
    except FileNotFoundError:
        # If a run was killed while it wrote its fingerprint, there are only hidden files.
        if all(entry.name.startswith(".striate-") for entry in folder.iterdir()):
            return "none"
    except (ValueError, TypeError, LookupError, RecursionError, IsADirectoryError):
        pass
    if isinstance(document, dict) and document and not document.keys() & {"fingerprint", "digest"}:
        return document  # written by an earlier version of striate
    if (folder / _LOCK).exists() or (fresh and file.is_file()):
        return "lost"  # the folder is ours, and each part has the fingerprint of its run
    if file.is_file():
        raise UsageError(f"{file} is damaged; remove the folder {folder} to start afresh")
    raise UsageError(f"cannot keep checkpoints in {folder}: the folder holds other files; choose a new folder")


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
