"""High-pass: the subtractive half of local contrast normalization, as a separate layer (``HP``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from striate.hierarchy._checks import LARGEST_SIDE, check_layer, odd
from striate.hierarchy.layer import Layer, Maps, Operations, Shape, register_layer
from striate.hierarchy.normalization import SIGMA_OVER_SIZE, local_mean
from striate.parameters import Integer

_RULES = {"size": Integer(low=1, high=LARGEST_SIDE)}


@register_layer
@dataclass(frozen=True)
class HighPass(Layer):
    """``v = x − Σ w·x``: subtract from every map the local mean over all maps.

    Window, weights and borders are those of layer ``N`` (`LocalContrastNormalization`), which also divides; this layer
    preserves the contrast.

    Parameters
    ----------
    size : int, default 9
        Side of the window in pixels, odd. The papers use 9.

    References
    ----------
    Jarrett et al., ICCV 2009, section 2 (the subtractive step of layer N).
    """

    size: int = 9

    kind: ClassVar[str] = "high_pass"
    grammar: ClassVar[str] = r"HP(?:(?P<size>[0-9]+)x(?P=size))?"
    examples: ClassVar[str] = "HP or HP7x7"

    def __post_init__(self) -> None:
        check_layer(self, _RULES)
        odd(self.size, "HighPass")

    @property
    def notation(self) -> str:
        """``HP`` for the papers' 9×9 window, else e.g. ``HP5x5``."""
        return "HP" if self.size == 9 else f"HP{self.size}x{self.size}"

    @property
    def words(self) -> str:
        """Its name in a report."""
        return f"high-pass, {self.size}×{self.size}"

    def output_shape(self, shape: Shape) -> Shape:
        """Unchanged."""
        return shape

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_maps)."""
        return maps - local_mean(maps.mean(axis=2, keepdims=True), self.size)

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`."""
        return maps - operations.local_mean(maps, self.size, self.size * SIGMA_OVER_SIZE)
