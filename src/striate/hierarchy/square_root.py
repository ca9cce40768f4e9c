"""The square root of the absolute value, with the sign (``ROOT``), which brings strong and weak responses closer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from striate.hierarchy.layer import Layer, Maps, Operations, Shape, register_layer

__all__ = ["SquareRoot"]


@register_layer
@dataclass(frozen=True)
class SquareRoot(Layer):
    """``sign(maps)·√|maps|``, the power normalization of pooled features (Perronnin, Sánchez and Mensink 2010).

    Averages of rectified responses have many small values and a few large ones, which would decide alone.
    """

    kind: ClassVar[str] = "square_root"
    grammar: ClassVar[str] = "ROOT"
    examples: ClassVar[str] = "ROOT"
    notation: ClassVar[str] = "ROOT"

    @property
    def words(self) -> str:
        """Its name in a report."""
        return "square root"

    def output_shape(self, shape: Shape) -> Shape:
        """Unchanged."""
        return shape

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_maps)."""
        return np.copysign(np.sqrt(np.abs(maps)), maps)

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`."""
        return operations.root(operations.maximum(maps, 0 * maps)) - operations.root(
            operations.maximum(-maps, 0 * maps)
        )
