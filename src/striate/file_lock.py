"""Locks on open files, which the system releases when the process ends for any reason.

They work between processes of one machine, including containers, and on network file systems that support locks (NFS
since version 4). On file systems without locks, each lock counts as free.
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
        The file, open for writing, as `os.open` returns it.

    Returns
    -------
    bool
        False if another handle holds the lock.
    """
    try:
        _lock(handle)
    except OSError as error:
        return error.errno not in _HELD
    return True


@contextmanager
def hold(path: str | os.PathLike[str]) -> Iterator[bool]:
    """Prevent other callers from working on the same file, which may be replaced or not exist yet.

    Parameters
    ----------
    path : str or path
        The lock is a hidden file beside it, which is removed when the work is done.

    Yields
    ------
    bool
        False if another process, or another part of this one, has locked the file.
    """
    target = Path(os.path.realpath(path))
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    bearer = target.parent / f".striate-{name}.lock"
    while True:
        handle = os.open(bearer, os.O_RDWR | os.O_CREAT, 0o600)
        mine = try_lock(handle)
        # The previous owner may have removed its name since it was opened.
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
        # Far beyond the content, because on Windows other processes cannot read a locked range.
        os.lseek(handle, 1 << 30, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
