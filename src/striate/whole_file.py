"""Files that are written completely or not at all: to a temporary file beside them, flushed to the disk, then renamed.

A temporary file of a killed process is removed by the next writer in the same folder. While it is being written it is
locked, so that no other writer removes it, not even from another container, where process numbers repeat.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from striate.errors import StriateError, UsageError
from striate.file_lock import try_lock

__all__ = ["check_output", "kind_of_file", "whole_file"]

_PREFIX, _SUFFIX = ".striate-", ".partial"
# Locks of another machine may not be visible here; a file that was not changed for a day counts as a leftover.
_OLD_SECONDS = 86_400.0


def kind_of_file(path: str | os.PathLike[str], *, follow: bool = True) -> str:
    """The kind of file at a path: "file", "folder", "device", "pipe", "socket", "link", or "" for nothing.

    Parameters
    ----------
    path : str or os.PathLike
    follow : bool
        Whether to follow a symbolic link.

    Raises
    ------
    OSError
        If the system cannot tell, for example because a folder may not be entered.
    """
    try:
        mode = os.stat(path, follow_symlinks=follow).st_mode
    except FileNotFoundError:
        return ""
    for is_it, word in (
        (stat.S_ISREG, "file"),
        (stat.S_ISDIR, "folder"),
        (stat.S_ISLNK, "link"),
        (stat.S_ISFIFO, "pipe"),
        (stat.S_ISSOCK, "socket"),
    ):
        if is_it(mode):
            return word
    return "device"


def check_output(path: str | os.PathLike[str]) -> None:
    """Check before long work that `whole_file` can write to a path: it must be a new file or a regular one.

    Raises
    ------
    UsageError
        If there is no such folder, writing is not permitted, or the path is not a regular file. A symbolic link is
        refused too: the user must give the file itself.
    """
    name = os.fspath(path)
    if not name or "\0" in name:
        raise UsageError(f"cannot write {name!r}: no file can have this name; give the name of a file")
    try:
        kind = kind_of_file(name, follow=False)
        if kind == "folder":
            raise UsageError(f"cannot write {name}: it is a folder; give the name of a file")
        if kind == "link":
            raise UsageError(
                f"cannot write {name}: it is a link to {os.readlink(name)}; give the name of a file itself"
            )
        if kind not in ("", "file"):
            raise UsageError(f"cannot write {name}: it is a {kind}; give the name of a file, or a new name")
        folder = os.path.dirname(name) or "."
        if not os.path.isdir(folder):
            raise FileNotFoundError
        if not os.access(folder, os.W_OK | os.X_OK) or (kind and not os.access(name, os.W_OK)):
            raise PermissionError
    except OSError as error:
        raise _explained(error, name) from error


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when everything has been written.

    Until then, and after any error or kill, an earlier file at `path` is unchanged.

    Parameters
    ----------
    path : str or os.PathLike
        Where the file will be: a new file, or a regular one, see `check_output`.

    Yields
    ------
    file : binary file, open for writing

    Raises
    ------
    UsageError
        If `check_output` refuses the path.
    StriateError
        If the system cannot write, for example because the disk is full.
    """
    check_output(path)
    target = Path(os.path.abspath(path))
    try:
        _remove_leftovers(target.parent)
        partial, opened = _open_partial(target.parent)
    except OSError as error:
        raise _explained(error, path) from error
    try:
        with opened as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            check_output(path)  # it may have changed meanwhile
            if os.name == "nt":  # open files cannot be renamed there
                file.close()
            os.replace(partial, target)
        _flush_folder(target.parent)
    except OSError as error:
        raise _explained(error, path) from error
    finally:
        with suppress(OSError):  # after the renaming it does not exist
            partial.unlink()


def _open_partial(folder: Path) -> tuple[Path, BinaryIO]:
    """A new file with a random name, open and locked."""
    while True:
        partial = folder / f"{_PREFIX}{_machine()}-{secrets.token_hex(8)}{_SUFFIX}"
        opened = open(partial, "xb")  # noqa: SIM115 - the caller closes it
        if try_lock(opened.fileno()) and (os.name == "nt" or os.fstat(opened.fileno()).st_nlink):
            return partial, opened
        opened.close()  # before it was locked, another writer removed it as a leftover


def _remove_leftovers(folder: Path) -> None:
    for name in os.listdir(folder):
        if not (name.startswith(_PREFIX) and name.endswith(_SUFFIX)):
            continue
        path = folder / name
        with suppress(OSError):  # another writer has removed it, or permission is denied
            # Files of this machine are locked; locks of another machine may not be visible here.
            if not name.startswith(f"{_PREFIX}{_machine()}-") and time.time() - path.stat().st_mtime < _OLD_SECONDS:
                continue
            if os.name == "nt":  # open files cannot be removed there
                path.unlink()
                continue
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if try_lock(handle):
                    path.unlink()
            finally:
                os.close(handle)


def _machine() -> str:
    """A digest that all processes since the machine's start share, including those in containers."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        start = socket.gethostname().encode()
    return hashlib.blake2b(start, digest_size=4).hexdigest()


def _flush_folder(folder: Path) -> None:
    """Make sure that the renaming survives a loss of power, if the system supports this."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _explained(error: OSError, path: str | os.PathLike[str]) -> StriateError:
    name = os.fspath(path)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        folder = os.path.dirname(name) or "."
        return UsageError(f"cannot write {name}: there is no folder {folder}; create it, or choose another place")
    if isinstance(error, PermissionError):
        return UsageError(f"cannot write {name}: permission denied; choose a place that you may write to")
    if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
        return UsageError(f"cannot write {name}: {error.strerror}; choose another name")
    return StriateError(f"cannot write {name}: {error.strerror or error}; whatever was there before is unchanged")
