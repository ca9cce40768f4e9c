"""Filters in the layouts that kernels read."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding.convolutional._layout import whole_vectors

__all__ = ["FilterArrays"]


class FilterArrays:
    """Filters in one dtype, in the layouts of the kernels: a row of each channel for each row of the filter."""

    def __init__(self, filters: NDArray[np.float64], dtype: np.dtype) -> None:
        n_maps, n_channels, height, self.width = filters.shape
        self.n_maps, self.n_runs, self.dtype = n_maps, height * n_channels, dtype
        self._runs = filters.transpose(0, 2, 1, 3).reshape(n_maps, self.n_runs, self.width)

    @cached_property
    def windows(self) -> NDArray[Any]:
        """(n_maps, n_runs, whole vectors): rows padded with zeros."""
        return self._padded(self._runs)

    @cached_property
    def squares(self) -> NDArray[Any]:
        """The same of the filters' squares, whose products with a mask's weights are squared norms."""
        return self._padded(self._runs**2)

    @cached_property
    def squared_norms(self) -> NDArray[Any]:
        """(n_maps,), of the filters as they were rounded."""
        return np.einsum("kru,kru->k", self.windows, self.windows, dtype=np.float64).astype(self.dtype)

    @cached_property
    def panels(self) -> NDArray[Any]:
        """(n_panels, n_runs · width, maps per panel), padded with filters that are 0."""
        from striate.kernels.convolution import panel_width

        panel = panel_width(self.dtype)
        whole = np.zeros((-(-self.n_maps // panel) * panel, self.n_runs * self.width), self.dtype)
        whole[: self.n_maps] = self._runs.reshape(self.n_maps, -1)
        return np.ascontiguousarray(whole.reshape(-1, panel, whole.shape[1]).transpose(0, 2, 1))

    def _padded(self, runs: NDArray[np.float64]) -> NDArray[Any]:
        result = np.zeros((self.n_maps, self.n_runs, whole_vectors(self.width)), self.dtype)
        result[:, :, : self.width] = runs
        return result
