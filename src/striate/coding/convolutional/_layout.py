"""How an image lies in memory for the kernels, and where the windows are that filters cover."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Layout", "whole_vectors"]


def whole_vectors(n: int) -> int:
    """A number of columns, rounded up to whole vectors."""
    from striate.kernels.simd import padded  # which loads numba

    return padded(n)


class Layout(NamedTuple):
    """An image as rows (height · n_channels, length): for each row of the image, one row of each channel.

    A filter covers `n_runs` neighboring ones of these rows, so that kernels need not know of channels. Rows are padded
    with zeros, and loops over whole vectors stay inside the array at every position.
    """

    n_channels: int
    height: int
    width: int
    filter_height: int
    filter_width: int

    @property
    def n_rows(self) -> int:
        """Rows of positions, and of code maps."""
        return self.height - self.filter_height + 1

    @property
    def n_columns(self) -> int:
        """Columns of positions, and of code maps."""
        return self.width - self.filter_width + 1

    @property
    def n_runs(self) -> int:
        """Rows of a window, over all channels."""
        return self.filter_height * self.n_channels

    @property
    def length(self) -> int:
        """Numbers in a padded row."""
        return whole_vectors(self.n_columns - 1 + whole_vectors(self.filter_width))

    @property
    def stripe_height(self) -> int:
        """Rows of positions in a stripe, whose windows overlap those of the stripes next to it only."""
        return max(16, 2 * self.filter_height)

    @property
    def n_stripes(self) -> int:
        return -(-self.n_rows // self.stripe_height)

    @classmethod
    def of(cls, image_shape: tuple[int, ...], filters_shape: tuple[int, ...]) -> Layout:
        """For an image (n_channels, height, width) and filters (n_maps, n_channels, height, width)."""
        return cls(image_shape[0], image_shape[1], image_shape[2], filters_shape[2], filters_shape[3])

    def rows_of(self, image: NDArray[Any], dtype: np.dtype) -> NDArray[Any]:
        """An image (n_channels, height, width) as rows."""
        rows = np.zeros((self.height, self.n_channels, self.length), dtype)
        rows[:, :, : self.width] = image.transpose(1, 0, 2)
        return rows.reshape(self.height * self.n_channels, self.length)

    def image_of(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The image (n_channels, height, width) that rows hold."""
        parts = rows.reshape(self.height, self.n_channels, self.length)[:, :, : self.width]
        return np.ascontiguousarray(parts.transpose(1, 0, 2))

    def places_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in the flat rows the windows begin of positions, which are row · n_columns + column."""
        rows, columns = np.divmod(positions, self.n_columns)
        return np.asarray(rows * (self.n_channels * self.length) + columns)
