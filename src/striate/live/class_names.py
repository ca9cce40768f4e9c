"""Names of classes that people type: each becomes the name of a folder, and nothing else.

A name that some system cannot store, or would store under another name, is refused with a reason, so that a folder of
classes can be copied to any other computer and `striate train` shows the names that were typed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from striate.errors import UsageError, one_line

__all__ = ["MOST_CHARACTERS", "checked_name", "folded"]

MOST_CHARACTERS = 80
"""A longer name would not fit on a card; in UTF-8 it stays below the 255 bytes of file systems with `_MOST_BYTES`."""

_MOST_BYTES = 240  # of UTF-8: file systems allow 255
_FORBIDDEN = '/\\<>:"|?*'  # on Windows; "/" everywhere
# Windows takes these for devices, with any ending.
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE | re.DOTALL)
# Folders of operating systems, in which striate looks for no images (see `images.folder`).
_SYSTEM = frozenset({"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"})


def folded(name: str) -> str:
    """What two names have in common when some file system takes them for one: case and Unicode's form do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def checked_name(name: object, taken: Iterable[str] = ()) -> str:
    """A name for a class, in Unicode's composed form and without spaces at its ends.

    Parameters
    ----------
    name : object
        What was typed.
    taken : iterable of str
        The names of the other classes.

    Returns
    -------
    str

    Raises
    ------
    UsageError
        If it is not text, or no folder of every system can have the name; if a class has it already.
    """
    if not isinstance(name, str):
        raise UsageError("the name of a class must be text")
    name = unicodedata.normalize("NFC", name).strip()
    shown = one_line(name if len(name) <= MOST_CHARACTERS else name[:MOST_CHARACTERS] + "…")
    if not name:
        raise UsageError("give the class a name")
    if not name.isprintable():
        raise UsageError(f"the name {shown} has characters that cannot be shown: leave them out")
    if len(name) > MOST_CHARACTERS or len(name.encode()) > _MOST_BYTES:
        raise UsageError(f"the name {shown} is too long: give one of at most {MOST_CHARACTERS} characters")
    for char in _FORBIDDEN:
        if char in name:
            raise UsageError(f"a class is a folder, whose name may not hold {char}: give {shown} another name")
    if name.startswith(".") or name.endswith("."):
        raise UsageError(f"a class is a folder, whose name may not begin or end with a dot: give {shown} another name")
    if _DEVICES.fullmatch(name) or name.lower() in _SYSTEM:
        raise UsageError(f"{shown} means something else to some operating systems: give the class another name")
    for other in taken:
        if folded(other) == folded(name):
            raise UsageError(f"there is a class {one_line(other)} already: give this one another name")
    return name
