"""The model file: named arrays and a JSON header in one ``.safetensors`` file that detects damage.

The container is the safetensors format: eight bytes that hold the length of a JSON text (little-endian), the
JSON text, then the arrays' bytes. The JSON of striate is in its ``__metadata__`` under the single key ``striate``::

    {"format": 1, "header": {...}, "kind": "...", "sha256": "..."}

The checksum covers every byte of the file, with its own 64 digits taken as zeros. It detects damage but no attack:
someone who alters a file can also write a new checksum. Nothing is ever executed or unpickled. The same content gives
the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, BinaryIO, NamedTuple, NoReturn

import numpy as np

from striate.errors import StriateError, UsageError
from striate.whole_file import kind_of_file, whole_file

__all__ = ["FORMAT_VERSION", "ModelFileError", "arrays_of", "prefixed", "read", "read_header", "write"]

FORMAT_VERSION = 1

_KEY = "striate"
_NO_CHECKSUM = "0" * 64
_LONGEST_TEXT = 100_000_000  # bytes; the limit of the safetensors format
_ITEM_SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip


class ModelFileError(StriateError):
    """A file that cannot be read as a model: damaged, written by another program, of another kind, or too new."""


class _Text(NamedTuple):
    """The part of the file before the arrays."""

    raw: bytes  # the eight bytes of the length, and the JSON text
    checksum: str
    kind: str
    header: dict[str, Any]


def prefixed(part: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a part, named ``part.name``, so that several parts can share one file."""
    return {f"{part}.{name}": array for name, array in arrays.items()}


def arrays_of(part: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `prefixed`: the arrays of one part among those of a file."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def write(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], header: Mapping[str, Any], *, kind: str
) -> None:
    """Write arrays and a header; the file appears whole or not at all.

    Parameters
    ----------
    path : str or os.PathLike
        Where to write. An existing file is replaced in the last step, or left as it is if anything fails.
    arrays : mapping of str to ndarray
        Any shape; bool, integers, float16, float32, float64 or complex64.
    header : mapping
        Values that are valid in JSON, under string keys.
    kind : str
        What the file holds, for example ``"model"`` or ``"checkpoint"``; `read` can ask for it.

    Raises
    ------
    TypeError
        If the header is not JSON, or the type of an array is not supported by the container.
    UsageError, StriateError
        If the file cannot be written; see `striate.whole_file.whole_file`.
    """
    from safetensors.numpy import save

    about = {"format": FORMAT_VERSION, "header": dict(header), "kind": kind, "sha256": _NO_CHECKSUM}
    # Sorted keys, because the same content must give the same bytes. ASCII, because the name of an image
    # need not be valid Unicode, and everything in a safetensors header must be.
    text = json.dumps(about, sort_keys=True, separators=(",", ":"))
    content = bytearray(save({name: _storable(name, array) for name, array in arrays.items()}, {_KEY: text}))
    checksum = hashlib.sha256(content).hexdigest().encode()
    position = _position_of_checksum(content, _NO_CHECKSUM)
    content[position : position + len(checksum)] = checksum
    with whole_file(path) as file:
        file.write(content)


