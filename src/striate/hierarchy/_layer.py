"""What every layer of a hierarchy has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError

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


def window_positions(length: int, size: int, stride: int, notation: str) -> int:
    """How many windows of ``size`` fit along ``length``; UsageError when not even one does."""
    if length < size:
        raise UsageError(
            f"{notation} needs maps of at least {size} pixels, but gets {length}: "
            f"take a larger canvas, smaller filters or smaller pooling."
        )
    return (length - size) // stride + 1
