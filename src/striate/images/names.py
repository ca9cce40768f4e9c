"""How the name of a file appears in a message: on one line, whatever is in it."""

from __future__ import annotations

import os

from striate.errors import one_line


def printable(path: str | os.PathLike[str]) -> str:
    r"""A path as a person can read it: names in every script stay, line breaks and control characters do not.

    Parameters
    ----------
    path : str or path
        Any path; on Linux a name may hold line breaks, and bytes that are no text at all.

    Returns
    -------
    str
        The path, its unprintable characters written as in Python's source (``\n``, ``\x1b``, ``\udcff``).
    """
    return one_line(os.fspath(path))
