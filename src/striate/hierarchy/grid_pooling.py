"""Pooling over a grid of cells over the whole image: average (``GA``) or maximum (``GM``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from striate.hierarchy._checks import LARGEST_SIDE, check_layer, window_positions
from striate.hierarchy.layer import Layer, Maps, Operations, Shape, register_layer
from striate.hierarchy.pyramid_pooling import cell_of
from striate.parameters import Choice, Integer

__all__ = ["GridPooling"]

_RULES = {"how": Choice("average", "max"), "cells": Integer(low=1, high=LARGEST_SIDE)}


@register_layer
@dataclass(frozen=True)
class GridPooling(Layer):
    """The average or maximum of each map over each cell of a grid of ``cells`` × ``cells`` over the whole image.

    Unlike `Pooling`, whose windows have a size in pixels, it gives the same number of features for images of any size.
    Cells do not overlap; where a side is not a multiple of ``cells``, some cells have a pixel more than others.

    Parameters
    ----------
    how : "average" or "max"
        The average suits features that many positions share, as those of `PatchDictionary`.
    cells : int
        Cells per side.
    """

    how: Literal["average", "max"] = "average"
    cells: int = 3

    kind: ClassVar[str] = "grid_pooling"
    grammar: ClassVar[str] = r"G(?P<how>[AM])(?P<cells>[0-9]+)"
    examples: ClassVar[str] = "GA3 or GM3"

    def __post_init__(self) -> None:
        check_layer(self, _RULES)

    @property
    def notation(self) -> str:
        """E.g. ``GA3``."""
        return f"G{'A' if self.how == 'average' else 'M'}{self.cells}"

    @property
    def words(self) -> str:
        """Its name in a report."""
        return f"{'average' if self.how == 'average' else 'maximum'} over {self.cells}×{self.cells} cells"

    @classmethod
    def from_notation(cls, match: re.Match[str]) -> GridPooling:
        """See `Layer.from_notation`."""
        return cls("average" if match["how"] == "A" else "max", int(match["cells"]))

    def output_shape(self, shape: Shape) -> Shape:
        """One pixel per cell."""
        n_maps, height, width = shape
        for length in (height, width):
            window_positions(length, self.cells, 1, self.notation)
        return (n_maps, self.cells, self.cells)

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_maps) → (cells, cells, n_maps)."""
        height, width, n_maps = maps.shape
        self.output_shape((n_maps, height, width))
        columns = self.starts(width)
        rows = (np.add if self.how == "average" else np.maximum).reduceat(maps, columns, axis=1)
        return self.pool_rows(rows, width)

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`."""
        return operations.pool_cells(maps, self.how, self.cells)

    def starts(self, length: int) -> NDArray[np.int64]:
        """The first position of each cell along a side."""
        return np.searchsorted(cell_of(length, self.cells), np.arange(self.cells))

    def pool_rows(self, rows: Maps, width: int) -> Maps:
        """Pool the sums or maxima over the columns of each cell, (height, cells, n_maps), over the rows of each cell.

        Parameters
        ----------
        rows : float32 (height, cells, n_maps)
        width : int
            Columns of the image.

        Returns
        -------
        float32 (cells, cells, n_maps)
        """
        height = len(rows)
        parts = np.split(rows, self.starts(height)[1:])
        if self.how == "max":
            return np.stack([part.max(axis=0) for part in parts])
        counts = np.bincount(cell_of(height, self.cells))[:, None] * np.bincount(cell_of(width, self.cells))
        shares = (1 / counts).astype(np.float32)
        return np.stack([part.sum(axis=0) for part in parts]) * shares[:, :, None]
