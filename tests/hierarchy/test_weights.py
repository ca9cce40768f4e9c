"""Weights that gradient descent changes: their derivatives in every layer, and layers that take them back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.errors import UsageError
from striate.hierarchy import FilterBank, Hierarchy, Layer, PatchDictionary, Paths, Standardize
from striate.hierarchy.layer import LAYERS
from tests.hierarchy.test_torch import filled as with_filters

# Together they have every layer with a twin, for images (2, 3, 11, 10).
EVERY_LAYER = [
    "3F3x3 - Rabs - N3x3 - PA2x2/2",
    "HP5x5 - 4F3x3:2S - PM2x2/2 - N",
    "4F3x3:2SS - PA2x2/2",
    "6F3x3 - TORUS3x2:2x2/1 - PA2x2/2",
    "GREY - LCN5x5 - BORDER1 - 3F2x2 - GA3 - Z",
    "3WP4x4/2 - GA2 - ROOT",
    "3WP3x3T - GM2",
    "MIRROR{3F3x3 - Rabs - PA3x3/3} - Z",
    "{3F3x3 - GA2 - Z | MIRROR{2WP3x3S0.1 - GA2} | GREY - 2F4x4 - PA3x3/2}",
]
SHAPE = (3, 11, 10)


def filled(hierarchy: Hierarchy, shape: tuple[int, int, int], rng: np.random.Generator) -> Hierarchy:
    """The hierarchy with random parameters."""
    layers: list[Layer] = []
    for layer in hierarchy:
        if layer.hierarchies:
            layer = layer.with_hierarchies([filled(one, shape, rng) for one in layer.hierarchies])
        elif isinstance(layer, FilterBank):
            (layer,) = with_filters(layer.notation, shape[0], rng)
        elif isinstance(layer, PatchDictionary):
            n = shape[0] * layer.size**2
            parts = rng.standard_normal((n, n)) / np.sqrt(n)
            units = rng.standard_normal((layer.n_units, n)).astype(np.float32)
            mean, whitening = 0.1 * rng.standard_normal(n), np.eye(n) + 0.3 * (parts + parts.T)
            layer = layer.with_units(units, mean.astype(np.float32), whitening.astype(np.float32))
        elif isinstance(layer, Standardize):
            mean, factor = rng.random((2, *shape), dtype=np.float32)
            layer = Standardize(mean, factor + 1)
        shape = layer.output_shape(shape)
        layers.append(layer)
    return Hierarchy(layers)


def made(notation: str, seed: int = 0) -> Hierarchy:
    return filled(Hierarchy(notation), SHAPE, np.random.default_rng(seed))


def kinds_of(hierarchy: Hierarchy) -> set[str]:
    found = {layer.kind for layer in hierarchy}
    return found.union(*(kinds_of(inside) for layer in hierarchy for inside in layer.hierarchies))


def test_no_layer_with_a_twin_is_forgotten() -> None:
    tested = set().union(*(kinds_of(Hierarchy(notation)) for notation in EVERY_LAYER))
    built_in = {kind for kind, layer in LAYERS.items() if layer.__module__.startswith("striate.")}
    assert tested == {kind for kind in built_in if LAYERS[kind].twin is not Layer.twin}


@pytest.mark.parametrize("notation", EVERY_LAYER)
def test_derivatives_are_those_of_finite_differences(notation: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    twin = made(notation).to_torch().double()
    names, values = zip(*twin.named_parameters(), strict=True)
    images = torch.tensor(rng.random((2, *SHAPE)), requires_grad=True)

    def features(inputs: Any, *changed: Any) -> Any:
        return torch.func.functional_call(twin, dict(zip(names, changed, strict=True)), (inputs,))

    # Kinks, as those of absolute values and maxima, are farther than the step from all of these random numbers.
    assert torch.autograd.gradcheck(features, (images, *values), eps=1e-7, atol=1e-5)


def test_derivatives_on_both_sides_of_the_floor_of_deviations() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    values = rng.standard_normal((1, 2, 9, 9))
    values[..., 4:] *= 0.01  # here the mean deviation divides, there the local one
    maps = torch.tensor(values, requires_grad=True)
    twin = Hierarchy("N3x3").to_torch()
    assert torch.autograd.gradcheck(twin, (maps,), eps=1e-7, atol=1e-5)
    quiet, loud = (torch.autograd.grad(twin(maps)[0, 0, 4, column], maps)[0] for column in (7, 1))
    assert quiet[..., :3].abs().max() > 1e-4  # through the mean deviation of the whole image
    assert loud[..., 5:].abs().max() == 0


@pytest.mark.parametrize("notation", EVERY_LAYER)
def test_kernels_with_weights_given_back_agree_with_the_twin(notation: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    hierarchy = made(notation)
    twin = hierarchy.to_torch()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(torch.from_numpy(rng.uniform(0.8, 1.2, parameter.shape).astype(np.float32)))
    changed = {name.replace(".", "_", 1): each.detach().numpy() for name, each in twin.named_parameters()}
    refined = hierarchy.with_weights(changed)
    assert str(refined) == str(hierarchy)
    images = rng.random((4, *SHAPE), dtype=np.float32)
    expected = twin(torch.from_numpy(images)).detach().numpy()
    np.testing.assert_allclose(refined.transform(images), expected, atol=1e-4)
    assert np.abs(refined.transform(images) - hierarchy.transform(images)).max() > 1e-3
    for name, values in refined.weights().items():
        np.testing.assert_array_equal(values, changed[name])
    arrays, header = refined.to_state()
    np.testing.assert_array_equal(Hierarchy.from_state(arrays, header).transform(images), refined.transform(images))
    own = hierarchy.weights()
    np.testing.assert_array_equal(hierarchy.with_weights(own).transform(images), hierarchy.transform(images))


def test_bounds_of_smooth_shrinkage_hold_after_steps_beyond_them(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    hierarchy = made("3F3x3SS")
    twin = hierarchy.to_torch()
    for name, parameter in twin.named_parameters():
        if name.endswith(("threshold", "beta")):
            with torch.no_grad():
                parameter[:2] -= 100
    changed = {name.replace(".", "_", 1): each.detach().numpy() for name, each in twin.named_parameters()}
    refined = hierarchy.with_weights(changed)
    images = rng.standard_normal((4, *SHAPE), dtype=np.float32)
    expected = twin(torch.from_numpy(images)).detach().numpy()
    np.testing.assert_allclose(refined.transform(images), expected, atol=1e-4)
    assert (refined.weights()["0_threshold"][:2] == 0).all()
    assert (refined.weights()["0_beta"] > 0).all()


def test_weight_decay_shrinks_filters_and_units_alone() -> None:
    hierarchy = made("{3F3x3S - GA2 - Z | MIRROR{2WP3x3 - GA2}}")
    assert hierarchy.decayed_weights == {"0_0_0_filters", "0_1_0_0_units"}
    assert hierarchy.decayed_weights < hierarchy.weights().keys()
    assert made("N - PA2x2/2").decayed_weights == frozenset()


def test_a_path_without_a_twin_is_computed_by_its_kernels(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    (paths,) = filled(Hierarchy("{3F3x3 - Rabs - GA2 | GREY - HOG8}"), (3, 24, 24), rng)
    assert isinstance(paths, Paths)
    assert paths.has_twin
    assert set(paths.weights()) == {"0_0_filters", "0_0_bias", "0_0_gain"}
    hierarchy = Hierarchy([paths])
    images = rng.random((3, 3, 24, 24), dtype=np.float32)
    features = hierarchy.to_torch()(torch.from_numpy(images))
    np.testing.assert_allclose(features.detach().numpy(), hierarchy.transform(images), atol=1e-4)
    features.sum().backward()
    same = hierarchy.with_weights(hierarchy.weights())
    np.testing.assert_array_equal(same.transform(images), hierarchy.transform(images))
    with pytest.raises(UsageError, match="has no twin in torch"):
        Hierarchy("{GREY - HOG8}").to_torch()


def test_says_which_weights_do_not_fit() -> None:
    hierarchy = made("3F3x3 - Rabs")
    weights = hierarchy.weights()
    with pytest.raises(UsageError, match=r"has the weights 0_filters, 0_bias, 0_gain, and is given 0_bias"):
        hierarchy.with_weights({"0_bias": weights["0_bias"]})
    with pytest.raises(UsageError, match=r"weights 0_bias have shape \(4,\); they must have \(3,\)"):
        hierarchy.with_weights(weights | {"0_bias": np.zeros(4, np.float32)})
    with pytest.raises(UsageError, match="Rabs cannot take other weights"):
        hierarchy.layers[1].with_weights({"gain": np.zeros(3, np.float32)})
    with pytest.raises(UsageError, match="no units yet"):
        PatchDictionary(4, 4).weights()
