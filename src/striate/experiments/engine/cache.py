"""Finished units on disk, so that nothing is measured twice.

An entry is a small JSON file. Its name is a digest of its key, which holds everything that the result depends on. A
checksum inside makes an entry that was damaged or edited count as absent. Entries are written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from striate.experiments.engine.json_file import write_json
from striate.experiments.engine.unit import Unit

_FORMAT = 1


@dataclass(frozen=True)
class Finished:
    """A unit's result and the circumstances in which it was measured.

    Parameters
    ----------
    result : dict
        What the unit returned.
    seconds : float
        Wall-clock time, without that of earlier, interrupted attempts.
    peak_memory_bytes : int
        The process's peak resident memory when the unit had finished; earlier units of the process count.
    threads : int
        The threads that it might use.
    finished : str
        Date and time, UTC, ISO 8601.
    checkout : dict
        ``commit`` and ``dirty``, as in the provenance.
    versions : dict
        Versions of Python and of the packages that compute.
    """

    result: dict[str, Any]
    seconds: float
    peak_memory_bytes: int
    threads: int
    finished: str
    checkout: dict[str, Any]
    versions: dict[str, str]


class UnitCache:
    """The finished units of one experiment.

    Parameters
    ----------
    folder : Path
        Where the entries are; created when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._history: list[dict[str, Any]] | None = None

    def read(self, key: Mapping[str, Any]) -> Finished | None:
        """Return the entry of a key; None if there is none, or if it is damaged."""
        document = _read(self._path(key))
        if document is None or document["key"] != key:
            return None
        return Finished(**document["finished"])

    def write(self, key: Mapping[str, Any], unit: Unit, finished: Finished) -> None:
        """Keep a finished unit; its checkpoints are no longer needed."""
        document = {
            "format": _FORMAT,
            "unit": unit.name,
            "function": unit.run.__qualname__,
            "expected_seconds": unit.expected_seconds,
            "key": dict(key),
            "finished": asdict(finished),
        }
        write_json(self._path(key), document | {"sha256": _digest(document)})
        if self._history is not None:
            self._history.append(document)
        shutil.rmtree(self.checkpoint_folder(key), ignore_errors=True)

    def documents(self) -> Iterator[dict[str, Any]]:
        """Yield all entries that are whole, whatever the code that they were measured on."""
        for path in sorted(self.folder.glob("*.json")):
            if (document := _read(path)) is not None:
                yield document

    def checkpoint_folder(self, key: Mapping[str, Any]) -> Path:
        """Return the folder in which the unit of that key may save its progress."""
        return self._path(key).with_suffix(".checkpoint")

    def expected_seconds(self, unit: Unit, scale: str) -> float:
        """Return how long a unit will probably take.

        This is the last duration of the same unit, whatever its code was then. Without one it is the unit's own
        guess, corrected by how far such guesses were off for other units of this scale on this machine.
        """
        if self._history is None:
            self._history = list(self.documents())
        same_scale = [document for document in self._history if document["key"].get("scale") == scale]
        same_unit = [document["finished"] for document in same_scale if document["unit"] == unit.name]
        if same_unit:
            return float(max(same_unit, key=lambda finished: finished["finished"])["seconds"])
        ratios = [
            document["finished"]["seconds"] / document["expected_seconds"]
            for document in same_scale
            if document["expected_seconds"] > 0
        ]
        return unit.expected_seconds * (statistics.median(ratios) if ratios else 1.0)

    def _path(self, key: Mapping[str, Any]) -> Path:
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
        return self.folder / f"{name}.json"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text("utf-8"))
        checksum = document.pop("sha256")
        whole = document["format"] == _FORMAT and checksum == _digest(document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return document if whole else None


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
