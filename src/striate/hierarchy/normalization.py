"""Local contrast normalization across maps (layer ``N``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from striate.hierarchy._checks import LARGEST_SIDE, check_layer, odd
from striate.hierarchy._separable import apply_separable, gaussian_matrix
from striate.hierarchy.layer import Layer, Maps, Operations, Shape, register_layer
from striate.images.normalization import gaussian_window
from striate.parameters import Integer

# The papers' 9×9 window has σ = 1.591 pixels; other sizes keep the proportion.
SIGMA_OVER_SIZE = 1.591 / 9


def local_mean(map_: Maps, size: int) -> Maps:
    """``Σ w·x`` over a Gaussian window, for one map (height, width, 1)."""
    rows, columns = (gaussian_matrix(length, size, size * SIGMA_OVER_SIZE) for length in map_.shape[:2])
    return apply_separable(rows, map_, columns)


_RULES = {"size": Integer(low=1, high=LARGEST_SIDE)}


@register_layer
@dataclass(frozen=True)
class LocalContrastNormalization(Layer):
    """Subtract the local mean, divide by the local standard deviation, over space and all maps together.

    ``v = x − Σ w·x``; ``σ² = Σ w·v²``; ``y = v / max(c, σ)``, sums over a Gaussian window and all maps, weights of sum
    1 (renormalized at the borders), ``c`` the mean of σ over the image. The window is the same for every map. The maps
    are therefore averaged first, and only one map is filtered, at the cost of four passes over the maps.

    Parameters
    ----------
    size : int
        Side of the window in pixels, odd. The papers use 9.

    References
    ----------
    Jarrett et al., ICCV 2009, section 2 (layer N); Pinto, Cox, DiCarlo 2008.
    """

    size: int = 9

    kind: ClassVar[str] = "local_contrast_normalization"
    grammar: ClassVar[str] = r"N(?:(?P<size>[0-9]+)x(?P=size))?"
    examples: ClassVar[str] = "N or N7x7"

    def __post_init__(self) -> None:
        check_layer(self, _RULES)
        odd(self.size, "LocalContrastNormalization")

    @property
    def notation(self) -> str:
        """``N`` for the papers' 9×9 window, else e.g. ``N5x5``."""
        return "N" if self.size == 9 else f"N{self.size}x{self.size}"

    @property
    def words(self) -> str:
        """Its name in a report."""
        return f"local contrast normalization, {self.size}×{self.size}"

    @property
    def window(self) -> NDArray[np.float32]:
        """Weights of the window along an axis, float32 (size,)."""
        return gaussian_window(self.size, self.size * SIGMA_OVER_SIZE).astype(np.float32)

    def output_shape(self, shape: Shape) -> Shape:
        """Unchanged."""
        return shape

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_maps)."""
        centered = maps - local_mean(maps.mean(axis=2, keepdims=True), self.size)
        power = np.einsum("hwc,hwc->hw", centered, centered)[..., None] / np.float32(maps.shape[2])
        deviation = np.sqrt(local_mean(power, self.size))
        # A blank image has deviation 0 everywhere and stays 0.
        centered /= np.maximum(np.maximum(deviation, deviation.mean()), np.finfo(np.float32).tiny)
        return centered

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`."""
        return operations.normalize_contrast(maps, self.size, self.size * SIGMA_OVER_SIZE)
