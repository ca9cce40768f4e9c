"""JSON documents on disk: plain values in, whole files out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from striate.errors import StriateError
from striate.whole_file import whole_file


def plain(value: Any, where: str) -> Any:
    """Convert to what JSON holds: NumPy scalars and arrays, tuples and mappings included.

    Parameters
    ----------
    value : Any
        The value.
    where : str
        What the value is, as the beginning of an error's sentence.

    Raises
    ------
    StriateError
        If some part of it is not a number, string, bool, None, list or mapping, or is a number that is not
        finite (JSON has none: None says that there is no value).
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist(), where)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise StriateError(f"{where} has the key {key!r}, which is not a string; use strings")
        return {key: plain(item, f"{where}, at {key!r},") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, where) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise StriateError(f"{where} has the number {value}, which JSON cannot hold; use None instead")
        return value
    raise StriateError(f"{where} has a {type(value).__name__}, which JSON cannot hold; use numbers, strings and lists")


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document so that the file is whole, or as it was; create its folder.

    Plain lists stay on one line, so that a committed file reads well in a diff.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write((_lines(document) + "\n").encode())


def _lines(value: Any, indent: str = "") -> str:
    inner = indent + "  "
    if isinstance(value, Mapping) and value:
        items = [f"{inner}{_text(key)}: {_lines(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, list | Mapping) for item in value):
        return "[\n" + ",\n".join(inner + _lines(item, inner) for item in value) + f"\n{indent}]"
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
