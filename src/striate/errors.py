"""The errors that a user is meant to read: one sentence each, with the exit code that a command ends with.

A message names the file or the option, says what is wrong with it, and what to do. Whatever is not one of
these is a defect of striate itself.
"""

from __future__ import annotations

import os


def one_line(text: str) -> str:
    r"""A text with everything unprintable escaped: the name of a file cannot break a line or drive a terminal.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        Letters of every script stay; line breaks, control characters, marks of direction and bytes that are no text
        are written as in Python's source (``\n``, ``\x1b``, ``\u202e``, ``\udcff``).
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


class StriateError(Exception):
    """The work failed: what was asked for was sensible, but could not be done."""

    exit_code = 1


class UsageError(StriateError, ValueError):
    """Wrong use: an option, a path or a layout of data that striate cannot work with."""

    exit_code = 2


class UnreadableImage(StriateError):
    """An image that cannot be decoded.

    Parameters
    ----------
    path : str or os.PathLike
        The image.
    reason : str
        What is wrong with it, without the path.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(path, reason)  # both, so that the error survives pickling
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{os.fspath(self.path)}: {self.reason}"
