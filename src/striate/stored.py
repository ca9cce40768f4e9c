"""Checked reading of a file's header and arrays: the code that reads a value states what it must be.

A correct checksum only proves that a file is as it was written, not that its content is valid: it may have been
written by another program, by an old version or by an attacker. All values are read by `field` and `array`; `part` and
`in_file` add the place to the message of an error.
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
    """A JSON list of any values, or of values that a rule accepts; with `length`, of this number of items."""

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
        The values that are accepted; by default all, for constructors that check their arguments.
    default : optional
        The value for files of earlier versions, which did not write it.

    Raises
    ------
    ModelFileError
        If it is missing, or the rule does not accept it.
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
        None stands for any length. By default any shape is accepted, for constructors that check their arguments.
    *types : str
        The accepted types of its numbers; float32 and float64 by default.

    Raises
    ------
    ModelFileError
        If it is missing, has another shape or type, or holds NaN, infinity, or numbers that would overflow in single
        precision.
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
        if max(-float(lowest), float(highest)) > _LARGEST:
            raise _Misfit(f"the array {name} holds numbers above {_LARGEST:g}")
    return found


def with_parameters(estimator: type[Any], header: object, **more: Any) -> Any:
    """An estimator with the parameters of a header, checked as in `fit`.

    JSON has no tuples: what is a list in the header becomes one.

    Parameters
    ----------
    estimator : class
        A scikit-learn estimator.
    header : mapping
        With a table ``parameters``.
    **more
        Parameters that replace those of the header.

    Raises
    ------
    ModelFileError
    """
    with part("parameters"):
        given = field(header, "parameters", Table())
        parameters = {name: _with_tuples(value) for name, value in given.items()} | more
        known = estimator._get_param_names()
        for name in parameters:
            if name not in known:
                raise _Misfit(f"{name!r} is unknown; this striate knows {', '.join(known)}")
        made = estimator(**parameters)
        check = getattr(made, "_check_parameters", None)
        if check is not None:
            check()
    return made


def _with_tuples(value: Any) -> Any:
    return tuple(_with_tuples(each) for each in value) if isinstance(value, list) else value


@contextmanager
def part(name: str) -> Iterator[None]:
    """Add the name of the part of a file that is being read to the message of an error.

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
        # An error that no rule covers is still a defect of the file.
        raise _Misfit(f"it cannot be understood ({type(error).__name__}: {error})", (name,)) from error


@contextmanager
def in_file(path: str | os.PathLike[str], kind: str) -> Iterator[None]:
    """Add the name of the file to the message as well; `kind` is the kind of file.

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
