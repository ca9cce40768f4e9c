"""Remembers the definitions of source files by their content: parsing takes seconds, listing results should not."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from striate.cache_folder import cache_folder
from striate.experiments.engine import definitions, scopes, syntax_text
from striate.experiments.engine.definitions import SourceFile, read_source
from striate.experiments.engine.scopes import Origin, Reference
from striate.experiments.engine.syntax_text import Definition


def read_file(path: Path) -> SourceFile:
    """Return a file's definitions, remembered in this process and on disk."""
    status = path.stat()
    return _read(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=2000)
def _read(path: Path, _changed: int, _size: int) -> SourceFile:
    source = path.read_bytes()
    note = cache_folder() / "definitions" / f"{hashlib.sha256(_rules() + source).hexdigest()[:32]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # absent or damaged: read the source
        return _from_json(json.loads(note.read_text("utf-8")))
    made = read_source(source)
    with suppress(OSError):  # a disk that is full costs time alone
        note.parent.mkdir(parents=True, exist_ok=True)
        partial = note.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps(asdict(made), separators=(",", ":")), "utf-8")
        partial.replace(note)  # without waiting for the disk: a damaged note is read as absent
    return made


@functools.cache
def _rules() -> bytes:
    """A digest of the code that takes files apart: when it changes, so does what it returns."""
    files = [Path(str(module.__file__)) for module in (definitions, scopes, syntax_text)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).digest()


def _from_json(document: dict[str, Any]) -> SourceFile:
    return SourceFile(
        {name: _definition(fields) for name, fields in document["definitions"].items()},
        {name: [Origin(**origin) for origin in origins] for name, origins in document["imports"].items()},
        document["homes"],
        [(_reference(callee), name) for callee, name in document["registrations"]],
    )


def _definition(fields: dict[str, Any]) -> Definition:
    return Definition(**fields | {"references": [_reference(reference) for reference in fields["references"]]})


def _reference(fields: dict[str, Any]) -> Reference:
    target = fields["target"]
    return Reference(
        target if isinstance(target, str) else Origin(**target), tuple(fields["attributes"]), fields["changes"]
    )
