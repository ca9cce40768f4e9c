"""What a folder of classes holds when a session begins."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from striate.errors import UsageError, one_line
from striate.images import ImageFolder
from striate.live.class_names import checked_name

__all__ = ["MOST_CLASSES", "FoundClass", "find_classes"]

MOST_CLASSES = 200
"""Classes that a person may have on a page; a folder with more is for `striate train`."""


class FoundClass(NamedTuple):
    """A sub-folder, or several whose names differ only in the form of their Unicode."""

    name: str
    folders: list[str]
    files: list[str]  # those that are used, relative to the whole folder


def find_classes(path: Path, most: int) -> tuple[list[FoundClass], list[str]]:
    """The classes of a folder, and sentences about what is left out.

    Parameters
    ----------
    path : Path
    most : int
        Of more images, so many are used, as evenly from all classes as possible.

    Raises
    ------
    UsageError
        If the folder cannot be opened, or has more than `MOST_CLASSES` classes.
    """
    names, labels, notes = _listed(path)
    by_class: dict[str, list[str]] = {label: [] for label in sorted(set(labels) - {""})}
    for name, label in zip(names, labels, strict=True):
        if label:
            by_class[label].append(name)
    if len(by_class) > MOST_CLASSES:
        raise UsageError(f"{one_line(str(path))} has {len(by_class)} classes: give one of at most {MOST_CLASSES}")
    shares = _even_shares([len(own) for own in by_class.values()], most)
    found = []
    for (label, own), share in zip(by_class.items(), shares, strict=True):
        folders = sorted({name.partition("/")[0] for name in own}, key=lambda folder: (folder != label, folder))
        chosen = np.linspace(0, len(own) - 1, share).round().astype(int).tolist()
        found.append(FoundClass(label, folders, [own[index] for index in chosen]))
    n_labeled = sum(map(len, by_class.values()))
    if n_labeled > most:
        notes.append(f"the folder has {n_labeled:,} images; {sum(shares):,} of them are used, evenly over classes")
    return found + _empty_classes(path, found), notes


def _listed(path: Path) -> tuple[list[str], list[str], list[str]]:
    try:
        images = ImageFolder(path)
    except UsageError:
        os.listdir(path)  # if the folder cannot be opened, this says so; otherwise it has no images yet
        return [], [], []
    return list(images.names), list(images.labels or [""] * len(images.names)), list(images.notes)


def _empty_classes(path: Path, found: list[FoundClass]) -> list[FoundClass]:
    """Classes that were added, and have no sample yet."""
    known = {folder for one in found for folder in one.folders}
    names = [one.name for one in found]
    with os.scandir(path) as entries:
        others = sorted(entry.name for entry in entries if entry.is_dir() and entry.name not in known)
    empty = []
    for folder in others:
        # Folders of other names were not made here: they are hidden, or of operating systems.
        with suppress(UsageError):
            if checked_name(folder, names) == folder:
                empty.append(FoundClass(folder, [folder], []))
                names.append(folder)
    return empty[: max(0, MOST_CLASSES - len(found))]


def _even_shares(counts: list[int], most: int) -> list[int]:
    """How many of each class are taken, `most` in all: the same number of each, or all of it if a class has fewer."""
    shares = [0] * len(counts)
    left, waiting = most, sorted(range(len(counts)), key=lambda index: counts[index])
    while waiting:
        index = waiting.pop(0)
        shares[index] = min(counts[index], left // (len(waiting) + 1))
        left -= shares[index]
    return shares
