"""Pooling: average (``PA``) or maximum (``PM``) over small windows, so that features tolerate small shifts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from striate.hierarchy._layer import LARGEST_SIDE, Maps, Shape, check_layer, window_positions
from striate.hierarchy._separable import apply_separable, averaging_matrix
from striate.parameters import Choice, Integer
from striate.stored import field

_RULES = {
    "how": Choice("average", "max"),
    "size": Integer(low=1, high=LARGEST_SIDE),
    "stride": Integer(low=1, high=LARGEST_SIDE),
}


@dataclass(frozen=True)
class Pooling:
    """Pool windows of ``size`` × ``size`` pixels, ``stride`` pixels apart; windows that leave the map are dropped.

    The average is two small matrix products (bound by BLAS); the maximum is taken along rows, then columns.

    Parameters
    ----------
    how : "average" or "max"
        The average after rectification is the papers' best; the maximum is for maps that are not rectified.
    size, stride : int
        In pixels.
    """

    how: Literal["average", "max"]
    size: int
    stride: int

    kind: ClassVar[str] = "pooling"

    def __post_init__(self) -> None:
        check_layer(self, _RULES)

    @property
    def notation(self) -> str:
        """E.g. ``PA10x10/5``."""
        return f"P{'A' if self.how == 'average' else 'M'}{self.size}x{self.size}/{self.stride}"

    def output_shape(self, shape: Shape) -> Shape:
        """One pixel a window."""
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

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Its three parameters."""
        return {}, {"how": self.how, "size": self.size, "stride": self.stride}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Pooling:
        """The inverse of `to_state`."""
        return cls(*(field(header, name) for name in ("how", "size", "stride")))


def _maximum(maps: Maps, *, axis: int, size: int, stride: int, n_windows: int) -> Maps:
    """Maximum over windows along one axis."""
    span = (n_windows - 1) * stride + 1

    def shifted(offset: int) -> Maps:
        return maps[(slice(None),) * axis + (slice(offset, offset + span, stride),)]

    result = shifted(0).copy()
    for offset in range(1, size):
        np.maximum(result, shifted(offset), out=result)
    return result
