"""Zeros around the maps (``BORDER5``), so that the filters that follow also cover their edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from striate.hierarchy._checks import LARGEST_SIDE, check_layer
from striate.hierarchy.layer import Layer, Maps, Operations, Shape, register_layer
from striate.parameters import Integer

__all__ = ["Border"]

_RULES = {"width": Integer(low=1, high=LARGEST_SIDE)}


@register_layer
@dataclass(frozen=True)
class Border(Layer):
    """Zeros around the maps, as the border of `striate.images.Preprocessing`, for one path of several.

    Parameters
    ----------
    width : int
        In pixels, on each of the four sides.
    """

    width: int

    kind: ClassVar[str] = "border"
    grammar: ClassVar[str] = "BORDER(?P<width>[0-9]+)"
    examples: ClassVar[str] = "BORDER5"

    def __post_init__(self) -> None:
        check_layer(self, _RULES)

    @property
    def notation(self) -> str:
        """E.g. ``BORDER5``."""
        return f"BORDER{self.width}"

    @property
    def words(self) -> str:
        """Its name in a report."""
        return f"a border of {self.width} pixels"

    def output_shape(self, shape: Shape) -> Shape:
        """Both sides are longer by twice the width."""
        n_maps, height, width = shape
        return (n_maps, height + 2 * self.width, width + 2 * self.width)

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_maps)."""
        return np.pad(maps, [(self.width, self.width)] * 2 + [(0, 0)])

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`."""
        return operations.pad(maps, self.width)
