"""Arrays in files, for data that are too large for memory.

The whole file is allocated on the disk before it is used. A sparse file would be allocated only when its pages are
written, and a full disk would then end the process (SIGBUS).
"""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import StriateError

__all__ = ["mapped_array"]

_NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
_ZEROS = bytes(1 << 20)


def mapped_array(path: Path, shape: tuple[int, ...], dtype: Any = np.float32, *, keep: bool = False) -> NDArray[Any]:
    """A writable array in a ``.npy`` file that has its full size on the disk.

    Parameters
    ----------
    path : Path
    shape : tuple of int
    dtype : dtype
    keep : bool
        Whether to keep the numbers of an existing file of the same shape and type; otherwise, all are 0.

    Returns
    -------
    memmap, or ndarray in memory if it has no elements
        The numbers of a file that was kept may be damaged; the caller should verify a checksum.

    Raises
    ------
    StriateError
        If the file cannot be created, for example because the disk is full.
    """
    array = np.dtype(dtype)
    header = io.BytesIO()
    description: dict[str, Any] = {"descr": np.lib.format.dtype_to_descr(array), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, description)
    start = header.getvalue()
    size = len(start) + int(np.prod(shape, dtype=object)) * array.itemsize
    try:
        if not (keep and _is_sound(path, start, size)):
            path.unlink(missing_ok=True)
            with open(path, "xb") as file:
                file.write(start)
        with open(path, "r+b") as file:
            _allocate(file.fileno(), size)
        if size == len(start):
            return np.zeros(shape, array)
        return np.memmap(path, array, mode="r+", offset=len(start), shape=shape)
    except OSError as error:
        if not keep:
            path.unlink(missing_ok=True)
        raise StriateError(
            f"cannot write {path}: {error.strerror or error}; it takes {size / 1e6:,.1f} MB, "
            "so make room, or choose another disk"
        ) from error


def _is_sound(path: Path, start: bytes, size: int) -> bool:
    if not path.is_file() or path.is_symlink() or path.stat().st_size != size:
        return False
    with open(path, "rb") as file:
        return file.read(len(start)) == start


def _allocate(handle: int, size: int) -> None:
    """Allocate the whole size of a file on the disk; its content is kept."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, 0, size)
            return
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
    written = os.lseek(handle, 0, os.SEEK_END)
    while written < size:
        written += os.write(handle, _ZEROS[: size - written])
    os.fsync(handle)  # some systems report only here that the disk is full
