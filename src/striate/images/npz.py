"""Images, and perhaps labels, in one of NumPy's `.npz` archives; nothing in it is ever unpickled."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from striate.errors import UnreadableImage, UsageError
from striate.images.idx import MAX_DEFLATE_RATIO
from striate.images.memory import BUDGET
from striate.images.names import printable
from striate.images.opening import require_file, silence_warnings

IMAGE_KEYS = ("images", "x", "X", "data")
"""Names under which images are looked for, in this order."""

LABEL_KEYS = ("labels", "y", "label")
"""Names under which labels are looked for, in this order."""


def read_npz(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Images and labels from an ``.npz`` file.

    Parameters
    ----------
    path : str or path
        The file; images under `images`, `x`, `X` or `data`, labels under `labels`, `y` or `label`.

    Returns
    -------
    images : array
        As it is stored.
    labels : array or None
        As they are stored; None when there are none.
    source : str
        The file and the key of the images, for messages.

    Raises
    ------
    UsageError
        When there is no such file or key, an array holds Python objects, or it expands far more than arrays of images
        do.
    UnreadableImage
        When the file is cut off, damaged or not a zip archive, or states more values than it can hold; checked before
        memory is allocated.
    """
    path = Path(path)
    shown = printable(path)
    require_file(path)
    silence_warnings()
    try:
        with zipfile.ZipFile(path) as archive:
            keys = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
            image_key = next((key for key in IMAGE_KEYS if key in keys), None)
            if image_key is None:
                found = ", ".join(printable(key) for key in keys) or "nothing"
                raise UsageError(f"{shown}: holds {found}; call the array of images {' or '.join(IMAGE_KEYS)}")
            label_key = next((key for key in LABEL_KEYS if key in keys), None)
            images = _read_member(archive, image_key, shown)
            labels = None if label_key is None else _read_member(archive, label_key, shown)
    except UsageError:
        raise
    except FileNotFoundError:
        raise UsageError(f"{shown}: there is no such file") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        # BadZipFile for cut off or changed files; ValueError from the header; RuntimeError for a password.
        raise UnreadableImage(shown, f"is cut off, damaged or no .npz file ({_one_line(error)})") from None
    except OSError as error:
        raise UsageError(f"{shown}: cannot be read ({error.strerror or error})") from None
    return images, labels, f"{shown}, {image_key}"


def _read_member(archive: zipfile.ZipFile, key: str, shown: str) -> np.ndarray:
    info = archive.getinfo(f"{key}.npy")
    with archive.open(info) as member:
        shape, dtype = _read_header(member)
        if dtype.hasobject:
            raise UsageError(
                f"{shown}: {key} holds Python objects, which could run code when loaded; "
                "save an array of numbers (labels: of numbers or text)"
            )
        # The stated size is accepted only as far as the compressed bytes can produce it.
        n_bytes = math.prod(shape) * dtype.itemsize
        if n_bytes > min(info.file_size, info.compress_size * MAX_DEFLATE_RATIO):
            raise ValueError(f"{key} claims {n_bytes:,} bytes, more than the file can hold")
        if not BUDGET.allows(n_bytes, packed=info.compress_size):
            raise UsageError(f"{shown}: {key} {BUDGET.why_not(n_bytes, packed=info.compress_size)}")
    with archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _read_header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(member)
    if any(size < 0 for size in shape):
        raise ValueError("negative size")
    return shape, dtype


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
