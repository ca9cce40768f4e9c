"""Unpacking of archives, only to places that a layout states."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO

from striate.errors import StriateError

_Open = Callable[[], IO[bytes]]


def unpack(archive: Path, layout: Mapping[str, str], folder: Path, *, inner: str = "") -> int:
    r"""Unpack those files of an archive that a layout names.

    Only regular files are unpacked, never links or devices, and only to places within `folder`.

    Parameters
    ----------
    archive : Path
        A zip file, or a tar file, compressed or not.
    layout : mapping of str to str
        Regular expressions that match the whole name of a member, each with the path that the file gets (``\1``
        stands for the first group). A file without a match is left out. One that gets an additional ``.gz`` at the
        end is compressed.
    folder : Path
        The target folder.
    inner : str, optional
        The name of a tar file within the archive, which is unpacked instead of the archive.

    Returns
    -------
    int
        Number of unpacked files.

    Raises
    ------
    StriateError
        When the archive is damaged, holds nothing that the layout names, or has a name that leads out of `folder`.
    """
    rules = [(re.compile(pattern), place) for pattern, place in layout.items()]
    n_files = 0
    try:
        for name, open_member in _members(archive, inner):
            match, place = next(((m, p) for rule, p in rules if (m := rule.fullmatch(name))), (None, ""))
            if match is None:
                continue
            path = PurePosixPath(match.expand(place))
            if path.is_absolute() or ".." in path.parts or "\\" in str(path) or ":" in str(path):
                raise StriateError(f"{archive.name}: the archive would write outside of its folder, to {str(path)!r}")
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            compress = path.suffix == ".gz" and not name.endswith(".gz")
            with open_member() as source, _writer(target, compress) as sink:
                shutil.copyfileobj(source, sink)
            n_files += 1
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, KeyError) as error:
        raise StriateError(f"{archive.name}: the archive is damaged ({error}); get it again") from error
    if n_files == 0:
        raise StriateError(
            f"{archive.name}: the archive holds none of the expected files; its layout must have changed"
        )
    return n_files


def _writer(target: Path, compress: bool) -> AbstractContextManager[IO[bytes]]:
    if compress:  # without a time in it, the same content gives the same file
        return gzip.GzipFile(target, "wb", mtime=0)  # type: ignore[return-value]
    return open(target, "wb")


def _members(archive: Path, inner: str) -> Iterator[tuple[str, _Open]]:
    """Name and opener of each regular file, to be opened before the next is asked for."""
    if not zipfile.is_zipfile(archive):
        with tarfile.open(archive) as outer:
            if not inner:
                yield from _tar_members(outer)
                return
            stream = outer.extractfile(inner)
            if stream is None:
                raise KeyError(f"{inner} is no file")
            with stream, tarfile.open(fileobj=stream) as tar:
                yield from _tar_members(tar)
        return
    with zipfile.ZipFile(archive) as zipped:
        if inner:
            with zipped.open(inner) as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
                yield from _tar_members(tar)
            return
        for info in zipped.infolist():
            # The upper half of the attributes is the file's mode on Unix, if the archive was made there.
            is_link = (info.external_attr >> 16) & 0o170000 == 0o120000
            if not info.is_dir() and not is_link:
                yield info.filename, lambda info=info: zipped.open(info)  # type: ignore[misc]


def _tar_members(tar: tarfile.TarFile) -> Iterator[tuple[str, _Open]]:
    for info in tar:
        if info.isreg():
            yield os.path.normpath(info.name).replace(os.sep, "/"), lambda info=info: tar.extractfile(info)  # type: ignore
