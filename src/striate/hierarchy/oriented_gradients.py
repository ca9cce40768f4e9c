"""Histograms of oriented gradients over a grid of cells over the whole image (``HOG8``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.hierarchy._checks import LARGEST_SIDE, check_layer, window_positions
from striate.hierarchy.layer import Layer, Maps, Shape, register_layer
from striate.hierarchy.pyramid_pooling import cell_of
from striate.parameters import Integer

__all__ = ["OrientedGradients"]

N_ORIENTATIONS = 9
_BLOCK = 2  # cells per side
_CLIPPED = 0.2  # no orientation of a block counts more
_FLAT = 1e-3  # gradients of this size, for images from 0 to 1, are noise

_RULES = {"cells": Integer(low=_BLOCK, high=LARGEST_SIDE)}


@register_layer
@dataclass(frozen=True)
class OrientedGradients(Layer):
    """How strong edges of each orientation are in each cell, relative to the cells around it (Dalal and Triggs 2005).

    Each pixel adds the size of its gradient to the two nearest of nine orientations between 0° and 180°, in its cell.
    Blocks of 2×2 cells, which overlap, are divided by their norm, clipped at 0.2 and divided again. Cells are a grid
    over the whole image, so that images of any size give the same number of features. It has nothing to learn: with a
    handful of labels, a coarse description of form is hard to beat.

    Parameters
    ----------
    cells : int
        Per side of the image.
    """

    cells: int = 8

    kind: ClassVar[str] = "oriented_gradients"
    grammar: ClassVar[str] = "HOG(?P<cells>[0-9]+)"
    examples: ClassVar[str] = "HOG8"

    def __post_init__(self) -> None:
        check_layer(self, _RULES)

    @property
    def notation(self) -> str:
        """E.g. ``HOG8``."""
        return f"HOG{self.cells}"

    @property
    def words(self) -> str:
        """Its name in a report."""
        return f"oriented gradients over {self.cells}×{self.cells} cells"

    def output_shape(self, shape: Shape) -> Shape:
        """36 maps, one position for each block of 2×2 cells."""
        n_maps, height, width = shape
        if n_maps != 1:
            raise UsageError(f"{self.notation} needs 1 map, but gets {n_maps}: put GREY before it.")
        for length in (height, width):
            window_positions(length, self.cells, 1, self.notation)
        n_blocks = self.cells - _BLOCK + 1
        return (N_ORIENTATIONS * _BLOCK**2, n_blocks, n_blocks)

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, 1) → (cells − 1, cells − 1, 36)."""
        height, width, n_maps = maps.shape
        self.output_shape((n_maps, height, width))
        histograms = self._histograms(maps[:, :, 0])
        n = self.cells - _BLOCK + 1
        corners = [histograms[row : row + n, column : column + n] for row in range(_BLOCK) for column in range(_BLOCK)]
        blocks = np.minimum(_unit(np.concatenate(corners, axis=2)), _CLIPPED)
        return _unit(blocks).astype(np.float32)

    def _histograms(self, luma: NDArray[np.float32]) -> NDArray[np.float64]:
        """The mean over each cell of the sizes of gradients of each orientation, (cells, cells, 9)."""
        height, width = luma.shape
        down, right = np.zeros((2, height, width))
        down[1:-1] = (luma[2:] - luma[:-2]) / 2
        right[:, 1:-1] = (luma[:, 2:] - luma[:, :-2]) / 2
        size = np.hypot(down, right)
        place = np.arctan2(down, right) / np.pi % 1.0 * N_ORIENTATIONS
        lower = np.floor(place).astype(np.int64)
        share = place - lower
        cell = cell_of(height, self.cells)[:, None] * self.cells + cell_of(width, self.cells)
        total = np.zeros(self.cells**2 * N_ORIENTATIONS)
        for bins, weights in ((lower, size * (1 - share)), (lower + 1, size * share)):
            index = cell * N_ORIENTATIONS + bins % N_ORIENTATIONS
            total += np.bincount(index.ravel(), weights.ravel(), len(total))
        counts = np.bincount(cell.ravel(), minlength=self.cells**2)
        return (total.reshape(-1, N_ORIENTATIONS) / counts[:, None]).reshape(self.cells, self.cells, N_ORIENTATIONS)


def _unit(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    return blocks / np.sqrt(np.square(blocks).sum(axis=2, keepdims=True) + _FLAT**2)
