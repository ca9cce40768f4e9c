"""Edits of files whose checksum is right: each leaves a file that nobody would write, or an equal one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from striate import model_file

Arrays = dict[str, np.ndarray]

VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 3, 1e6, 2**31, 10**30, -0.5, 1e-300, 1e300, float("nan"), float("inf"), "", "nan", "other",
    "<U99999999", [], [1], [-3, 2], [10**6, 10**6], {}, {"kind": "other"}, [[1]], "x" * 5000,
)  # fmt: skip
REMOVED = object()


class Mutation(NamedTuple):
    """An edited file's content, and what was done to it."""

    what: str
    arrays: Arrays
    header: dict[str, Any]


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of a JSON text, outermost first."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from paths_of(item, (*path, key))


def edited(header: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A header with another value at a place, or without it."""
    header = copy.deepcopy(header)
    place: Any = header
    for key in path[:-1]:
        place = place[key]
    if value is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return header


def of_header(arrays: Arrays, header: dict[str, Any]) -> Iterator[Mutation]:
    """Each place with each value."""
    for path in paths_of(header):
        for value in (REMOVED, *VALUES):
            name = "removed" if value is REMOVED else repr(value)[:40]
            yield Mutation(f"{'.'.join(map(str, path))} = {name}", arrays, edited(header, path, value))


def of_arrays(arrays: Arrays, header: dict[str, Any]) -> Iterator[Mutation]:
    """Each array in other shapes, types and numbers, and one too many."""
    for name, array in arrays.items():
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        changed: dict[str, Any] = {
            "is missing": None, "is shorter": array[:-1], "is longer": np.concatenate([array, array[:1]]),
            "is flat": array.ravel(), "has an axis more": array[None], "is empty": array[:0],
            "is complex": array.astype(np.complex64), "is of bytes": array.astype(np.uint8),
            "is float64": array.astype(np.float64), "is float16": half,
            "is int64": array.astype(np.int64), "is -3": np.full_like(array.astype(np.int64), -3),
            "is large": np.full_like(array.astype(np.int64), 2**40), "is bool": array.astype(bool),
        }  # fmt: skip
        if array.ndim > 1:
            changed |= {"is narrower": array[..., :-1], "is turned": np.ascontiguousarray(array.T)}
        if array.dtype.kind == "f":
            for value in (np.nan, np.inf, 3e38, -1e-40):
                wrong = array.copy()
                wrong.flat[-1] = value
                changed[f"holds {value}"] = wrong
        if array.dtype.kind in "iu" and array.size:
            for value in (array.max() // 2, 250, 0):
                wrong = array.copy()
                wrong.flat[-1] = min(int(value), int(np.iinfo(array.dtype).max))
                changed[f"ends in {value}"] = wrong
        for what, other in changed.items():
            rest = {key: value for key, value in arrays.items() if key != name}
            yield Mutation(f"{name} {what}", rest if other is None else {**rest, name: other}, header)
    yield Mutation("one array more", {**arrays, "more": np.zeros(3)}, header)
    yield Mutation("no array", {}, header)


def mutations(path: Path) -> Iterator[Mutation]:
    """All edits of a file."""
    arrays, header = model_file.read(path)
    yield from of_header(arrays, header)
    yield from of_arrays(arrays, header)
