"""Calls that are right, each argument made wrong in turn: a folder's public names are tried by one list of calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from striate.errors import UsageError
from tests.learning.test_any_input import LAYOUTS


class Call(NamedTuple):
    """A public name, arguments that it takes, and those arguments that are tables of numbers."""

    name: str
    make: Callable[..., Any]
    arguments: dict[str, Any]
    tables: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name

    def __call__(self, **others: Any) -> Any:
        return self.make(**{**self.arguments, **others})


_WRONG: dict[type, tuple[Any, ...]] = {
    bool: (2, "yes", None),
    int: (1.5, "3", -1, np.nan, True, [3], 2 + 1j),
    float: ("0.1", np.nan, True, [0.5, 1.0], 1j),
    str: (3, ["rgb"], b"rgb"),
    tuple: (3.5, "ab", ("a",), (None,)),
}


def wrong_arguments_are_named(call: Call) -> None:
    """Every argument of a wrong type or value is refused with its name, in one sentence."""
    for name, value in call.arguments.items():
        if name in call.unchecked:
            continue
        if name in call.tables:
            table = np.asarray(value, float)
            bad = table.copy()
            bad.flat[-1] = np.nan
            wrongs: tuple[Any, ...] = (bad, table[..., np.newaxis, np.newaxis], "abc", table * 1j, None, [[1], [1, 2]])
        else:
            wrongs = _WRONG.get(type(value), (object(), 3.5, "a"))
        for wrong in wrongs:
            if wrong is None and name in call.optional:
                continue
            with pytest.raises(UsageError) as caught:
                call(**{name: wrong})
            assert "\n" not in str(caught.value)
            if name not in call.tables:
                assert name in str(caught.value), (name, wrong)


def numpy_numbers_are_pythons(call: Call, same: Callable[[Any, Any], None]) -> None:
    """NumPy's scalars give what Python's numbers give."""
    others: dict[str, Any] = {}
    for name, value in call.arguments.items():
        if type(value) in (bool, int, float):
            others[name] = {bool: np.bool_, int: np.int32, float: np.float64}[type(value)](value)
    same(call(**others), call())


def layouts_make_no_difference(call: Call, folder: Path, same: Callable[[Any, Any], None]) -> None:
    """Tables of any layout and byte order, read-only and memory-mapped ones, give the same."""
    expected = call()
    tables = {name: np.asarray(call.arguments[name]) for name in call.tables}
    for layout, change in LAYOUTS.items():
        if all(table.ndim == 2 for table in tables.values()) or layout not in ("strided", "reversed"):
            same(call(**{name: change(table) for name, table in tables.items()}), expected)
    for name, table in tables.items():
        np.save(folder / f"{name}.npy", table)
    same(call(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in tables}), expected)
    half = {name: table.astype(np.float16) for name, table in tables.items()}
    same(call(**half), call(**{name: table.astype(np.float32) for name, table in half.items()}))
