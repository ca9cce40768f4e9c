"""What every layer of a hierarchy has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Rule, checked_attribute

Maps: TypeAlias = NDArray[np.float32]
"""The feature maps of an image inside a hierarchy, ``(height, width, n_maps)``: what all maps have at a pixel lies
together, so that filters and windows read in long runs."""

Shape: TypeAlias = tuple[int, int, int]
"""``(n_maps, height, width)`` of one image's maps."""


class Layer(Protocol):
    """One step of a stage: data (a frozen dataclass with NumPy parameters) and a way to run it."""

    kind: ClassVar[str]

    @property
    def notation(self) -> str:
        """In the papers' notation."""
        ...

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of an image's maps after this layer; UsageError when they are too small for it."""
        ...

    def apply(self, maps: Maps) -> Maps:
        """The maps behind this layer, for those of one image."""
        ...

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON for the model file."""
        ...

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Layer:
        """The inverse of `to_state`."""
        ...


MOST_MAPS = 1 << 16
"""Maps that a layer may have: more is a slip of the pen."""

LARGEST_SIDE = 1 << 12
"""Pixels of a window, a filter or a step."""


def check_layer(layer: Layer, rules: Mapping[str, Rule]) -> None:
    """Check a layer's parameters, and make Python's numbers of NumPy's; layers are frozen, so once and for all.

    Raises
    ------
    UsageError
        For the first parameter that its rule does not take, with the layer's name.
    """
    for name, rule in rules.items():
        object.__setattr__(layer, name, checked_attribute(layer, name, rule))


def odd(size: int, what: str) -> None:
    """UsageError for a window without a center."""
    if size % 2 == 0:
        raise UsageError(f"{what}: size is {size}; it must be odd, so that the window has a center")


def layer_array(name: str, values: object, shape: tuple[int | None, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """An array of a layer, of a type that kernels take.

    Parameters
    ----------
    name : str
    values : array-like
        Finite real numbers, or integers where `dtype` is one of integers.
    shape : tuple of int or None
        None for a length that does not matter.
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
    with np.errstate(over="ignore"):  # refused just below
        array = array.astype(dtype, copy=False)
    if kinds != "iu" and not np.isfinite(array).all():
        raise UsageError(f"{name} hold NaN or infinity")
    return array


def _words(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if length is None else str(length) for length in shape)}{',' * (len(shape) == 1)})"


def window_positions(length: int, size: int, stride: int, notation: str) -> int:
    """How many windows of ``size`` fit along ``length``; UsageError when not even one does."""
    if length < size:
        raise UsageError(
            f"{notation} needs maps of at least {size} pixels, but gets {length}: "
            f"take a larger canvas, smaller filters or smaller pooling."
        )
    return (length - size) // stride + 1
