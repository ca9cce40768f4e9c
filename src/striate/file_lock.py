"""Locks on open files, which the system releases when the process ends, however it ends.

They hold between processes of one machine, containers included, and on network file systems that pass locks on (NFS
since version 4). Where a file system knows no locks, each one counts as free.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["hold", "try_lock"]

_HELD = {errno.EACCES, errno.EAGAIN}


def try_lock(handle: int) -> bool:
    """Lock an open file for its handle alone, without waiting; closing the handle releases the lock.

    Parameters
    ----------
    handle : int
        Of a file that is open for writing, as `os.open` gives it.

    Returns
    -------
    bool
        False where another handle holds the lock.
    """
    try:
        _lock(handle)
    except OSError as error:
        return error.errno not in _HELD
    return True


@contextmanager
def hold(path: str | os.PathLike[str]) -> Iterator[bool]:
    """Keep others that call this from working on the same file, which may be replaced or not exist yet.

    Parameters
    ----------
    path : str or path
        Beside it lies a hidden file, which bears the lock and goes when the work is done.

    Yields
    ------
    bool
        False where another process, or another part of this one, holds the file.
    """
    target = Path(os.path.realpath(path))
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    bearer = target.parent / f".striate-{name}.lock"
    while True:
        handle = os.open(bearer, os.O_RDWR | os.O_CREAT, 0o600)
        mine = try_lock(handle)
        # Who held it before may have removed its name since it was opened.
        if not mine or _is_still(handle, bearer):
            break
        os.close(handle)
    try:
        yield mine
    finally:
        if mine:
            with suppress(OSError):
                bearer.unlink()
        os.close(handle)


def _is_still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        # Far behind the content, because what is locked cannot be read by others there.
        os.lseek(handle, 1 << 30, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
