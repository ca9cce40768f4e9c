"""SIFT descriptors as pictures: in each cell, the edges whose gradients it has."""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

__all__ = ["descriptor_pictures"]

_CELL = 9  # pixels
_ORIENTATIONS = 8
_CELLS = 4  # a side


def descriptor_pictures(descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Draw each entry as a short edge across its gradient, a little towards where the gradient points.

    Parameters
    ----------
    descriptors : float32 (n, 128) or (n, 128 · k²)
        4 × 4 cells, row by row, 8 orientations innermost; or units of a dictionary of them, of any sign. Of
        macrofeatures, the k × k neighbors row by row.

    Returns
    -------
    float32 (n, 1, 36 · k, 36 · k)
    """
    middle = (_CELL - 1) / 2
    rows, columns = np.mgrid[:_CELL, :_CELL] - middle
    angle = 2 * np.pi / _ORIENTATIONS * np.arange(_ORIENTATIONS)[:, None, None]
    along = np.cos(angle) * columns + np.sin(angle) * rows  # the gradient
    across = np.cos(angle) * rows - np.sin(angle) * columns
    edges = np.exp(-np.square(along - middle / 3) / 2 - np.square(across) / middle**2)
    n, n_entries = descriptors.shape
    neighbors = isqrt(n_entries // (_CELLS**2 * _ORIENTATIONS))  # a side
    cells = descriptors.reshape(n, neighbors, neighbors, _CELLS, _CELLS, _ORIENTATIONS)
    drawn = np.einsum("nabijk,kyx->naiybjx", cells, edges)
    side = neighbors * _CELLS * _CELL
    return drawn.reshape(n, 1, side, side).astype(np.float32)
