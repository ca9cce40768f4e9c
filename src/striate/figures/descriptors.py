"""SIFT descriptors as images: each cell shows the edges that belong to its gradients."""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.samples import as_samples

__all__ = ["descriptor_images"]

_CELL = 9  # pixels
_ORIENTATIONS = 8
_CELLS = 4  # per side


def descriptor_images(descriptors: ArrayLike) -> NDArray[np.float32]:
    """Draw each entry as a short edge at right angles to its gradient, moved a little in the gradient's direction.

    Parameters
    ----------
    descriptors : float32 (n, 128) or (n, 128 · k²)
        4 × 4 cells row by row, 8 orientations innermost; descriptors, or units of a dictionary of them, of any sign.
        Macrofeatures hold k × k neighboring descriptors, row by row.

    Returns
    -------
    float32 (n, 1, 36 · k, 36 · k)
    """
    given = as_samples(descriptors, name="descriptors")
    n, n_entries = given.shape
    neighbors = isqrt(n_entries // (_CELLS**2 * _ORIENTATIONS))  # per side
    if not n_entries or n_entries != neighbors**2 * _CELLS**2 * _ORIENTATIONS:
        raise UsageError(f"descriptors have {n_entries} entries; give 128, or 128 times a square number")
    middle = (_CELL - 1) / 2
    rows, columns = np.mgrid[:_CELL, :_CELL] - middle
    angle = 2 * np.pi / _ORIENTATIONS * np.arange(_ORIENTATIONS)[:, None, None]
    along = np.cos(angle) * columns + np.sin(angle) * rows  # the gradient
    across = np.cos(angle) * rows - np.sin(angle) * columns
    edges = np.exp(-np.square(along - middle / 3) / 2 - np.square(across) / middle**2)
    cells = given.reshape(n, neighbors, neighbors, _CELLS, _CELLS, _ORIENTATIONS)
    drawn = np.einsum("nabijk,kyx->naiybjx", cells, edges)
    side = neighbors * _CELLS * _CELL
    return drawn.reshape(n, 1, side, side).astype(np.float32)
