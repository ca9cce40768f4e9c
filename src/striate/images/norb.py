"""The files of small NORB, little-endian.

A file holds a magic number, the number of dimensions, at least three sizes (even for fewer dimensions), and the values
in C order. The data set consists of three such files: ``-dat`` (pairs of stereo images), ``-cat`` (categories) and
``-info`` (instance, elevation, azimuth, lighting).

References
----------
LeCun, Huang, Bottou, "Learning methods for generic object recognition with invariance to pose and lighting", CVPR 2004.
"""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UnreadableImage, UsageError
from striate.images.names import printable
from striate.images.opening import require_file

__all__ = ["SmallNORB", "read_norb_matrix", "read_small_norb"]

_DTYPES = {0x1E3D4C55: "<u1", 0x1E3D4C54: "<i4"}


class SmallNORB(NamedTuple):
    """Stereo pairs with their categories and poses."""

    images: NDArray[np.uint8]
    """(n, 2, height, width): 96×96 in the original."""
    category: NDArray[np.int32]
    """(n,): animal, human, airplane, truck, car."""
    info: NDArray[np.int32]
    """(n, 4): instance, elevation (0–8, from 30° in steps of 5°), azimuth (0–34, in 10°), lighting (0–5)."""


def read_norb_matrix(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in one file.

    Parameters
    ----------
    path : str or path
        A ``.mat`` file of NORB; not one of Matlab's.

    Returns
    -------
    array
        uint8 or int32, of 1 to 4 dimensions.

    Raises
    ------
    UsageError
        When there is no such file, or it is not a file of NORB.
    UnreadableImage
        When its size differs from its header; checked before memory is allocated.
    """
    path = Path(path)
    require_file(path)
    try:
        with open(path, "rb") as file:
            head = file.read(8)
            if len(head) < 8 or struct.unpack("<I", head[:4])[0] not in _DTYPES:
                raise UsageError(
                    f"{printable(path)}: is no file of NORB, it begins with {head[:4].hex(' ') or 'nothing'}"
                )
            magic, n_dimensions = struct.unpack("<II", head)
            if not 1 <= n_dimensions <= 4:
                raise UnreadableImage(printable(path), f"claims {n_dimensions} dimensions; get the file again")
            n_sizes = max(3, n_dimensions)
            sizes = file.read(4 * n_sizes)
            if len(sizes) < 4 * n_sizes:
                raise UnreadableImage(printable(path), "is cut off within its header; get the file again")
            shape = struct.unpack(f"<{n_sizes}I", sizes)[:n_dimensions]
            dtype = np.dtype(_DTYPES[magic])
            rest = path.stat().st_size - file.tell()
            wanted = math.prod(shape) * dtype.itemsize
            if rest != wanted:
                problem = "longer" if rest > wanted else "shorter"
                raise UnreadableImage(printable(path), f"is {problem} than its header says; get the file again")
            values = np.fromfile(file, dtype).reshape(shape)
    except FileNotFoundError:
        raise UsageError(f"{printable(path)}: there is no such file") from None
    except OSError as error:
        raise UsageError(f"{printable(path)}: cannot be read ({error.strerror or error})") from None
    return values.astype(dtype.newbyteorder("="), copy=False)


def read_small_norb(path: str | os.PathLike[str]) -> SmallNORB:
    """Images with their categories and poses.

    Parameters
    ----------
    path : str or path
        The file of images, ``…-dat.mat``; those ending in ``-cat.mat`` and ``-info.mat`` lie beside it.

    Raises
    ------
    UsageError
        When a file is missing, is not a file of NORB, or the three do not belong together.
    UnreadableImage
        When one is cut off or damaged.
    """
    path = Path(path)
    if not path.name.endswith("-dat.mat"):
        raise UsageError(f"{printable(path)}: give the file of images, whose name ends in -dat.mat")
    stem = path.name.removesuffix("-dat.mat")
    images, category, info = (read_norb_matrix(path.with_name(f"{stem}-{part}.mat")) for part in ("dat", "cat", "info"))
    fits = images.ndim == 4 and images.shape[1] == 2 and images.dtype == np.uint8
    if not fits or category.shape != images.shape[:1] or info.shape != (*images.shape[:1], 4):
        raise UsageError(
            f"{printable(path)}: images {images.shape}, categories {category.shape} and poses {info.shape} "
            "do not belong together; get the three files again"
        )
    return SmallNORB(images, category, info)
