"""What can be undone, the last change first."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from striate.errors import UsageError

__all__ = ["MOST_CHANGES", "Undo"]

MOST_CHANGES = 100
"""Changes that are kept; what an older one had deleted is removed for good, so that the trash stays small."""


@dataclass
class _Change:
    words: str
    take_back: Callable[[], None]
    trashed: Path | None = None
    added: list[int] = field(default_factory=list)  # for samples that were added together


class Undo:
    """A bounded list of changes, each with the function that takes it back."""

    def __init__(self) -> None:
        self._changes: deque[_Change] = deque()

    def __len__(self) -> int:
        return len(self._changes)

    @property
    def words(self) -> str:
        """What would be undone, as in "deleting a sample of cup"; empty if there is nothing."""
        if not self._changes:
            return ""
        last = self._changes[-1]
        n = len(last.added)
        return f"adding {n} sample{'s' if n > 1 else ''} to {last.words}" if n else last.words

    def note(self, words: str, take_back: Callable[[], None], trashed: Path | None = None) -> None:
        """Remember a change.

        Parameters
        ----------
        words : str
            What was done, with a verb in -ing.
        take_back : callable
            Undoes it; it may raise StriateError.
        trashed : Path, optional
            The file or folder that the change has moved to the trash.
        """
        self._changes.append(_Change(words, take_back, trashed))
        self._forget_oldest()

    def note_added(self, sample: int, name: str, take_back: Callable[[list[int]], None], *, together: bool) -> None:
        """Remember that a sample was added to the class of a name, `together` with the one before it, or alone."""
        if together and self._changes and self._changes[-1].added and self._changes[-1].words == name:
            self._changes[-1].added.append(sample)
            return
        added = [sample]
        self._changes.append(_Change(name, lambda: take_back(added), added=added))
        self._forget_oldest()

    def last(self) -> str:
        """Undo the last change, and return what it was; one that cannot be undone is forgotten.

        Raises
        ------
        UsageError
            If there is nothing to undo.
        StriateError
            If it cannot be undone.
        """
        if not self._changes:
            raise UsageError("there is nothing to undo")
        words = self.words
        self._changes.pop().take_back()
        return words

    def _forget_oldest(self) -> None:
        while len(self._changes) > MOST_CHANGES:
            trashed = self._changes.popleft().trashed
            if trashed is not None:
                shutil.rmtree(trashed.parent, ignore_errors=True)
