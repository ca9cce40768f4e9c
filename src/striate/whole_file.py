"""Files that appear whole or not at all: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from striate.errors import StriateError, UsageError

_PREFIX, _SUFFIX = ".striate-", ".partial"


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when everything has been written.

    Until then, and after any error or kill, whatever stood at `path` before is untouched.

    Parameters
    ----------
    path : str or os.PathLike
        Where the file will be. Its folder must exist. Symbolic links are followed.

    Yields
    ------
    file : binary file, open for writing

    Raises
    ------
    UsageError
        If the folder does not exist, `path` is a folder, or writing is not permitted.
    StriateError
        If the system cannot write, for example because the disk is full.
    """
    target = Path(os.path.realpath(path))
    # The process number lets a later writer recognize what a killed one left behind.
    partial = target.parent / f"{_PREFIX}{os.getpid()}-{threading.get_native_id()}{_SUFFIX}"
    try:
        if target.is_dir():
            raise IsADirectoryError
        _remove_leftovers(target.parent)
        with open(partial, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
        _flush_folder(target.parent)
    except OSError as error:
        raise _explained(error, path) from error
    finally:
        with suppress(OSError):  # after the renaming there is none
            partial.unlink()


def _remove_leftovers(folder: Path) -> None:
    for name in os.listdir(folder):
        if not (name.startswith(_PREFIX) and name.endswith(_SUFFIX)):
            continue
        process = name.removeprefix(_PREFIX).split("-")[0]
        if process.isdecimal() and not _is_alive(int(process)):
            with suppress(OSError):  # another writer was quicker, or it is not ours to remove
                (folder / name).unlink()


def _is_alive(process: int) -> bool:
    if os.name != "posix":  # there, os.kill(process, 0) would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's process, or no process number at all
        return True
    return True


def _flush_folder(folder: Path) -> None:
    """Make the renaming itself survive a loss of power, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _explained(error: OSError, path: str | os.PathLike[str]) -> StriateError:
    name = os.fspath(path)
    if isinstance(error, IsADirectoryError):
        return UsageError(f"cannot write {name}: it is a folder; give the name of a file")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        folder = os.path.dirname(name) or "."
        return UsageError(f"cannot write {name}: there is no folder {folder}; create it, or choose another place")
    if isinstance(error, PermissionError):
        return UsageError(f"cannot write {name}: permission denied; choose a place that you may write to")
    return StriateError(f"cannot write {name}: {error.strerror or error}; whatever was there before is unchanged")
