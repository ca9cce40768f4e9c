"""Locks on open files, which the system releases when the process ends, however it ends.

They hold between processes of one machine, containers included, and on network file systems that pass locks on (NFS
since version 4). Where a file system knows no locks, each one counts as free.
"""

from __future__ import annotations

import errno
import os
import sys

__all__ = ["try_lock"]

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
