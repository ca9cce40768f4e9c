"""Names of files in messages, always on one line."""

from __future__ import annotations

import os

from striate.errors import one_line


def printable(path: str | os.PathLike[str]) -> str:
    r"""A path as text for people: letters of all scripts stay, line breaks and control characters are escaped.

    Parameters
    ----------
    path : str or path
        Any path; on Linux a name may hold line breaks and bytes that are not text.

    Returns
    -------
    str
        The path, its unprintable characters written as in Python's source (``\n``, ``\x1b``, ``\udcff``).
    """
    return one_line(os.fspath(path))
