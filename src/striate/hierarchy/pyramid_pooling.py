"""Pooling over the cells of a spatial pyramid, which keeps the position in the image at three scales."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from striate.hierarchy._checks import window_positions
from striate.hierarchy.layer import Layer, Maps, Shape, register_layer

__all__ = ["PYRAMID", "PyramidPooling", "cell_of"]

PYRAMID = (1, 2, 4)
"""Cells per side, coarsest level first (Lazebnik, Schmid, Ponce, CVPR 2006)."""

_NOTATION = "PM" + "+".join(map(str, PYRAMID))


def cell_of(length: int, n_cells: int) -> NDArray[np.int64]:
    """The cell that each position along an axis belongs to; each of two cells splits into two of four."""
    return np.arange(length) * n_cells // length


@register_layer
@dataclass(frozen=True)
class PyramidPooling(Layer):
    """The maximum of each map over each cell of a pyramid; the maxima of an image are then divided by their norm.

    The maximum suits sparse codes, because averages would mostly count zeros. Division by the norm makes images with
    much and little texture comparable.

    References
    ----------
    Yang, Yu, Gong, Huang, "Linear spatial pyramid matching using sparse coding for image classification", CVPR 2009,
    equation 9.
    """

    kind: ClassVar[str] = "pyramid_pooling"
    grammar: ClassVar[str] = re.escape(_NOTATION)
    examples: ClassVar[str] = _NOTATION
    notation: ClassVar[str] = _NOTATION

    @property
    def words(self) -> str:
        """Its name in a report."""
        return "maximum over a spatial pyramid"

    def output_shape(self, shape: Shape) -> Shape:
        """All cells of all maps at one position."""
        n_maps, height, width = shape
        for length in (height, width):
            window_positions(length, PYRAMID[-1], 1, self.notation)
        return (n_maps * sum(n * n for n in PYRAMID), 1, 1)

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_maps) → (1, 1, 21 · n_maps), cell after cell."""
        height, width, n_maps = maps.shape
        self.output_shape((n_maps, height, width))
        finest = PYRAMID[-1]
        tops, lefts = (np.searchsorted(cell_of(length, finest), np.arange(finest)) for length in (height, width))
        cells = np.maximum.reduceat(np.maximum.reduceat(maps, tops, axis=0), lefts, axis=1)
        levels = []
        for n in PYRAMID:
            side = finest // n
            levels.append(cells.reshape(n, side, n, side, n_maps).max(axis=(1, 3)).ravel())
        pooled = np.concatenate(levels)
        norm = np.linalg.norm(pooled)
        return (pooled / norm if norm > 0 else pooled).reshape(1, 1, -1)
