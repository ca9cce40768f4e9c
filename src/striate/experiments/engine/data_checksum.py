"""The checksum of a data set: SHA-256 over the names and contents of its files, independent of machine and date.

The listing (names, sizes, modification times) is remembered beside the checksum, so that a set is read again only
after it changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from striate.experiments.engine.json_file import write_json


def data_checksum(path: Path, memory: Path) -> str:
    """Return the SHA-256 of a data set's names and contents.

    Parameters
    ----------
    path : Path
        A folder or a file.
    memory : Path
        A folder that remembers checksums by listing.
    """
    listing = hashlib.sha256(str(path.resolve()).encode())
    files = sorted(_files(path))
    for name, file in files:
        status = file.stat()
        listing.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    note = memory / f"{listing.hexdigest()[:32]}.json"
    try:
        remembered = json.loads(note.read_text("utf-8"))["sha256"]
        if isinstance(remembered, str) and len(remembered) == 64:
            return remembered
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not remembered, or the note is damaged: read the set
    digest = hashlib.sha256()
    for name, file in files:
        digest.update(f"{name}\0{content_digest(file)}\n".encode())
    write_json(note, {"sha256": digest.hexdigest()})
    return digest.hexdigest()


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield path.name, path
        return
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            if file.is_file():
                yield file.relative_to(path).as_posix(), file
