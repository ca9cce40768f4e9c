"""Rectification: the absolute value (``R_abs``), so that a filter and its negative give the same feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from striate.hierarchy.layer import Layer, Maps, Operations, Shape, register_layer


@register_layer
@dataclass(frozen=True)
class Rectification(Layer):
    """``|maps|``: one pass, bound by memory.

    Without it, averaging cancels responses of opposite sign (Jarrett et al. 2009, table 1: 54 % against 18 %).
    """

    kind: ClassVar[str] = "rectification"
    grammar: ClassVar[str] = "Rabs"
    examples: ClassVar[str] = "Rabs"
    notation: ClassVar[str] = "Rabs"

    @property
    def words(self) -> str:
        """Its name in a report."""
        return "absolute value"

    def output_shape(self, shape: Shape) -> Shape:
        """Unchanged."""
        return shape

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_maps)."""
        return np.abs(maps)

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`."""
        return abs(maps)
