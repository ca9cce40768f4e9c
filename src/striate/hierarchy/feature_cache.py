"""Features of images on disk, so that features that take long are computed only once."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.cache_folder import cache_folder
from striate.errors import UsageError
from striate.hierarchy.hierarchy import Hierarchy

__all__ = ["FeatureCache"]

# Raised whenever a layer's features of the same image change.
_VERSION = 1
# Seconds per image from which features are kept in a file: two stages of filters take 3 ms, sparse codes of SIFT 75.
_WORTH_SECONDS = 0.01
_CHECKSUM = np.dtype("<u4")


class FeatureCache:
    """A hierarchy whose features are kept on disk, and read again for the same images.

    An entry is a small file of float32 numbers. Its name is a digest of everything that they depend on: the prepared
    image and the hierarchy with its filters. Damaged entries count as absent. When all entries together exceed the
    limit, the least recently used ones are removed.

    Parameters
    ----------
    hierarchy : Hierarchy
        Where it takes less than 10 ms per image nothing is kept, because reading would take as long.
    folder : Path, optional
        By default in ``STRIATE_CACHE``, or striate's folder in the user's cache folder.
    limit : float, optional
        Bytes. By default ``STRIATE_CACHE_GB``, else 10 GB; 0 keeps nothing.
    """

    def __init__(self, hierarchy: Hierarchy, *, folder: Path | None = None, limit: float | None = None) -> None:
        self.hierarchy = hierarchy
        self.folder = folder if folder is not None else cache_folder() / "features"
        self.limit = _limit_of_environment() if limit is None else limit
        self._worth = self.limit > 0
        self._size: int | None = None
        arrays, header = hierarchy.to_state()
        digest = hashlib.blake2b(json.dumps([_VERSION, header], sort_keys=True).encode(), digest_size=20)
        for name, array in sorted(arrays.items()):
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        self._hierarchy_digest = digest.digest()

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The result of `Hierarchy.transform`: float32 (n_images, n_maps, height, width)."""
        if not self._worth or not len(images):
            return self.hierarchy.transform(images)
        paths = [self._path(image) for image in images]
        features = np.empty((len(images), *self.hierarchy.output_shape(images.shape[1:])), np.float32)
        missing = [k for k, path in enumerate(paths) if not _read(path, features[k])]
        if missing:
            started = time.perf_counter()
            features[missing] = self.hierarchy.transform(images[missing])
            seconds = (time.perf_counter() - started) / len(missing)
            if seconds >= _WORTH_SECONDS:
                self._write([paths[k] for k in missing], features[missing])
            elif len(missing) == len(images):
                self._worth = False
        return features

    def _path(self, image: NDArray[np.float32]) -> Path:
        key = hashlib.blake2b(self._hierarchy_digest, digest_size=20)
        key.update(f"{image.dtype.str} {image.shape}".encode())
        key.update(np.ascontiguousarray(image).data)
        name = key.hexdigest()
        return self.folder / name[:2] / name[2:]

    def _write(self, paths: Sequence[Path], features: NDArray[np.float32]) -> None:
        """Store entries; a full disk or a folder without permission is no error, but nothing more is stored."""
        try:
            for path, row in zip(paths, features, strict=True):
                content = np.ascontiguousarray(row, "<f4").data
                path.parent.mkdir(parents=True, exist_ok=True)
                _store(path, content, np.array(zlib.crc32(content), _CHECKSUM).tobytes())
                if self._size is not None:
                    self._size += content.nbytes + _CHECKSUM.itemsize
        except OSError:
            self._worth = False
            return
        if self._size is None or self._size > self.limit:
            self._size = _make_room(self.folder, self.limit)


def _store(path: Path, *parts: Any) -> None:
    """Write an entry; it need not survive a loss of power, since its checksum would show the damage.

    The partial file has a random name: process numbers repeat in containers. If a killed process leaves one, it is
    removed like an entry that is not used.
    """
    partial = path.with_name(f"{secrets.token_hex(8)}.partial")
    try:
        with open(partial, "xb") as file:
            file.writelines(parts)
        os.replace(partial, path)
    finally:
        with suppress(OSError):  # after the renaming it does not exist
            partial.unlink()


def _read(path: Path, into: NDArray[np.float32]) -> bool:
    """Read an entry's numbers into an array; False if it is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    numbers, checksum = content[: -_CHECKSUM.itemsize], content[-_CHECKSUM.itemsize :]
    if len(numbers) != into.nbytes or np.frombuffer(checksum, _CHECKSUM)[0] != zlib.crc32(numbers):
        return False
    into[...] = np.frombuffer(numbers, "<f4").reshape(into.shape)
    with suppress(OSError):
        os.utime(path)  # now the most recently used
    return True


def _make_room(folder: Path, limit: float) -> int:
    """Remove the least recently used entries until a tenth of the limit is free; return the bytes that remain."""
    entries: list[tuple[float, int, str]] = []
    for shelf in folder.iterdir():
        with suppress(OSError), os.scandir(shelf) as found:
            for entry in found:
                about = entry.stat()
                entries.append((about.st_mtime, about.st_size, entry.path))
    size = sum(entry[1] for entry in entries)
    if size <= limit:
        return size
    for _, n_bytes, path in sorted(entries):
        if size <= 0.9 * limit:
            break
        with suppress(OSError):  # another process has removed it
            os.unlink(path)
        size -= n_bytes
    return size


def _limit_of_environment() -> float:
    wish: Any = os.environ.get("STRIATE_CACHE_GB", "10")
    try:
        gigabytes = float(wish)
    except ValueError:
        gigabytes = float("nan")
    if not gigabytes >= 0:
        raise UsageError(f"STRIATE_CACHE_GB is {wish!r}; it must be a number of gigabytes, or 0 to keep no features")
    return gigabytes * 1e9
