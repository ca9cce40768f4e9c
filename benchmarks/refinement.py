"""A step of refinement beside the same network written in torch: python benchmarks/refinement.py.

Two stages and a classifier, with the sizes of Jarrett et al. 2009: a batch of 32 images forward and backward, and a
step of AdamW. One contestant is written as one writes it first, with local normalization as a convolution of all maps
with a Gaussian window. Another averages the maps before the window, which is the same, and the window is a row and a
column there. All have the same logits and gradients, which is asserted in double precision.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from _harness import Harness
from torch.nn import functional

from striate import Hierarchy, threads
from striate.hierarchy import FilterBank, Layer, Pooling, connection_sets
from striate.hierarchy.normalization import SIGMA_OVER_SIZE
from striate.recognition._torch import Network
from striate.recognition.linear_head import LinearHead

BATCH = 32
WORKLOADS = {
    "Caltech-101, 64 and 256 maps of 143x143": (
        "64F9x9 - Rabs - N - PA10x10/5 - 256F9x9:16 - Rabs - N - PA6x6/4", 143, 102,
    ),
    "MNIST, 50 and 128 maps of 34x34": ("50F7x7 - Rabs - N - PA2x2/2 - 128F5x5:8 - Rabs - N - PA2x2/2", 34, 10),
}  # fmt: skip


def main() -> None:
    """Both workloads, with two threads."""
    harness = Harness("refinement", "A step of refinement beside the same network in torch, batches of 32.")
    with threads.limit(2):
        torch.set_num_threads(2)
        for name, (notation, side, n_classes) in WORKLOADS.items():
            compare(harness, name, with_random_filters(notation), side, n_classes)
    harness.finish()


def compare(harness: Harness, name: str, hierarchy: Hierarchy, side: int, n_classes: int) -> None:
    """Time one step of each."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.standard_normal((BATCH, 1, side, side), dtype=np.float32))
    targets = torch.from_numpy(rng.integers(0, n_classes, BATCH))
    n_features = int(np.prod(hierarchy.output_shape((1, side, side))))
    weights = (rng.standard_normal((n_classes, n_features)) / np.sqrt(n_features)).astype(np.float32)
    none, one = np.zeros(n_features, np.float32), np.ones(n_features, np.float32)
    head = LinearHead(none, one, False, weights, np.zeros(n_classes, np.float32))
    networks = {
        "striate": Network(hierarchy, head),
        "torch, plainly": Plain(hierarchy, weights, separable=False),
        "torch, separable windows": Plain(hierarchy, weights, separable=True),
    }
    check({each: gradients(network, images[:4], targets[:4]) for each, network in networks.items()})
    steps = {each: step_of(network, images, targets) for each, network in networks.items()}
    timings = harness.alternate(steps, pause=0.2)
    goal = {"striate": 0.7 * timings.median("torch, plainly")}
    harness.report(name, timings, reference="torch, plainly", goals=goal, threads=2, batch=BATCH)


def with_random_filters(notation: str) -> Hierarchy:
    """An architecture whose filters are drawn."""
    rng = np.random.default_rng(0)
    layers: list[Layer] = []
    n_maps = 1
    for layer in Hierarchy(notation):
        if isinstance(layer, FilterBank):
            fan_in = layer.fan_in or n_maps
            table = None if fan_in == n_maps else connection_sets(layer.n_maps, n_maps, fan_in, random_state=0)
            shape = (layer.n_maps, fan_in, *layer.size)
            filters = rng.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))
            n_maps = layer.n_maps
            layer = layer.with_filters(filters, table=table)
        layers.append(layer)
    return Hierarchy(layers)


