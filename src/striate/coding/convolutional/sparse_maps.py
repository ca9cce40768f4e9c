"""The code maps of one image as coordinates and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.samples import float_type

__all__ = ["SparseMaps"]


@dataclass(frozen=True, eq=False)
class SparseMaps:
    """Code maps of one image, of which only the coefficients that are not 0 are kept.

    Attributes
    ----------
    shape : (n_maps, height, width)
        Of the maps: ``height`` and ``width`` are the number of positions of a filter in the image.
    coordinates : int32 (n_active, 3)
        Map, row and column of each coefficient, sorted by row, then column, then map. The filter's upper left corner
        lies at this row and column of the image.
    values : float (n_active,)

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import SparseMaps
    >>> maps = np.zeros((2, 3, 3))
    >>> maps[1, 0, 2] = 5
    >>> SparseMaps.from_array(maps).coordinates
    array([[1, 0, 2]], dtype=int32)
    """

    shape: tuple[int, int, int]
    coordinates: NDArray[np.int32]
    values: NDArray[Any]

    @classmethod
    def from_array(cls, maps: ArrayLike) -> SparseMaps:
        """From dense maps (n_maps, height, width).

        Raises
        ------
        UsageError
            For anything that is not such an array of real numbers.
        """
        array = np.asarray(maps)
        if array.ndim != 3 or array.dtype.kind not in "fiub":
            raise UsageError(f"maps are real numbers (n_maps, height, width), not {array.dtype} of {array.shape}")
        rows, columns, units = np.nonzero(array.transpose(1, 2, 0))
        values = array[units, rows, columns]
        coordinates = np.stack([units, rows, columns], axis=1).astype(np.int32)
        n_maps, height, width = array.shape
        return cls((n_maps, height, width), coordinates, values.astype(float_type(array.dtype), copy=False))

    def toarray(self) -> NDArray[Any]:
        """Dense maps, (n_maps, height, width)."""
        maps = np.zeros(self.shape, self.values.dtype)
        maps[tuple(self.coordinates.T)] = self.values
        return maps
