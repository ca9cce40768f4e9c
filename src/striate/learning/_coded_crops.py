"""Crops of images with the code maps that convolutional predictive sparse decomposition has for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from striate.coding.convolutional.windows import products_with_windows, synthesize

__all__ = ["CodedCrops", "HeldOutMaps"]


class CodedCrops(NamedTuple):
    """Crops of one size, scaled, with their maps, (n, n_components, n_rows, n_columns)."""

    images: NDArray[Any]  # (n, channels, height, width)
    weights: NDArray[Any]  # of the squared errors, (height, width)
    predicted: NDArray[Any]
    optimal: NDArray[Any]

    @property
    def n_positions(self) -> int:
        """Positions of a filter in all crops."""
        return self.optimal.size // self.optimal.shape[1]

    @property
    def rows(self) -> NDArray[Any]:
        """The optimal maps as codes of windows, (n_positions, n_components)."""
        n_components = self.optimal.shape[1]
        return np.ascontiguousarray(self.optimal.transpose(0, 2, 3, 1)).reshape(-1, n_components)

    def residual(self, filters: NDArray[Any], maps: NDArray[Any]) -> NDArray[Any]:
        """What maps do not explain, (n, channels, height, width)."""
        return np.asarray(self.images - synthesize(maps, filters))

    def weighted_residual(self, filters: NDArray[Any]) -> NDArray[Any]:
        """What the optimal maps do not explain, times the weights."""
        return np.asarray(self.weights * self.residual(filters, self.optimal))

    def descent(self, filters: NDArray[Any]) -> NDArray[Any]:
        """Minus the gradient of half the weighted squared error for the filters."""
        return products_with_windows(self.optimal, self.weighted_residual(filters), filters.shape)

    def error(self, filters: NDArray[Any], maps: NDArray[Any]) -> float:
        """Half the weighted squared error of maps, summed over all crops."""
        square = np.square(self.residual(filters, maps), dtype=np.float64)
        return 0.5 * float((self.weights * square).sum())


class HeldOutMaps(NamedTuple):
    """Result of an evaluation on held-out crops that are scaled to unit deviation: means per pixel and channel."""

    batch: int
    energy: float  # of the optimal maps, all three terms
    active: float  # coefficients of the optimal maps per position that are not 0
    error: float  # half the weighted squared error of the optimal maps
    predicted_error: float  # the same of the predicted maps

    @classmethod
    def measured(
        cls, batch: int, found: Sequence[CodedCrops], filters: NDArray[Any], *, sparsity: float, prediction: float
    ) -> Self:
        """Measure the maps of crops."""
        size = sum(crops.images.size for crops in found)
        error = sum(crops.error(filters, crops.optimal) for crops in found) / size
        predicted = sum(crops.error(filters, crops.predicted) for crops in found) / size
        l1 = sum(float(np.abs(crops.optimal).sum(dtype=np.float64)) for crops in found) / size
        apart = sum(float(np.square(crops.optimal - crops.predicted).sum(dtype=np.float64)) for crops in found) / size
        active = sum(np.count_nonzero(crops.optimal) for crops in found) / sum(crops.n_positions for crops in found)
        return cls(batch, error + sparsity * l1 + 0.5 * prediction * apart, float(active), error, predicted)

    def in_words(self) -> str:
        """One line for the progress."""
        return (
            f"energy {self.energy:.4f}, {self.active:.3g} active per position, "
            f"error {self.error:.4f}, predicted {self.predicted_error:.4f}"
        )
