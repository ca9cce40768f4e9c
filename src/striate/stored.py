"""What a file's header and arrays must be: each part of a file states it where it is read, and is refused otherwise.

A right checksum says that a file is what was written, and not that it makes sense: another program, an old version or
malice may have written it. `field` and `array` are the only ways to what a file holds; `part` and `in_file` name the
place, and make one sentence of whatever is wrong there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import StriateError, UsageError
from striate.model_file import ModelFileError
from striate.parameters import Anything, Rule, checked

__all__ = ["ListOf", "Table", "array", "field", "in_file", "part", "with_parameters"]

_FLOATS = ("float32", "float64")
_LARGEST = 1e30


class _Misfit(ModelFileError):
    """What is wrong, and in which part of the file, outermost first."""

    def __init__(self, what: str, where: tuple[str, ...] = ()) -> None:
        super().__init__(f"{'.'.join(where)}: {what}" if where else what)
        self.what, self.where = what, where


class Table(Rule):
    """A JSON object."""

    def _take(self, value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError
        return dict(value)

    def __str__(self) -> str:
        return "a table of names and values"


class ListOf(Rule):
    """A JSON list, of anything or of what a rule takes; of `length` items, where it is given."""

    def __init__(self, rule: Rule | None = None, *, length: int | None = None) -> None:
        self.rule, self.length = rule or Anything(), length

    def _take(self, value: object) -> list[Any]:
        if not isinstance(value, list | tuple) or (self.length is not None and len(value) != self.length):
            raise ValueError
        return [self.rule._take(item) for item in value]

    def __str__(self) -> str:
        number = "" if self.length is None else f"{self.length} "
        return f"a list of {number}items" + ("" if isinstance(self.rule, Anything) else f", each {self.rule}")


def field(header: object, name: str, rule: Rule | None = None, *, default: Any = ...) -> Any:
    """A value of a header.

    Parameters
    ----------
    header : mapping
    name : str
    rule : Rule, optional
        What it must be; by default anything, for a constructor that checks what it is given.
    default : optional
        For a value that earlier versions did not write.

    Raises
    ------
    ModelFileError
        If it is missing, or the rule does not take it.
    """
    if not isinstance(header, Mapping):
        raise _Misfit(f"it is {_short(header)}; it must be {Table()}")
    if name not in header:
        if default is not ...:
            return default
        raise _Misfit(f"{name} is missing")
    try:
        return checked(name, header[name], rule or Anything())
    except (UsageError, RecursionError) as error:
        raise _Misfit(str(error)) from None


def array(
    arrays: Mapping[str, NDArray[Any]],
    name: str,
    shape: tuple[int | None, ...] | None = None,
    *types: str,
) -> NDArray[Any]:
    """An array of a file.

    Parameters
    ----------
    arrays : mapping of str to ndarray
    name : str
    shape : tuple of int or None, optional
        None for a length that is free; by default any shape, for a constructor that checks what it is given.
    *types : str
        Of its numbers; float32 or float64 by default.

    Raises
    ------
    ModelFileError
        If it is missing, is something else, or holds NaN, infinity, or numbers with which single precision overflows.
    """
    types = types or _FLOATS
    if name not in arrays:
        raise _Misfit(f"the array {name} is missing")
    found = arrays[name]
    fits = shape is None or (
        len(found.shape) == len(shape)
        and all(wanted is None or wanted == length for wanted, length in zip(shape, found.shape, strict=True))
    )
    if shape is not None and not fits:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise _Misfit(f"the array {name} has shape {found.shape}; it must be ({wanted})")
    if found.dtype.name not in types:
        raise _Misfit(f"the array {name} is of type {found.dtype.name}; it must be {' or '.join(types)}")
    if found.dtype.kind == "f":
        lowest, highest = found.min(initial=0), found.max(initial=0)  # NaN, where there is one
        if not (np.isfinite(lowest) and np.isfinite(highest)):
            raise _Misfit(f"the array {name} holds NaN or infinity")
        if max(-lowest, highest) > _LARGEST:
            raise _Misfit(f"the array {name} holds numbers above {_LARGEST:g}")
    return found


def with_parameters(estimator: type[Any], header: object, **more: Any) -> Any:
    """An estimator with the parameters that a header states, checked as `fit` would check them.

    Parameters
    ----------
    estimator : class
        Of scikit-learn's kind.
    header : mapping
        With a table ``parameters``.
    **more
        Parameters in place of those of the header.

    Raises
    ------
    ModelFileError
    """
    with part("parameters"):
        parameters = field(header, "parameters", Table()) | more
        known = estimator._get_param_names()
        for name in parameters:
            if name not in known:
                raise _Misfit(f"{name!r} is unknown; this striate knows {', '.join(known)}")
        made = estimator(**parameters)
        check = getattr(made, "_check_parameters", None)
        if check is not None:
            check()
    return made


@contextmanager
def part(name: str) -> Iterator[None]:
    """Name the part of a file that is being read, in the message of whatever is wrong with it.

    Raises
    ------
    ModelFileError
    """
    try:
        yield
    except _Misfit as error:
        raise _Misfit(error.what, (name, *error.where)) from error
    except StriateError as error:
        raise _Misfit(str(error), (name,)) from error
    except MemoryError as error:
        raise _Misfit("it needs more memory than there is", (name,)) from error
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
        # What no rule foresaw is the file's fault all the same.
        raise _Misfit(f"it cannot be understood ({type(error).__name__}: {error})", (name,)) from error


@contextmanager
def in_file(path: str | os.PathLike[str], kind: str) -> Iterator[None]:
    """Name the file as well; `kind` says what it is.

    Raises
    ------
    ModelFileError
    """
    try:
        with part(""):
            yield
    except _Misfit as error:
        where = ".".join(error.where[1:])
        raise ModelFileError(
            f"{os.fspath(path)} is no {kind} that striate can use: {f'{where}: ' if where else ''}"
            f"{error.what.removesuffix('.')}; get a fresh copy of it, or make it again"
        ) from error


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
