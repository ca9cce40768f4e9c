"""The coefficients that solvers work with, ordered by their position."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding.convolutional._layout import Layout
from striate.coding.convolutional.sparse_maps import SparseMaps

__all__ = ["WorkingSet"]


class WorkingSet:
    """Coefficients that may differ from 0, ordered by row, column and map.

    Parameters
    ----------
    layout : Layout
    positions : int64 (n,)
        Row times `n_columns` plus column.
    maps : int32 (n,)
    values : float (n,)
    """

    def __init__(
        self, layout: Layout, positions: NDArray[np.int64], maps: NDArray[np.int32], values: NDArray[Any]
    ) -> None:
        self.layout, self.positions, self.maps, self.values = layout, positions, maps, values

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where the coefficients of each row begin, (n_rows + 1,)."""
        ends = np.arange(self.layout.n_rows + 1) * self.layout.n_columns
        return np.searchsorted(self.positions, ends).astype(np.int64)

    @cached_property
    def columns(self) -> NDArray[np.int32]:
        """The column of each coefficient."""
        return (self.positions % self.layout.n_columns).astype(np.int32)

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Where the window of each coefficient begins in the flat rows of the image."""
        return self.layout.places_of(self.positions)

    def extended(self, strengths: NDArray[Any], strongest: NDArray[np.int32], limit: float) -> WorkingSet:
        """Without the coefficients that are 0, and with those of positions whose strength is above the limit."""
        kept = np.flatnonzero(self.values)
        new = np.flatnonzero(strengths > limit)
        positions = np.concatenate([self.positions[kept], new])
        maps = np.concatenate([self.maps[kept], strongest.reshape(-1)[new]])
        values = np.concatenate([self.values[kept], np.zeros(len(new), self.values.dtype)])
        # Two sorted sequences, which a stable sort merges in linear time.
        order = np.argsort(positions * (int(maps.max(initial=0)) + 1) + maps, kind="stable")
        return WorkingSet(self.layout, positions[order], maps[order], values[order])

    def converted(self, dtype: np.dtype, exponent: int = 0) -> WorkingSet:
        """With values times 2 to a power, in another type."""
        with np.errstate(over="ignore", under="ignore"):
            values = np.ldexp(self.values.astype(np.float64), exponent).astype(dtype)
        return WorkingSet(self.layout, self.positions, self.maps, values)

    @classmethod
    def from_sparse(cls, layout: Layout, codes: SparseMaps) -> WorkingSet:
        """From the sparse maps of an image, in any order."""
        maps, rows, columns = codes.coordinates.T.astype(np.int64)
        positions = rows * layout.n_columns + columns
        order = np.lexsort((maps, positions))
        return cls(layout, positions[order], maps[order].astype(np.int32), codes.values[order])

    def to_sparse(self, n_maps: int) -> SparseMaps:
        """The coefficients that are not 0 as sparse maps."""
        kept = np.flatnonzero(self.values)
        rows, columns = np.divmod(self.positions[kept], self.layout.n_columns)
        coordinates = np.stack([self.maps[kept], rows, columns], axis=1).astype(np.int32)
        return SparseMaps((n_maps, self.layout.n_rows, self.layout.n_columns), coordinates, self.values[kept])
