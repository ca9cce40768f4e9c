"""Size and modification time of image files, which show a change without reading the file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from striate.images.collection import ImageCollection

__all__ = ["ABSENT", "UNAVAILABLE", "fingerprint_of", "stamp_of", "stamps_of"]

Stamp = tuple[int, int]

ABSENT: Stamp = (-1, -1)
"""The stamp of an image that is not a file of its own, or whose file does not exist."""

UNAVAILABLE: Stamp = (-2, -2)
"""The stamp of a file that may exist, but cannot be accessed at the moment."""


def stamp_of(path: Path | None) -> Stamp:
    """Size in bytes and time of modification in ns of a file, or `ABSENT`, or `UNAVAILABLE`."""
    if path is None:
        return ABSENT
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except OSError:
        return UNAVAILABLE
    return status.st_size, status.st_mtime_ns


def stamps_of(images: ImageCollection) -> list[Stamp]:
    """The stamps of all images of a collection."""
    return [stamp_of(images.path_of(index)) for index in range(len(images))]


def fingerprint_of(images: ImageCollection) -> str:
    """A digest of the names, labels and stamps of a collection: it differs if the collection has changed."""
    digest = hashlib.sha256()
    labels = images.labels or [""] * len(images)
    for index, (name, label) in enumerate(zip(images.names, labels, strict=True)):
        path = images.path_of(index)
        stamp = stamp_of(path)
        if path is None:
            said = ""
        elif stamp in (ABSENT, UNAVAILABLE):
            said = "missing"
        else:
            said = f"{stamp[0]} {stamp[1]}"
        digest.update(repr((name, label, said)).encode())
    return digest.hexdigest()[:16]
