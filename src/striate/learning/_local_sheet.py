"""A sheet of units with local fields: which pixels each one sees, how fields and images are laid out, and pools."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from striate.kernels.tiles import TILE, TOGETHER

__all__ = ["Axis", "LocalSheet", "field_window", "images_of", "in_groups", "pool_axis"]

_REACH = 3.0  # standard deviations of a pool's Gaussian, after which it ends


class LocalSheet(NamedTuple):
    """Units at every position of a field inside an image, whose fields repeat after a period.

    Rows and columns of units are even in the arrays of the kernels: a last one that is not there has codes of 0.
    """

    n_rows: int
    n_columns: int
    period: tuple[int, int]
    kernel: tuple[int, int]
    n_channels: int

    @classmethod
    def of(cls, image_shape: tuple[int, ...], period: tuple[int, int], kernel: tuple[int, int]) -> Self:
        """The sheet for images (…, channels, height, width)."""
        channels, height, width = image_shape[-3:]
        return cls(height - kernel[0] + 1, width - kernel[1] + 1, period, kernel, channels)

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns of units in arrays."""
        return self.n_rows + self.n_rows % TILE, self.n_columns + self.n_columns % TILE

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of pixels in arrays."""
        rows, columns = self.padded
        return self.n_channels, rows + self.kernel[0] - 1, columns + self.kernel[1] - 1

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles with different fields."""
        rows, columns = (
            min(math.lcm(of, TILE) // TILE, n // TILE) for of, n in zip(self.period, self.padded, strict=True)
        )
        return rows, columns

    def packed(self, fields: NDArray[Any]) -> NDArray[Any]:
        """Fields (n_fields, channels, height, width) as kernels read them, tile by tile."""
        height, width = self.kernel
        grid = fields.reshape(*self.period, *fields.shape[1:])
        found = np.zeros((*self.tiles, self.n_channels, height + 1, width + 1, TILE, TILE), fields.dtype)
        for r in range(TILE):
            for c in range(TILE):
                part = grid[np.ix_(*self._phases(r, c))]
                found[:, :, :, r : r + height, c : c + width, r, c] = part
        return found.reshape(*self.tiles, self.n_channels, -1, TILE * TILE)

    def unpacked(self, packed: NDArray[Any]) -> NDArray[Any]:
        """The adjoint of `packed`: sums over the places of each field."""
        height, width = self.kernel
        tiles = packed.reshape(*self.tiles, self.n_channels, height + 1, width + 1, TILE, TILE)
        grid = np.zeros((*self.period, self.n_channels, height, width), packed.dtype)
        for r in range(TILE):
            for c in range(TILE):  # no field is in the same place of two tiles
                grid[np.ix_(*self._phases(r, c))] += tiles[:, :, :, r : r + height, c : c + width, r, c]
        return grid.reshape(-1, self.n_channels, height, width)

    def _phases(self, row: int, column: int) -> list[NDArray[np.int64]]:
        """The row and column of the fields of units at one place of each tile."""
        return [
            (TILE * np.arange(n) + place) % of
            for n, place, of in zip(self.tiles, (row, column), self.period, strict=True)
        ]

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """One number for each field (n_fields,) at its units, (rows, columns), 0 at those that are not there."""
        rows, columns = np.arange(self.n_rows) % self.period[0], np.arange(self.n_columns) % self.period[1]
        found = np.zeros(self.padded, values.dtype)
        found[: self.n_rows, : self.n_columns] = values.reshape(self.period)[np.ix_(rows, columns)]
        return found

    def gathered(self, values: NDArray[Any]) -> NDArray[Any]:
        """The adjoint of `spread`: sums over the units (rows, columns) of each field."""
        found = np.zeros(self.period, values.dtype)
        rows, columns = np.arange(self.n_rows) % self.period[0], np.arange(self.n_columns) % self.period[1]
        np.add.at(found, np.ix_(rows, columns), values[: self.n_rows, : self.n_columns])
        return found.reshape(-1)

    def n_places(self) -> NDArray[np.int64]:
        """How many units have each field, (n_fields,)."""
        return self.gathered(np.ones(self.padded, np.int64))

    def codes_of(self, groups: NDArray[Any], n_images: int) -> NDArray[Any]:
        """Codes in groups, (n_groups, rows, columns, together), as maps (n_images, n_rows, n_columns)."""
        return images_of(groups[:, np.newaxis, : self.n_rows, : self.n_columns], n_images)[:, 0]

    def groups_of(self, codes: NDArray[Any]) -> NDArray[Any]:
        """The inverse of `codes_of`."""
        return np.ascontiguousarray(in_groups(codes[:, np.newaxis], self.padded)[:, 0])


def in_groups(images: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Images (n, channels, height, width) in groups whose numbers are neighbors; padded with 0 to a size.

    Returns
    -------
    ndarray (n_groups, channels, height, width, together)
    """
    n, channels, height, width = images.shape
    together = TOGETHER[images.dtype]
    n_groups = -(-n // together)
    found = np.zeros((n_groups, together, channels, *size), images.dtype)
    found.reshape(-1, channels, *size)[:n, :, :height, :width] = images
    return np.ascontiguousarray(found.transpose(0, 2, 3, 4, 1))


def images_of(groups: NDArray[Any], n_images: int) -> NDArray[Any]:
    """The inverse of `in_groups`, without padding images."""
    channels, height, width = groups.shape[1:4]
    return np.ascontiguousarray(groups.transpose(0, 4, 1, 2, 3)).reshape(-1, channels, height, width)[:n_images]


def field_window(kernel: tuple[int, int], plateau: float) -> NDArray[np.float64]:
    """The window of fields, (height, width): 1 up to a share of the radius, then a raised cosine that ends in 0.

    Distances are relative to half the side, and half a pixel more, so that no pixel on an axis is 0.
    """
    rows, columns = (2 * np.abs(np.arange(n) - (n - 1) / 2) / (n + 1) for n in kernel)
    distance = np.minimum(np.hypot(rows[:, np.newaxis], columns), 1)
    ramp = np.clip((distance - plateau) / (1 - plateau), 0, 1) if plateau < 1 else np.zeros_like(distance)
    return np.asarray(np.where(ramp < 1, np.square(np.cos(np.pi / 2 * ramp)), 0.0))


class Axis(NamedTuple):
    """Sums over windows along one axis, in the form of the kernel: input numbers and shares of each output number."""

    starts: NDArray[np.int64]
    places: NDArray[np.int32]
    shares: NDArray[Any]

    @classmethod
    def of(cls, matrix: NDArray[np.float64], dtype: np.dtype[Any]) -> Self:
        """The axis of a matrix (n_outputs, n_inputs) that is mostly 0."""
        rows, columns = np.nonzero(matrix)
        starts = np.searchsorted(rows, np.arange(len(matrix) + 1)).astype(np.int64)
        return cls(starts, columns.astype(np.int32), matrix[rows, columns].astype(dtype))


def pool_axis(n_units: int, n_padded: int, sigma: float, stride: int) -> NDArray[np.float64]:
    """Weights of units along one axis in pools, (n_pools, n_padded): Gaussians whose sum is 1 far from borders.

    Pools lie at units 0, stride, 2·stride, … . With a sigma of 0, each holds its own unit.
    """
    places = np.arange(0, n_units, stride)
    distances = np.arange(n_padded) - places[:, np.newaxis]
    reach = math.ceil(_REACH * sigma)
    if not reach:
        return (distances == 0).astype(np.float64)
    weights = np.where(np.abs(distances) <= reach, np.exp(-0.5 * np.square(distances / sigma)), 0.0)
    weights[:, n_units:] = 0
    total = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma)).sum()
    return np.asarray(weights / total)
