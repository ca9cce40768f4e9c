"""Pooling: average (``PA``) or maximum (``PM``) over small windows, so that features tolerate small shifts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from striate.hierarchy._checks import LARGEST_SIDE, check_layer, window_positions
from striate.hierarchy._separable import apply_separable, averaging_matrix
from striate.hierarchy.layer import Layer, Maps, Operations, Shape, register_layer
from striate.parameters import Choice, Integer

_RULES = {
    "how": Choice("average", "max"),
    "size": Integer(low=1, high=LARGEST_SIDE),
    "stride": Integer(low=1, high=LARGEST_SIDE),
}


@register_layer
@dataclass(frozen=True)
class Pooling(Layer):
    """Pool windows of ``size`` × ``size`` pixels, ``stride`` pixels apart; windows that exceed the map are dropped.

    The average is computed by two small matrix products; the maximum is taken over rows, then over columns.

    Parameters
    ----------
    how : "average" or "max"
        The average after rectification is the best choice in the papers; the maximum is for maps that are not
        rectified.
    size, stride : int
        In pixels.
    """

    how: Literal["average", "max"]
    size: int
    stride: int

    kind: ClassVar[str] = "pooling"
    grammar: ClassVar[str] = r"P(?P<how>[AM])(?P<size>[0-9]+)x(?P=size)/(?P<stride>[0-9]+)"
    examples: ClassVar[str] = "PA10x10/5 or PM10x10/5"

    def __post_init__(self) -> None:
        check_layer(self, _RULES)

    @property
    def notation(self) -> str:
        """E.g. ``PA10x10/5``."""
        return f"P{'A' if self.how == 'average' else 'M'}{self.size}x{self.size}/{self.stride}"

    @property
    def words(self) -> str:
        """Its name in a report."""
        how = "average" if self.how == "average" else "maximum"
        return f"{how} of {self.size}×{self.size}, every {self.stride}"

    @classmethod
    def from_notation(cls, match: re.Match[str]) -> Pooling:
        """See `Layer.from_notation`."""
        return cls("average" if match["how"] == "A" else "max", int(match["size"]), int(match["stride"]))

    @property
    def spacing(self) -> int:
        """The stride."""
        return self.stride

    def output_shape(self, shape: Shape) -> Shape:
        """One pixel per window."""
        n_maps, height, width = shape
        return (
            n_maps,
            window_positions(height, self.size, self.stride, self.notation),
            window_positions(width, self.size, self.stride, self.notation),
        )

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_maps) → (new_height, new_width, n_maps)."""
        height, width, n_maps = maps.shape
        _, new_height, new_width = self.output_shape((n_maps, height, width))
        if self.how == "average":
            return apply_separable(
                averaging_matrix(height, self.size, self.stride),
                maps,
                averaging_matrix(width, self.size, self.stride),
            )
        rows = _maximum(maps, axis=0, size=self.size, stride=self.stride, n_windows=new_height)
        return _maximum(rows, axis=1, size=self.size, stride=self.stride, n_windows=new_width)

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`."""
        return operations.pool(maps, self.how, self.size, self.stride)


def _maximum(maps: Maps, *, axis: int, size: int, stride: int, n_windows: int) -> Maps:
    """Maximum over windows along one axis."""
    span = (n_windows - 1) * stride + 1

    def shifted(offset: int) -> Maps:
        return maps[(slice(None),) * axis + (slice(offset, offset + span, stride),)]

    result = shifted(0).copy()
    for offset in range(1, size):
        np.maximum(result, shifted(offset), out=result)
    return result
