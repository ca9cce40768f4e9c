"""Rectification: the absolute value (``R_abs``), after which a filter and its negative are one feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from striate.hierarchy._layer import Maps, Shape


@dataclass(frozen=True)
class Rectification:
    """``|maps|``: one pass, bound by memory.

    Without it, averaging cancels responses of opposite sign (Jarrett et al. 2009, table 1: 54 % against 18 %).
    """

    kind: ClassVar[str] = "rectification"
    notation: ClassVar[str] = "Rabs"

    def output_shape(self, shape: Shape) -> Shape:
        """Unchanged."""
        return shape

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_maps)."""
        return np.abs(maps)

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Nothing to keep."""
        return {}, {}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Rectification:
        """The inverse of `to_state`."""
        return cls()