def read(
    path: str | os.PathLike[str], *, kind: str | None = None, mapped: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write` wrote.

    Parameters
    ----------
    path : str or os.PathLike
    kind : str, optional
        What the file must hold; by default, anything.
    mapped : bool
        Verify the file, but do not load its arrays: they are read-only views of a memory map, for arrays that may be
        large.

    Returns
    -------
    arrays : dict of str to ndarray
        In the shapes and types in which they were written; writable unless `mapped`.
    header : dict

    Raises
    ------
    UsageError
        If there is no such file, or opening it is not permitted.
    ModelFileError
        If the file was not written by striate, is damaged, is of another kind, or was written by a newer striate.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    with _opened(path) as file:
        text = _read_text(file, path)
        if mapped:
            _verify(text, iter(lambda: file.read(1 << 20), b""), path, kind)
            return _map(file, text), text.header
        file.seek(0)
        content = file.read()  # no more than the size that the offsets were checked against
    _verify(text, [memoryview(content)[len(text.raw) :]], path, kind)
    try:
        arrays = load(content)
    except (SafetensorError, ValueError, KeyError):
        _refuse_damaged(path)
    return {name: np.require(array, requirements="W") for name, array in arrays.items()}, text.header


def read_header(path: str | os.PathLike[str], *, kind: str | None = None) -> dict[str, Any]:
    """Read only the header, in little memory; the whole file is still verified.

    Parameters, result and errors are those of `read`.
    """
    with _opened(path) as file:
        text = _read_text(file, path)
        _verify(text, iter(lambda: file.read(1 << 20), b""), path, kind)
    return text.header


def _map(file: BinaryIO, text: _Text) -> dict[str, np.ndarray]:
    """The arrays of a verified file, as views of a memory map."""
    entries = json.loads(text.raw[8:])
    entries.pop("__metadata__", None)
    arrays = np.memmap(file, np.uint8, mode="r")[len(text.raw) :]
    return {
        name: arrays[slice(*entry["data_offsets"])].view(_dtype(entry["dtype"])).reshape(entry["shape"])
        for name, entry in entries.items()
    }


def _dtype(code: str) -> np.dtype:
    """The container's name of a type, such as F32, as NumPy's."""
    if code == "BOOL":
        return np.dtype(np.bool_)
    return np.dtype(f"<{code[0].lower()}{_ITEM_SIZES[code]}")


def _storable(name: str, array: np.ndarray) -> np.ndarray:
    array = np.asarray(array, order="C")
    if array.dtype.kind not in "biufc" or array.dtype.newbyteorder("<").str[1:] in (
        "f12",
        "f16",
        "c16",
        "c32",
    ):
        raise TypeError(f"array {name!r} has type {array.dtype}, which a model file cannot hold")
    return array


def _position_of_checksum(raw: bytes | bytearray, checksum: str) -> int:
    # The keys are sorted, so that the checksum ends the text: only there, a quote without a backslash follows the
    # closing brace.
    return raw.find(rf'\"sha256\":\"{checksum}\"}}"'.encode()) + len(r"\"sha256\":\"")


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    name = os.fspath(path)
    if not name or "\0" in name:
        raise UsageError(f"{name!r} is the name of no file; give the path of a model file")
    try:
        kind = kind_of_file(name)
        if kind == "folder":
            raise UsageError(f"{name} is a folder; give the path of a model file")
        if kind not in ("", "file"):  # reading one could block forever
            raise UsageError(f"{name} is a {kind} and no file; give the path of a model file")
        with open(path, "rb") as file:
            yield file
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{name} does not exist; give the path of a model file") from error
    except PermissionError as error:
        raise UsageError(f"{name} may not be read: permission denied") from error
    except OSError as error:
        raise ModelFileError(f"{name} could not be read: {error.strerror or error}") from error


def _read_text(file: BinaryIO, path: str | os.PathLike[str]) -> _Text:
    """Read the part before the arrays; check it against the file's size before allocating memory."""
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise ModelFileError(f"{path} is empty (zero bytes); get a fresh copy of it")
    start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if len(start) == 9 and start[8:] != b"{":
        raise ModelFileError(f"{path} is not a model file (it is not in the safetensors format)")
    if length > _LONGEST_TEXT:
        raise ModelFileError(
            f"{path} claims a header of {length:,} bytes, more than is possible; get a fresh copy of it"
        )
    if len(start) < 9 or length > size - 8:
        raise ModelFileError(f"{path} is cut off: its {size:,} bytes end inside the header; get a fresh copy of it")
    raw = start + file.read(length - 1)
    try:
        entries = json.loads(raw[8:])
    except (ValueError, RecursionError):
        _refuse_damaged(path)
    if not isinstance(entries, dict):
        _refuse_damaged(path)
    metadata = entries.pop("__metadata__", None)
    text = _parse_ours(metadata, raw, path)
    _check_layout(entries, size - len(raw), path)
    return text


def _parse_ours(metadata: Any, raw: bytes, path: str | os.PathLike[str]) -> _Text:
    if not isinstance(metadata, dict) or _KEY not in metadata:
        raise ModelFileError(
            f"{path} is a safetensors file of another program; striate reads only what it wrote itself"
        )
    try:
        about = json.loads(metadata[_KEY])
        version, checksum, kind, header = (about[key] for key in ("format", "sha256", "kind", "header"))
    except (ValueError, TypeError, KeyError, RecursionError):
        _refuse_damaged(path)
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path} has format {version}, of a newer striate; "
            f"this one reads formats up to {FORMAT_VERSION}: upgrade striate"
        )
    if not (version == FORMAT_VERSION and isinstance(checksum, str) and isinstance(kind, str)):
        _refuse_damaged(path)
    if not isinstance(header, dict):
        _refuse_damaged(path)
    return _Text(raw, checksum, kind, header)


def _check_layout(entries: dict[str, Any], n_bytes: int, path: str | os.PathLike[str]) -> None:
    """Check that the arrays lie one after the other and fill the rest of the file exactly."""
    spans = []
    for entry in entries.values():
        try:
            begin, end = entry["data_offsets"]
            shape, item_size = entry["shape"], _ITEM_SIZES[entry["dtype"]]
            sound = all(isinstance(n, int) and n >= 0 for n in (begin, end, *shape))
        except (TypeError, ValueError, KeyError):
            _refuse_damaged(path)
        if not sound or end - begin != math.prod(shape) * item_size:
            _refuse_damaged(path)
        spans.append((begin, end))
    spans.sort()
    if any(end != begin for (_, end), (begin, _) in pairwise([(0, 0), *spans])):
        _refuse_damaged(path)
    wanted = spans[-1][1] if spans else 0
    if wanted > n_bytes:
        raise ModelFileError(
            f"{path} is cut off: {wanted - n_bytes:,} bytes of its arrays are missing; get a fresh copy of it"
        )
    if wanted < n_bytes:
        raise ModelFileError(f"{path} has {n_bytes - wanted:,} bytes too many at its end; get a fresh copy of it")


def _verify(text: _Text, rest: Iterable[bytes | memoryview], path: str | os.PathLike[str], kind: str | None) -> None:
    position = _position_of_checksum(text.raw, text.checksum)
    zeroed = bytearray(text.raw)
    zeroed[position : position + len(_NO_CHECKSUM)] = _NO_CHECKSUM.encode()
    digest = hashlib.sha256(zeroed)
    for block in rest:
        digest.update(block)
    if digest.hexdigest() != text.checksum:
        _refuse_damaged(path)
    if kind is not None and kind != text.kind:
        raise ModelFileError(f"{path} holds {_in_words(text.kind)}, where {_in_words(kind)} is needed")


def _in_words(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind.replace('_', ' ')}"


def _refuse_damaged(path: str | os.PathLike[str]) -> NoReturn:
    raise ModelFileError(f"{path} is damaged: its content does not match its checksum; get a fresh copy of it")
