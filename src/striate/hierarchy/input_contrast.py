"""Local contrast normalization of the input, as a layer (``LCN``), so that only some paths see normalized images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from striate.hierarchy._checks import LARGEST_SIDE, check_layer, odd
from striate.hierarchy.layer import Layer, Maps, Operations, Shape, register_layer
from striate.hierarchy.normalization import SIGMA_OVER_SIZE, LocalContrastNormalization
from striate.images.normalization import local_contrast_normalization
from striate.parameters import Integer

__all__ = ["InputContrast"]

_RULES = {"size": Integer(low=1, high=LARGEST_SIDE)}


@register_layer
@dataclass(frozen=True)
class InputContrast(Layer):
    """What `striate.images.Preprocessing` does to grey images with contrast "local", for raw images.

    It differs from `LocalContrastNormalization` only in flat images: deviations within the rounding of the pixels
    become 0 and not noise. The maps of color images share one deviation.

    Parameters
    ----------
    size : int, default 9
        Side of the window in pixels, odd. The papers use 9.
    """

    size: int = 9

    kind: ClassVar[str] = "input_contrast"
    grammar: ClassVar[str] = r"LCN(?:(?P<size>[0-9]+)x(?P=size))?"
    examples: ClassVar[str] = "LCN or LCN7x7"

    def __post_init__(self) -> None:
        check_layer(self, _RULES)
        odd(self.size, "InputContrast")

    @property
    def notation(self) -> str:
        """``LCN`` for the papers' 9×9 window, else e.g. ``LCN5x5``."""
        return "LCN" if self.size == 9 else f"LCN{self.size}x{self.size}"

    @property
    def words(self) -> str:
        """Its name in a report."""
        return f"local contrast of the image, {self.size}×{self.size}"

    def output_shape(self, shape: Shape) -> Shape:
        """Unchanged."""
        return shape

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_maps)."""
        planes = np.ascontiguousarray(maps.transpose(2, 0, 1), np.float32)
        sigma = self.size * SIGMA_OVER_SIZE
        made = local_contrast_normalization(planes, size=self.size, sigma=sigma, jointly=True)
        return np.ascontiguousarray(made.transpose(1, 2, 0))

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`."""
        return LocalContrastNormalization(self.size).twin(maps, weights, operations)
