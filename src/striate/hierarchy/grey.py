"""The luma of color images (``GREY``), so that a path may see form alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from striate.errors import UsageError
from striate.hierarchy._checks import check_layer
from striate.hierarchy.layer import Layer, Maps, Operations, Shape, register_layer
from striate.images.color import LUMA_WEIGHTS
from striate.parameters import Choice

__all__ = ["Grey"]

_RULES = {"color": Choice("rgb", "yuv")}


@register_layer
@dataclass(frozen=True)
class Grey(Layer):
    """One map: the luma of color images; grey images stay as they are.

    A hierarchy does not know the color space of its `striate.images.Preprocessing`, and so it is said here. Followed
    by `InputContrast`, it prepares images as contrast "local" does.

    Parameters
    ----------
    color : "rgb" or "yuv"
        What comes in. Luma is the first map of "yuv", and a weighted mean of those of "rgb" (ITU-R BT.601).
    """

    color: Literal["rgb", "yuv"] = "rgb"

    kind: ClassVar[str] = "grey"
    grammar: ClassVar[str] = "GREY(?P<yuv>:yuv)?"
    examples: ClassVar[str] = "GREY (or GREY:yuv for YUV images)"

    def __post_init__(self) -> None:
        check_layer(self, _RULES)

    @property
    def notation(self) -> str:
        """``GREY`` for RGB images, ``GREY:yuv`` for YUV."""
        return "GREY" if self.color == "rgb" else "GREY:yuv"

    @property
    def words(self) -> str:
        """Its name in a report."""
        return "luma"

    @classmethod
    def from_notation(cls, match: re.Match[str]) -> Grey:
        """See `Layer.from_notation`."""
        return cls("yuv" if match["yuv"] else "rgb")

    def output_shape(self, shape: Shape) -> Shape:
        """One map."""
        n_maps, height, width = shape
        if n_maps not in (1, 3):
            raise UsageError(f"{self.notation} needs 1 map (grey) or 3 (color), but gets {n_maps}: put it first.")
        return (1, height, width)

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, 1 or 3) → (height, width, 1)."""
        height, width, n_maps = maps.shape
        self.output_shape((n_maps, height, width))
        luma = np.zeros((height, width, 1), np.float32)
        for number, weight in enumerate(self._weights(n_maps)):
            luma += np.float32(weight) * maps[:, :, number : number + 1]
        return luma

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`."""
        return operations.mix(maps, self._weights)

    def _weights(self, n_maps: int) -> tuple[float, ...]:
        """Weights of the first maps."""
        return (1.0,) if n_maps == 1 or self.color == "yuv" else LUMA_WEIGHTS
