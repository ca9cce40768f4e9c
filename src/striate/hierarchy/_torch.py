"""A hierarchy as a torch module: the same features up to rounding, and gradients of everything.

Layers describe their twins by `_TorchOperations`. Only these use the order of axes of torch's convolutions: images (n,
n_maps, height, width).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from striate.errors import UsageError
from striate.hierarchy._separable import gaussian_matrix
from striate.hierarchy.layer import Layer, Operations
from striate.hierarchy.pyramid_pooling import cell_of

__all__ = ["twin_of"]


def twin_of(layers: Sequence[Layer]) -> torch.nn.Sequential:
    """A module that maps images (n, channels, height, width) to features (n, n_maps, height, width)."""
    return torch.nn.Sequential(*(LayerTwin(layer) for layer in layers))


class LayerTwin(torch.nn.Module):
    """A layer's twin; the weights of the layer are its parameters."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        if not layer.has_twin:
            raise UsageError(f"{layer.notation} has no twin in torch")
        self.layer = layer
        self.names = tuple(layer.weights())
        for name, values in layer.weights().items():
            self.register_parameter(name, torch.nn.Parameter(torch.tensor(values)))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """The layer's output for maps (n, n_maps, height, width)."""
        made: torch.Tensor = self.layer.twin(maps, {name: getattr(self, name) for name in self.names}, _OPERATIONS)
        return made


class _TorchOperations:
    """See `Operations`, which describes each of them."""

    @staticmethod
    def correlate(
        maps: torch.Tensor,
        filters: torch.Tensor,
        bias: torch.Tensor,
        table: NDArray[np.int64] | None,
        stride: int = 1,
    ) -> torch.Tensor:
        if table is not None:
            columns = torch.tensor(table, device=filters.device)
            rows = torch.arange(len(filters), device=filters.device)[:, None].expand_as(columns)
            dense = filters.new_zeros(len(filters), maps.shape[1], *filters.shape[2:])
            filters = dense.index_put((rows, columns), filters, accumulate=True)
        return functional.conv2d(maps, filters, bias, stride)

    @staticmethod
    def per_map(values: torch.Tensor) -> torch.Tensor:
        return values[:, None, None]

    @staticmethod
    def mirror(maps: torch.Tensor) -> torch.Tensor:
        return maps.flip(3)

    @staticmethod
    def per_feature(values: torch.Tensor) -> torch.Tensor:
        return values

    @staticmethod
    def constant(values: NDArray[Any], maps: torch.Tensor) -> torch.Tensor:
        return torch.tensor(values).to(maps)

    @staticmethod
    def computed(transform: Callable[[NDArray[np.float32]], NDArray[np.float32]], maps: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(transform(maps.detach().cpu().numpy())).to(maps)

    @staticmethod
    def pad(maps: torch.Tensor, width: int) -> torch.Tensor:
        return functional.pad(maps, (width, width, width, width))

    @staticmethod
    def tanh(maps: torch.Tensor) -> torch.Tensor:
        return torch.tanh(maps)

    @staticmethod
    def soft_threshold(maps: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
        return maps - torch.minimum(torch.maximum(maps, -threshold), threshold)

    @staticmethod
    def root(maps: torch.Tensor) -> torch.Tensor:
        # The root has no derivative at 0, its argument for a blank image.
        return maps.clamp_min(torch.finfo(maps.dtype).tiny).sqrt()

    @staticmethod
    def maximum(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return torch.maximum(first, second)

    @staticmethod
    def local_mean(maps: torch.Tensor, size: int, sigma: float) -> torch.Tensor:
        rows, columns = (torch.from_numpy(gaussian_matrix(length, size, sigma)).to(maps) for length in maps.shape[2:])
        mean: torch.Tensor = rows @ maps.mean(dim=1, keepdim=True) @ columns.T
        return mean

    @staticmethod
    def mean_over_image(maps: torch.Tensor) -> torch.Tensor:
        return maps.mean(dim=(2, 3), keepdim=True)

    @staticmethod
    def concatenate(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return torch.cat([first, second], dim=1)

    @staticmethod
    def mix(maps: torch.Tensor, weights: Callable[[int], Sequence[float]]) -> torch.Tensor:
        values = torch.tensor(weights(maps.shape[1])).to(maps)
        mixed: torch.Tensor = (maps[:, : len(values)] * values[:, None, None]).sum(dim=1, keepdim=True)
        return mixed

    @staticmethod
    def flat_features(maps: torch.Tensor) -> torch.Tensor:
        return maps.flatten(1)[:, :, None, None]

    @staticmethod
    def unit_features(maps: torch.Tensor) -> torch.Tensor:
        values = _TorchOperations.flat_features(maps)
        norm = (values * values).sum(dim=1, keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny).sqrt()
        return values / norm

    @staticmethod
    def pool_cells(maps: torch.Tensor, how: Literal["average", "max"], cells: int) -> torch.Tensor:
        pooled = []
        for rows in _cells(maps, cells, 2):
            for cell in _cells(rows, cells, 3):
                pooled.append(cell.mean(dim=(2, 3)) if how == "average" else cell.amax(dim=(2, 3)))
        return torch.stack(pooled, dim=2).unflatten(2, (cells, cells))

    @staticmethod
    def pool(maps: torch.Tensor, how: Literal["average", "max"], size: int, stride: int) -> torch.Tensor:
        return (functional.avg_pool2d if how == "average" else functional.max_pool2d)(maps, size, stride)


def _cells(maps: torch.Tensor, n_cells: int, axis: int) -> tuple[torch.Tensor, ...]:
    lengths = np.bincount(cell_of(maps.shape[axis], n_cells))
    return torch.split(maps, lengths.tolist(), dim=axis)


_OPERATIONS: Operations = _TorchOperations()
