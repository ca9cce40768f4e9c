"""High-pass: the subtractive half of local contrast normalization, as a layer of its own (``HP``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from striate.hierarchy._layer import LARGEST_SIDE, Maps, Shape, check_layer, odd
from striate.hierarchy.normalization import local_mean
from striate.parameters import Integer
from striate.stored import field

_RULES = {"size": Integer(low=1, high=LARGEST_SIDE)}


@dataclass(frozen=True)
class HighPass:
    """``v = x − Σ w·x``: every map without the mean of all maps' neighborhoods.

    Window, weights and borders are those of layer ``N`` (`LocalContrastNormalization`), which then divides; contrast
    is kept here.

    Parameters
    ----------
    size : int, default 9
        Side of the window in pixels, odd. 9 is the papers'.

    References
    ----------
    Jarrett et al., ICCV 2009, section 2 (the subtractive step of layer N).
    """

    size: int = 9

    kind: ClassVar[str] = "high_pass"

    def __post_init__(self) -> None:
        check_layer(self, _RULES)
        odd(self.size, "HighPass")

    @property
    def notation(self) -> str:
        """``HP`` for the papers' 9×9 window, else e.g. ``HP5x5``."""
        return "HP" if self.size == 9 else f"HP{self.size}x{self.size}"

    def output_shape(self, shape: Shape) -> Shape:
        """Unchanged."""
        return shape

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_maps)."""
        return maps - local_mean(maps.mean(axis=2, keepdims=True), self.size)

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Its window."""
        return {}, {"size": self.size}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> HighPass:
        """The inverse of `to_state`."""
        return cls(size=field(header, "size"))
