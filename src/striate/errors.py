"""Errors whose messages are for users, with the exit code of the command.

A message is one sentence that names the file or the option, what is wrong with it, and what to do. Any other exception
is a defect of striate itself.
"""

from __future__ import annotations

import os


def one_line(text: str) -> str:
    r"""A text with all unprintable characters escaped, so that a file name cannot break a line or control a terminal.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        Letters of every script are kept; line breaks, control characters, marks of direction and bytes that are not
        text are written as in Python's source (``\n``, ``\x1b``, ``\u202e``, ``\udcff``).
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


class StriateError(Exception):
    """The request was valid, but the work failed."""

    exit_code = 1


class UsageError(StriateError, ValueError):
    """Invalid input: an option, a path or a layout of data that striate cannot use."""

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