def gradients(network: Any, images: torch.Tensor, targets: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and the gradient of the filters of the first stage."""
    network = copy.deepcopy(network).double()
    logits = network(images.double())
    functional.cross_entropy(logits, targets).backward()
    filters = next(value for value in network.parameters() if value.ndim == 4)
    return logits.detach().numpy(), filters.grad.numpy().copy()


def check(returned: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Raise AssertionError unless all networks are the same function."""
    logits, slopes = returned["striate"]
    for theirs, their_slopes in returned.values():
        np.testing.assert_allclose(theirs, logits, atol=1e-5)
        # Where the deviation is as large as its mean over the image, rounding decides which of the two has a slope.
        assert np.linalg.norm(their_slopes - slopes) < 1e-2 * np.linalg.norm(slopes)


def step_of(network: Any, images: torch.Tensor, targets: torch.Tensor) -> Callable[[], None]:
    """One step of AdamW."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(network(images), targets).backward()
        optimizer.step()

    return step


class Plain(torch.nn.Module):
    """The network of a hierarchy of filter banks, absolute values, normalization and average pooling."""

    def __init__(self, hierarchy: Hierarchy, weights: np.ndarray, *, separable: bool) -> None:
        super().__init__()
        self.pools = [layer for layer in hierarchy if isinstance(layer, Pooling)]
        self.filters, self.biases, self.gains = (torch.nn.ParameterList() for _ in range(3))
        self.masks, self.normalize = [], torch.nn.ModuleList()
        n_maps = 1
        for bank in hierarchy.filter_banks:
            assert bank.filters is not None
            rows = np.arange(bank.n_maps)[:, None]
            columns = np.arange(n_maps)[None] if bank.table is None else bank.table
            filters, mask = np.zeros((2, bank.n_maps, n_maps, *bank.size), np.float32)
            filters[rows, columns], mask[rows, columns] = bank.filters, 1
            self.filters.append(torch.from_numpy(filters))
            self.masks.append(torch.from_numpy(mask))
            self.biases.append(torch.zeros(bank.n_maps))
            self.gains.append(torch.ones(bank.n_maps, 1, 1))
            self.normalize.append(Normalization(bank.n_maps, separable=separable))
            n_maps = bank.n_maps
        self.head = torch.nn.Linear(weights.shape[1], weights.shape[0])
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(weights))
            self.head.bias.zero_()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Logits."""
        stages = zip(self.filters, self.masks, self.biases, self.gains, self.normalize, self.pools, strict=True)
        for filters, mask, bias, gain, normalize, pool in stages:
            maps = (gain * torch.tanh(functional.conv2d(maps, filters * mask, bias))).abs()
            maps = functional.avg_pool2d(normalize(maps), pool.size, pool.stride)
        logits: torch.Tensor = self.head(maps.flatten(1))
        return logits


class Normalization(torch.nn.Module):
    """Local contrast normalization over all maps, with a window of 9×9."""

    window: torch.Tensor

    def __init__(self, n_maps: int, *, separable: bool, size: int = 9) -> None:
        super().__init__()
        taps = np.exp(-0.5 * ((np.arange(size) - size // 2) / (size * SIGMA_OVER_SIZE)) ** 2)
        taps /= taps.sum()
        window = np.tile(np.outer(taps, taps) / n_maps, (1, n_maps, 1, 1))
        self.separable, self.size = separable, size
        self.register_buffer("window", torch.from_numpy((taps if separable else window).astype(np.float32)))

    def mean(self, maps: torch.Tensor) -> torch.Tensor:
        """In the window, over all maps."""
        half = self.size // 2
        if not self.separable:
            return functional.conv2d(maps, self.window, padding=half)
        rows = functional.conv2d(maps.mean(dim=1, keepdim=True), self.window[None, None, :, None], padding=(half, 0))
        return functional.conv2d(rows, self.window[None, None, None], padding=(0, half))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps minus their local mean, divided by their local deviation."""
        inside = self.mean(torch.ones_like(maps[:1]))
        centered = maps - self.mean(maps) / inside
        deviation = (self.mean(centered**2) / inside).clamp_min(1e-30).sqrt()
        return centered / torch.maximum(deviation, deviation.mean(dim=(2, 3), keepdim=True))


if __name__ == "__main__":
    main()
