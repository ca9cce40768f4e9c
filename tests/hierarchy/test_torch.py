"""The torch twin of a hierarchy: the same features, and derivatives that finite differences confirm."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.errors import UsageError
from striate.hierarchy import FilterBank, Hierarchy, connection_sets
from striate.hierarchy._separable import gaussian_matrix


def filled(notation: str, n_channels: int, rng: np.random.Generator) -> Hierarchy:
    """An architecture with random filters, biases, gains and thresholds."""
    layers, n_maps = [], n_channels
    for layer in Hierarchy(notation):
        if isinstance(layer, FilterBank):
            fan_in = layer.fan_in or n_maps
            table = None if fan_in == n_maps else connection_sets(layer.n_maps, n_maps, fan_in, random_state=rng)
            filters = rng.standard_normal((layer.n_maps, fan_in, *layer.size), dtype=np.float32) / np.float32(fan_in)
            bias, gain = rng.standard_normal((2, layer.n_maps), dtype=np.float32)
            threshold = None if layer.nonlinearity == "tanh" else np.float32(0.1) * np.abs(bias)
            beta = 5 + 5 * np.abs(gain) if layer.nonlinearity == "smooth shrink" else None
            n_maps = layer.n_maps
            layer = layer.with_filters(filters, bias=bias, gain=gain, threshold=threshold, beta=beta, table=table)
        layers.append(layer)
    return Hierarchy(layers)


@settings(max_examples=30, deadline=None)
@given(
    notation=st.sampled_from(
        [
            "7F5x5 - Rabs - N5x5 - PA4x4/2 - 9F3x3:3 - Rabs - N - PA2x2/2",
            "5F3x3S - N5x5 - PM3x3/2 - 6F2x2:2S - PA2x2/1",
            "5F3x3SS - N5x5 - PM3x3/2 - 6F2x2:2SS - PA2x2/1",
            "33F4x4 - PA2x2/2",
            "N5x5 - Rabs - PM2x2/2",
            "HP - 4F3x3 - HP5x5 - Rabs - PA2x2/2",
        ]
    ),
    n_channels=st.integers(1, 3),
    sides=st.tuples(st.integers(18, 30), st.integers(18, 30)),
    seed=st.integers(0, 100),
)
def test_kernels_and_twin_agree(notation: str, n_channels: int, sides: tuple[int, int], seed: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    hierarchy = filled(notation, n_channels, rng)
    images = rng.standard_normal((2, n_channels, *sides), dtype=np.float32)
    with torch.no_grad():
        twin = hierarchy.to_torch()(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(hierarchy.transform(images), twin, atol=1e-4)


@pytest.mark.parametrize(
    "notation",
    ["HP5x5 - 3F3x3 - N3x3 - PA2x2/2 - 4F2x2:2 - N3x3 - PA2x2/1", "3F3x3S - PM2x2/2", "3F3x3SS - N3x3 - 4F2x2:2SS"],
)
def test_derivatives_are_those_of_finite_differences(notation: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    twin = filled(notation, 2, rng).to_torch().double()
    names, values = zip(*twin.named_parameters(), strict=True)
    images = torch.tensor(rng.standard_normal((1, 2, 9, 8)), requires_grad=True)

    def features(inputs: object, *changed: object) -> object:
        return torch.func.functional_call(twin, dict(zip(names, changed, strict=True)), (inputs,))

    assert torch.autograd.gradcheck(features, (images, *values))


def test_smooth_shrinkage_has_its_slope_at_0() -> None:
    torch = pytest.importorskip("torch")
    beta, threshold = np.full((2, 1), 2, np.float32)
    bank = FilterBank(1, (1, 1), nonlinearity="smooth shrink")
    bank = bank.with_filters(np.ones((1, 1, 1, 1), np.float32), threshold=threshold, beta=beta)
    images = torch.zeros(1, 1, 1, 1, requires_grad=True)
    made = Hierarchy([bank]).to_torch()(images)
    made.sum().backward()
    assert made.item() == 0
    assert images.grad.item() == pytest.approx(np.exp(-4), rel=1e-6)


@pytest.mark.parametrize("in_order", [True, False])
def test_maps_that_share_inputs_are_filtered_in_groups(in_order: bool, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    table = np.repeat([[0, 2, 5], [1, 2, 3], [0, 4, 5]], 8, axis=0)
    if not in_order:
        table = rng.permutation(table)
    filters = rng.standard_normal((24, 3, 3, 2), dtype=np.float32)
    bias = rng.standard_normal(24, dtype=np.float32)
    dense = np.zeros((24, 6, 3, 2), np.float32)
    np.put_along_axis(dense, table[:, :, None, None], filters, axis=1)
    maps = rng.standard_normal((2, 6, 9, 8), dtype=np.float32)
    slopes = torch.from_numpy(rng.standard_normal((2, 24, 7, 7)))
    found = []
    for bank in (
        FilterBank(24, (3, 2), 3).with_filters(filters, bias=bias, table=table),
        FilterBank(24, (3, 2)).with_filters(dense, bias=bias),
    ):
        twin = Hierarchy([bank]).to_torch().double()
        inputs = torch.tensor(maps.astype(np.float64), requires_grad=True)
        (twin(inputs) * slopes).sum().backward()
        slope = next(value.grad.numpy() for value in twin.parameters() if value.ndim == 4)
        found.append((twin(inputs).detach().numpy(), inputs.grad.numpy(), slope))
        np.testing.assert_allclose(found[-1][0], Hierarchy([bank]).transform(maps), atol=1e-4)
    (made, of_maps, of_filters), (same, of_same, of_dense) = found
    np.testing.assert_allclose(made, same, atol=1e-12)
    np.testing.assert_allclose(of_maps, of_same, atol=1e-10)
    np.testing.assert_allclose(of_filters, np.take_along_axis(of_dense, table[:, :, None, None], axis=1), atol=1e-10)


def test_groups_keep_the_order_of_maps_in_memory(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    table = np.repeat([[0, 2, 5], [1, 2, 3]], 8, axis=0)
    bank = FilterBank(16, (3, 3), 3).with_filters(rng.standard_normal((16, 3, 3, 3), dtype=np.float32), table=table)
    given = torch.from_numpy(rng.standard_normal((2, 6, 9, 8), dtype=np.float32)).requires_grad_()
    maps = given.contiguous(memory_format=torch.channels_last)
    maps.register_hook(lambda slopes: kept.append(slopes.is_contiguous(memory_format=torch.channels_last)))
    kept: list[bool] = []
    made = Hierarchy([bank]).to_torch()(maps)
    made.sum().backward()
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert kept == [True]


def test_blank_images_have_finite_gradients() -> None:
    torch = pytest.importorskip("torch")
    twin = filled("3F3x3 - Rabs - N3x3 - PA2x2/2", 1, np.random.default_rng(0)).to_torch()
    images = torch.zeros(1, 1, 9, 9, requires_grad=True)
    twin(images).sum().backward()
    assert torch.isfinite(images.grad).all()


@pytest.mark.parametrize("kind", ["random", "one point", "blank"])
def test_normalization_has_the_derivatives_of_its_formula(kind: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    maps = rng.standard_normal((2, 3, 7, 6)) * (kind == "random")
    if kind == "one point":
        maps[:, 1, 3, 3] = 1.0  # beyond the windows that see it, the deviation is 0
    rows, columns = (torch.from_numpy(gaussian_matrix(length, 3, 3 * 1.591 / 9)).double() for length in (7, 6))

    def formula(x: Any) -> Any:
        v = x - rows @ x.mean(dim=1, keepdim=True) @ columns.T
        power = rows @ (v**2).mean(dim=1, keepdim=True) @ columns.T
        deviation = power.clamp_min(torch.finfo(torch.float64).tiny).sqrt()
        return v / torch.maximum(deviation, deviation.mean(dim=(2, 3), keepdim=True))

    slopes = torch.from_numpy(rng.standard_normal(maps.shape))
    found = []
    for function in (formula, Hierarchy("N3x3").to_torch()):
        inputs = torch.tensor(maps, requires_grad=True)
        made = function(inputs)
        (made * slopes).sum().backward()
        found.append((made.detach().numpy(), inputs.grad.numpy()))
    np.testing.assert_allclose(found[1][0], found[0][0], atol=1e-12)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-9, atol=1e-9 * np.abs(found[0][1]).max())


def test_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match="no filters yet"):
        Hierarchy("4F3x3 - Rabs").to_torch()
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "striate.hierarchy._torch", raising=False)
    with pytest.raises(UsageError, match=r"striate\[torch\]"):
        Hierarchy("Rabs").to_torch()
