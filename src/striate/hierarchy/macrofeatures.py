"""Macrofeatures: neighboring descriptors concatenated, so that the next layer codes them jointly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.hierarchy._checks import LARGEST_SIDE, check_layer, window_positions
from striate.hierarchy.layer import Layer, Maps, Shape, register_layer
from striate.parameters import Integer

__all__ = ["Macrofeatures"]


_RULES = {name: Integer(low=1, high=LARGEST_SIDE) for name in ("size", "step")}


@register_layer
@dataclass(frozen=True)
class Macrofeatures(Layer):
    """The vectors of all maps at ``size × size`` neighboring positions, concatenated and divided by ``size``.

    It is used between descriptors and their sparse codes, as in ``SIFT16x16/6 - MF2x2/1 - 1024SC - PM1+2+4``: units of
    the dictionary then represent the relative positions of descriptors. Because of the division, macrofeatures of
    descriptors of equal norm have this norm too, so that a sparsity has the same effect with and without this layer.

    Parameters
    ----------
    size : int, default 2
        Neighbors per side.
    step : int, default 1
        From one macrofeature to the next, in positions of the input maps. The cost of coding falls with ``step²``.

    References
    ----------
    Boureau, Bach, LeCun, Ponce, "Learning mid-level features for recognition", CVPR 2010.
    """

    size: int = 2
    step: int = 1
    kind: ClassVar[str] = "macrofeatures"
    grammar: ClassVar[str] = r"MF(?P<size>[0-9]+)x(?P=size)/(?P<step>[0-9]+)"
    examples: ClassVar[str] = "MF2x2/1"

    def __post_init__(self) -> None:
        check_layer(self, _RULES)

    @property
    def notation(self) -> str:
        """E.g. ``MF2x2/1``."""
        return f"MF{self.size}x{self.size}/{self.step}"

    @property
    def words(self) -> str:
        """Its name in a report."""
        return f"macrofeatures of {self.size}×{self.size} neighbors"

    @property
    def spacing(self) -> int:
        """The step."""
        return self.step

    def output_shape(self, shape: Shape) -> Shape:
        """``size²`` times as many maps."""
        n_maps, *sides = shape
        rows, columns = (window_positions(length, self.size, self.step, self.notation) for length in sides)
        return (self.size**2 * n_maps, rows, columns)

    def apply(self, maps: Maps) -> Maps:
        """Concatenate neighbors.

        Parameters
        ----------
        maps : float32 (height, width, n_maps)

        Returns
        -------
        float32 (n_rows, n_columns, size² · n_maps)
            Neighbors row by row, from the upper left one; the maps of each together.
        """
        height, width, n_maps = maps.shape
        _, rows, columns = self.output_shape((n_maps, height, width))
        joined = np.empty((rows, columns, self.size, self.size, n_maps), np.float32)
        for i, j in np.ndindex(self.size, self.size):
            joined[:, :, i, j] = maps[i :: self.step, j :: self.step][:rows, :columns]
        joined /= self.size
        return joined.reshape(rows, columns, -1)
