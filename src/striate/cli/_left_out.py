"""Files, folders and classes that a command was given but did not use, and the reasons."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from striate.errors import StriateError, one_line

if TYPE_CHECKING:
    from striate.images import ImageCollection, Skipped

__all__ = ["LeftOut"]

_MOST_LISTED = 10
_JSON = "--json lists all"


class LeftOut:
    """Collects what a command leaves out of its input, for its text, JSON and report.

    Attributes
    ----------
    notes : list of str
        Notes for the user about the input, one sentence each.
    ignored : Counter of str
        Numbers of files that are not read, by file extension.
    unreadable_folders : list of str
    skipped : list of Skipped
        Images that could not be read.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.ignored: Counter[str] = Counter()
        self.unreadable_folders: list[str] = []
        self.skipped: list[Skipped] = []

    def of(self, images: ImageCollection) -> ImageCollection:
        """Record what a collection leaves out, and return the collection."""
        self.notes += [note for note in images.notes if note not in self.notes]
        self.ignored.update(images.ignored)
        self.unreadable_folders += images.unreadable_folders
        return images

    def for_json(self) -> dict[str, Any]:
        """The fields of a JSON result."""
        return {
            "notes": self.notes,
            "ignored": dict(self.ignored),
            "unreadable_folders": self.unreadable_folders,
            "skipped": [{"name": one.name, "reason": one.reason} for one in self.skipped],
        }

    def text(self, where: str = _JSON) -> str:
        """One line per note, then the skipped images; empty if nothing was left out.

        Parameters
        ----------
        where : str
            Where the complete list of skipped images is found, if there are many.
        """
        lines = [f"note: {one_line(note)}" for note in self.notes]
        if self.skipped:
            n = len(self.skipped)
            lines.append(f"skipped {n} image{'s' if n > 1 else ''} that could not be read:")
            lines += [f"  {one_line(one.name)}: {one_line(one.reason)}" for one in self.skipped[:_MOST_LISTED]]
        if len(self.skipped) > _MOST_LISTED:
            lines.append(f"  … and {len(self.skipped) - _MOST_LISTED} more: {where}")
        return "\n".join(lines)

    @contextmanager
    def told_with_errors(self) -> Iterator[None]:
        """Print it on standard error before an error that ends the command, since it is often the cause."""
        try:
            yield
        except StriateError:
            if self.notes:
                sys.stderr.write("".join(f"note: {one_line(note)}\n" for note in self.notes))
            raise

    def tell(self, n_read: int) -> None:
        """Print it on standard error, for a command whose standard output is data.

        Raises
        ------
        StriateError
            If more images were skipped than were used (`n_read`): exit code 1.
        """
        text = self.text()
        if text:
            sys.stderr.write(text + "\n")
        if len(self.skipped) > n_read:
            n_all = len(self.skipped) + n_read
            raise StriateError(f"{len(self.skipped)} of {n_all} images could not be read: see the list above.")
