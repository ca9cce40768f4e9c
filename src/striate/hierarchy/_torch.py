"""A hierarchy as a torch module: the same features up to rounding, and gradients of everything.

Layers describe their twins by `_TorchOperations`. Only these use the order of axes of torch's convolutions: images (n,
n_maps, height, width).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.autograd.function import once_differentiable
from torch.nn import functional

from striate.errors import UsageError
from striate.hierarchy._separable import gaussian_matrix
from striate.hierarchy._trained_stage import Together, pass_back, pass_on, together
from striate.hierarchy.layer import Layer, Operations
from striate.hierarchy.pyramid_pooling import cell_of

__all__ = ["twin_of"]

_FEWEST_SHARE = 8  # output maps with the same inputs for which a convolution in groups is worth while


def twin_of(layers: Sequence[Layer]) -> HierarchyTwin:
    """A module that maps images (n, channels, height, width) to features (n, n_maps, height, width)."""
    return HierarchyTwin(*(LayerTwin(layer) for layer in layers))


class HierarchyTwin(torch.nn.Sequential):
    """The twins of layers, one module each; those of a stage run together where striate has kernels for it.

    That is for float32 on a CPU, and a bank of tanh filters with the absolute value, the local contrast normalization
    and the averages that follow it. Hooks of these modules are then not called.
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """The output of the last layer."""
        twins = cast(list[LayerTwin], list(self))
        is_recorded = torch.jit.is_tracing() or torch.compiler.is_compiling()  # for an export, of torch's operations
        while twins:
            n, how = 0, None
            if maps.dtype == torch.float32 and maps.device.type == "cpu" and not is_recorded:
                n, how = together([twin.layer for twin in twins])
            if how is None:
                maps = twins.pop(0)(maps)
                continue
            bank: Any = twins[0]
            responses = _TorchOperations.correlate(maps, bank.filters, None, bank.layer.table)
            maps = _Stage.apply(responses, bank.bias, bank.gain, how)
            del twins[:n]
        return maps


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
        bias: torch.Tensor | None,
        table: NDArray[np.int64] | None,
        stride: int = 1,
    ) -> torch.Tensor:
        if table is None:
            return functional.conv2d(maps, filters, bias, stride)
        if (found := _shared_sets(table)) is not None:
            sets, order = (torch.tensor(each, device=filters.device) for each in found)
            ordered = None if bias is None else bias[order]
            made = functional.conv2d(_taken(maps, sets.flatten()), filters[order], ordered, stride, groups=len(sets))
            return _taken(made, order.argsort())
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
    def smooth_threshold(maps: torch.Tensor, threshold: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        is_positive = maps >= 0
        # Not abs, whose derivative at 0 is 0: there, the slope is exp(−β·threshold).
        size = torch.where(is_positive, maps, -maps)
        beyond, inner = size - threshold, torch.minimum(size, threshold)
        rest = torch.log1p(torch.exp(-beta * beyond.abs()) * -torch.expm1(-beta * inner)) / beta
        found = beyond.clamp_min(0) + rest
        return torch.where(is_positive, found, -found)

    @staticmethod
    def root(maps: torch.Tensor) -> torch.Tensor:
        # The root has no derivative at 0, its argument for a blank image.
        return maps.clamp_min(torch.finfo(maps.dtype).tiny).sqrt()

    @staticmethod
    def maximum(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return torch.maximum(first, second)

    @staticmethod
    def local_mean(maps: torch.Tensor, size: int, sigma: float) -> torch.Tensor:
        return _windowed(maps.mean(dim=1, keepdim=True), *_windows(maps, size, sigma))

    @staticmethod
    def normalize_contrast(maps: torch.Tensor, size: int, sigma: float) -> torch.Tensor:
        made: torch.Tensor = _ContrastNormalization.apply(maps, *_windows(maps, size, sigma))
        return made

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


class _Stage(torch.autograd.Function):
    """What follows the filters of a stage, by kernels, which overwrite the responses that they are given."""

    @staticmethod
    def forward(
        ctx: Any, responses: torch.Tensor, bias: torch.Tensor, gain: torch.Tensor, how: Together
    ) -> torch.Tensor:
        maps = responses.detach().movedim(1, 3).contiguous()
        made, ctx.passed = pass_on(maps.numpy(), bias.detach().numpy(), gain.detach().numpy(), how)
        return torch.from_numpy(made).movedim(3, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if ctx.passed is None:
            raise RuntimeError("the derivatives of a stage can be taken once; compute its features again")
        found = pass_back(slopes.movedim(1, 3).contiguous().numpy(), ctx.passed)
        ctx.passed = None
        of_responses, of_bias, of_gain = (torch.from_numpy(each) for each in found)
        return of_responses.movedim(3, 1), of_bias, of_gain, None


class _ContrastNormalization(torch.autograd.Function):
    """Local contrast normalization with its own derivatives: a third of the passes over all maps, which bound its time.

    ``v = x − μ``, ``y = v / D`` and ``D = max(d, mean d)``, where μ and ``d² = W(mean v²)`` are one map each. For the
    gradient g of y, that of v is ``g / D + y·s`` and that of x is ``g / D + y·s − t``, where s and t are one map each:
    sums over maps are all that the windows see.
    """

    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        means = maps.mean(dim=1, keepdim=True)
        local = _windowed(means, rows, columns)
        made = maps - local
        power = _windowed(_over_maps(made, made) / maps.shape[1], rows, columns)
        deviation = _deviation(power)
        made /= torch.maximum(deviation, deviation.mean(dim=(2, 3), keepdim=True))
        ctx.save_for_backward(made, power, means - local, rows, columns)
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        made, power, means, rows, columns = ctx.saved_tensors
        n_maps, deviation = made.shape[1], _deviation(power)
        floor = deviation.mean(dim=(2, 3), keepdim=True)
        divisor = torch.maximum(deviation, floor)
        of_divisor = -_over_maps(slopes, made) / divisor
        # Of two equal numbers, each has half of the slope, as torch has it for the maximum.
        share = ((deviation > floor).to(slopes) + (deviation >= floor).to(slopes)) / 2
        of_deviation = of_divisor * share + (of_divisor * (1 - share)).mean(dim=(2, 3), keepdim=True)
        of_mean_square = _windowed(_root_slope(power) * of_deviation, rows.T, columns.T)
        factor = of_mean_square * (2 / n_maps)
        sums = slopes.sum(dim=1, keepdim=True) / divisor + factor * means * n_maps
        found = slopes * (1 / divisor)
        found.addcmul_(made, factor * divisor)
        found -= _windowed(sums / n_maps, rows.T, columns.T)
        return found, None, None


def _windows(maps: torch.Tensor, size: int, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The matrices that average a map (height, width) over a Gaussian window, along its columns and its rows."""
    rows, columns = (torch.from_numpy(gaussian_matrix(length, size, sigma)).to(maps) for length in maps.shape[2:])
    return rows, columns


def _windowed(one_map: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    return rows @ one_map @ columns.T


def _over_maps(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The sum of products over all maps: one map."""
    return torch.linalg.vecdot(first, second, dim=1)[:, None]


def _deviation(power: torch.Tensor) -> torch.Tensor:
    # Not 0, by which a blank image would be divided.
    return power.clamp_min(torch.finfo(power.dtype).tiny).sqrt()


def _root_slope(power: torch.Tensor) -> torch.Tensor:
    """The derivative of the deviation, 0 where it is bounded below."""
    is_free = power >= torch.finfo(power.dtype).tiny
    return torch.where(is_free, 0.5 / _deviation(power), 0)


def _taken(maps: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """Some of the maps, in an order of memory in which maps are the last axis, for slopes as well.

    Selected along the second axis, both would have maps first, and layers before and after would copy them.
    """
    return maps.movedim(1, 3)[..., which].movedim(3, 1)


def _shared_sets(table: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Sets of input maps that equally many output maps share, and the output maps in their order; None if too few do.

    Each set is then a group of a convolution, for a third of the time of a dense one with zeros (8 sets of 8 maps, of
    50 in all, for 16 outputs each).
    """
    sets, which, counts = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    if counts.min() < max(_FEWEST_SHARE, counts.max()):
        return None
    return sets, np.argsort(which.ravel(), kind="stable")


def _cells(maps: torch.Tensor, n_cells: int, axis: int) -> tuple[torch.Tensor, ...]:
    lengths = np.bincount(cell_of(maps.shape[axis], n_cells))
    return torch.split(maps, lengths.tolist(), dim=axis)


_OPERATIONS: Operations = _TorchOperations()
