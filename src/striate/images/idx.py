"""The idx format of MNIST and similar data sets, often compressed by gzip.

A file begins with two zero bytes, the type of the values and the number of dimensions; then follow the dimensions as
big-endian uint32, and the values in C order, big-endian.

References
----------
Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits, section "file formats".
"""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from striate.errors import UnreadableImage, UsageError
from striate.images.memory import BUDGET
from striate.images.names import printable
from striate.images.opening import require_file

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"

MAX_DEFLATE_RATIO = 1032
"""DEFLATE, in gzip and zip files, cannot expand a byte to more than this many (zlib, technical details)."""


def is_idx(path: Path) -> bool:
    """Whether a file begins as an idx file does, compressed or not.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    bool
    """
    try:
        with _opened(path) as file:
            magic = file.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in _DTYPES and 1 <= magic[3] <= 4


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an idx file.

    Parameters
    ----------
    path : str or path
        The file, plain or compressed by gzip.

    Returns
    -------
    array of 1 to 4 dimensions
        uint8, int8, int16, int32, float32 or float64, in the machine's own byte order.

    Raises
    ------
    UsageError
        When there is no such file, it is not an idx file, or it expands far more than arrays of images do.
    UnreadableImage
        When it is cut off or damaged, or its size differs from its header. Where possible, this is checked before
        memory is allocated for the values.
    """
    path = Path(path)
    require_file(path)
    try:
        file_size = path.stat().st_size
        with _opened(path) as file:
            dtype, shape = _read_header(file, path)
            n_bytes = math.prod(shape) * dtype.itemsize
            # Refused before memory is allocated.
            possible = file_size * (MAX_DEFLATE_RATIO if _is_gzip(path) else 1)
            if n_bytes > possible:
                reason = f"claims {n_bytes:,} bytes, more than the file can hold; get the file again"
                raise UnreadableImage(printable(path), reason)
            if not BUDGET.allows(n_bytes, packed=file_size):
                raise UsageError(f"{printable(path)}: {BUDGET.why_not(n_bytes, packed=file_size)}")
            values = np.empty(shape, dtype)
            n_read = _read_into(file, values)
            too_long = bool(file.read(1))
    except FileNotFoundError:
        raise UsageError(f"{printable(path)}: there is no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableImage(printable(path), f"is cut off or damaged ({error})") from None
    except OSError as error:
        raise UsageError(f"{printable(path)}: cannot be read ({error.strerror or error})") from None
    if n_read < n_bytes or too_long:
        problem = "longer" if too_long else "shorter"
        raise UnreadableImage(printable(path), f"is {problem} than its header says; get the file again")
    return values.astype(dtype.newbyteorder("="), copy=False)


def labels_beside(path: str | os.PathLike[str]) -> Path | None:
    """The file of labels, ``train-labels-idx1-ubyte``, that belongs to ``train-images-idx3-ubyte``.

    Parameters
    ----------
    path : str or path
        The file of images, named ``…-idx3-ubyte`` or ``….idx3-ubyte``.

    Returns
    -------
    Path or None
        The file, compressed or not, if there is one.
    """
    path = Path(path)
    name = re.sub(r"images([-.])idx\d", r"labels\1idx1", path.name)
    if name == path.name:
        return None
    plain = name.removesuffix(".gz")
    candidates = (path.with_name(name), path.with_name(plain), path.with_name(plain + ".gz"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if _is_gzip(path) else open(path, "rb")


def _is_gzip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == _GZIP_MAGIC


def _read_header(file: BinaryIO, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or not 1 <= magic[3] <= 4:
        raise UsageError(f"{printable(path)}: is not an idx file, it begins with {magic.hex(' ') or 'nothing'}")
    n_dimensions = magic[3]
    sizes = file.read(4 * n_dimensions)
    if len(sizes) < 4 * n_dimensions:
        raise UnreadableImage(printable(path), "is cut off within its header; get the file again")
    return np.dtype(_DTYPES[magic[2]]), struct.unpack(f">{n_dimensions}I", sizes)


def _read_into(file: BinaryIO, values: np.ndarray) -> int:
    """Fill an array from a file; return the number of bytes read."""
    view = values.reshape(-1).view(np.uint8).data
    n_read = 0
    while n_read < len(view):
        n_more = file.readinto(view[n_read:])  # type: ignore[attr-defined]
        if not n_more:
            break
        n_read += n_more
    return n_read
