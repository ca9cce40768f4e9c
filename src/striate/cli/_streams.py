"""Robust standard streams: closed streams, full disks, readers that stop reading, warnings of libraries."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO, cast

import striate
from striate.errors import StriateError, one_line

__all__ = ["abandon_stdout", "prepare", "write_result"]


_OURS = str(Path(striate.__file__).parent)


def prepare() -> None:
    """Set up the streams so that printing a message or a file name cannot end a command."""
    _open_closed_ones()
    # A name that the terminal cannot show is escaped.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.stderr = cast(TextIO, _Forgiving(sys.stderr))
    _tell_own_warnings_only()


def write_result(text: str) -> None:
    """Write the result of a command on standard output.

    Raises
    ------
    BrokenPipeError
        If the reader has closed it.
    StriateError
        If it cannot be written, for example because a disk is full.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        abandon_stdout()
        raise
    except OSError as error:
        abandon_stdout()
        reason = (error.strerror or str(error)).lower()
        raise StriateError(f"standard output cannot be written, {reason}: the work is done, its result lost") from None


def abandon_stdout() -> None:
    """Discard buffered output, so that it does not cause an error again when the process ends."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _open_closed_ones() -> None:
    """Replace closed streams by the null device; otherwise messages could go into the next file that is opened."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:  # as after `>&-`
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - for good


class _Forgiving:
    """A stream for messages, which ignores errors in writing them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _tell_own_warnings_only() -> None:
    """Show warnings of striate as one line, and hide those of libraries, which are for programmers."""
    if os.environ.get("STRIATE_DEBUG", "0") not in ("", "0"):
        return
    warnings.resetwarnings()  # overrides PYTHONWARNINGS, so that no warning ends a command
    warnings.simplefilter("ignore")
    warnings.simplefilter("default", UserWarning)
    told: set[str] = set()

    def show(message: Warning | str, category: type[Warning], filename: str, *_: object, **__: object) -> None:
        text = str(message)
        if filename.startswith(_OURS) and text not in told:
            told.add(text)
            sys.stderr.write(f"striate: warning: {one_line(text)}\n")

    warnings.showwarning = show
