"""Checks that several layers share: of their parameters, of their arrays and of the size of their input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Rule, checked_attribute

MOST_MAPS = 1 << 16
"""Largest number of maps of a layer: a larger number is probably a typing error."""

LARGEST_SIDE = 1 << 12
"""Largest side of a window or a filter, and largest step, in pixels."""


def check_layer(layer: object, rules: Mapping[str, Rule]) -> None:
    """Check a layer's parameters, and turn NumPy's numbers into Python's. Layers are frozen: once is enough.

    Raises
    ------
    UsageError
        For the first parameter that its rule does not accept; the message has the layer's name.
    """
    for name, rule in rules.items():
        object.__setattr__(layer, name, checked_attribute(layer, name, rule))


def odd(size: int, what: str) -> None:
    """Raise UsageError for a window without a center."""
    if size % 2 == 0:
        raise UsageError(f"{what}: size is {size}; it must be odd, so that the window has a center")


def layer_array(name: str, values: object, shape: tuple[int | None, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """An array of a layer, of a type that kernels accept.

    Parameters
    ----------
    name : str
    values : array-like
        Finite real numbers; integers where `dtype` is an integer type.
    shape : tuple of int or None
        None for any length.
    dtype : type
        What it becomes.

    Raises
    ------
    UsageError
    """
    array = np.asarray(values)
    kinds = "iu" if np.issubdtype(dtype, np.integer) else "fiu"
    if array.dtype.kind not in kinds:
        raise UsageError(f"{name} must be {'integers' if kinds == 'iu' else 'real numbers'}, not {array.dtype}")
    fits = array.ndim == len(shape) and all(
        wanted is None or wanted == length for wanted, length in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise UsageError(f"{name} of shape {array.shape} do not fit; the shape must be {_words(shape)}")
    with np.errstate(over="ignore"):  # checked just below
        array = array.astype(dtype, copy=False)
    if kinds != "iu" and not np.isfinite(array).all():
        raise UsageError(f"{name} hold NaN or infinity")
    return array


def _words(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if length is None else str(length) for length in shape)}{',' * (len(shape) == 1)})"


def window_positions(length: int, size: int, stride: int, notation: str) -> int:
    """The number of windows of ``size`` that fit along ``length``; UsageError if there is none."""
    if length < size:
        raise UsageError(
            f"{notation} needs maps of at least {size} pixels, but gets {length}: "
            f"take a larger canvas, smaller filters or smaller pooling."
        )
    return (length - size) // stride + 1
