"""A hierarchy as a torch module: the same features up to rounding, and gradients of everything."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from striate.errors import UsageError
from striate.hierarchy._layer import Layer
from striate.hierarchy._separable import gaussian_matrix
from striate.hierarchy.filter_bank import FilterBank
from striate.hierarchy.high_pass import HighPass
from striate.hierarchy.normalization import SIGMA_OVER_SIZE, LocalContrastNormalization
from striate.hierarchy.pooling import Pooling
from striate.hierarchy.rectification import Rectification

__all__ = ["twin_of"]


def twin_of(layers: tuple[Layer, ...]) -> torch.nn.Sequential:
    """A module that maps images (n, channels, height, width) to features (n, n_maps, height, width)."""
    return torch.nn.Sequential(*(_twin(layer) for layer in layers))


def _twin(layer: Layer) -> torch.nn.Module:
    if isinstance(layer, FilterBank):
        return FilterBankTwin(layer)
    if isinstance(layer, Rectification):
        return RectificationTwin()
    if isinstance(layer, HighPass):
        return HighPassTwin(layer.size)
    if isinstance(layer, LocalContrastNormalization):
        return NormalizationTwin(layer.size)
    if isinstance(layer, Pooling):
        pool = torch.nn.AvgPool2d if layer.how == "average" else torch.nn.MaxPool2d
        return pool(layer.size, layer.stride)
    raise UsageError(f"{layer.notation} has no twin in torch")


class FilterBankTwin(torch.nn.Module):
    """``gain · f(filters ∗ maps + bias)``; filters, bias, gain and thresholds are parameters."""

    def __init__(self, bank: FilterBank) -> None:
        super().__init__()
        if bank.filters is None:
            raise UsageError(f"{bank.notation} has no filters yet: learn them, or give them, before making its twin")
        self.filters = torch.nn.Parameter(torch.tensor(bank.filters))
        self.bias = _parameter(bank.bias, 0.0, bank.n_maps)
        self.gain = _parameter(bank.gain, 1.0, bank.n_maps)
        self.threshold = _parameter(bank.threshold, 0.0, bank.n_maps) if bank.nonlinearity == "shrink" else None
        self.table = None if bank.table is None else torch.tensor(bank.table)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps (n, n_inputs, height, width) filtered."""
        weights: torch.Tensor = self.filters
        if self.table is not None:
            table = self.table.to(weights.device)
            rows = torch.arange(len(weights), device=weights.device)[:, None].expand_as(table)
            dense = weights.new_zeros(len(weights), maps.shape[1], *weights.shape[2:])
            weights = dense.index_put((rows, table), weights, accumulate=True)
        sums = functional.conv2d(maps, weights, self.bias)
        if self.threshold is not None:
            threshold = self.threshold[:, None, None]
            squashed = sums - torch.minimum(torch.maximum(sums, -threshold), threshold)
        else:
            squashed = torch.tanh(sums)
        return self.gain[:, None, None] * squashed


def _parameter(values: NDArray[np.float32] | None, default: float, n: int) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.full((n,), default) if values is None else torch.tensor(values))


class RectificationTwin(torch.nn.Module):
    """The absolute value."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps rectified."""
        return maps.abs()


class HighPassTwin(torch.nn.Module):
    """Subtraction of the local mean over space and maps."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps (n, n_maps, height, width) without what they have in common."""
        return maps - self.local_mean(maps)

    def local_mean(self, maps: torch.Tensor) -> torch.Tensor:
        """Gaussian mean over all maps, (n, 1, height, width)."""
        rows, columns = (
            torch.from_numpy(gaussian_matrix(length, self.size, self.size * SIGMA_OVER_SIZE)).to(maps)
            for length in maps.shape[2:]
        )
        mean: torch.Tensor = rows @ maps.mean(dim=1, keepdim=True) @ columns.T
        return mean


class NormalizationTwin(HighPassTwin):
    """Local contrast normalization over space and maps."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps (n, n_maps, height, width) normalized."""
        centered = super().forward(maps)
        variance = self.local_mean(centered.square())
        # The root has no derivative at 0, where an image is blank.
        deviation = variance.clamp_min(torch.finfo(maps.dtype).tiny).sqrt()
        return centered / torch.maximum(deviation, deviation.mean(dim=(2, 3), keepdim=True))
