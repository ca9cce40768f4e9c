"""Patch dictionaries against a direct loop in double precision, and how whitening and units are learned."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from striate import threads
from striate.errors import UsageError
from striate.hierarchy import GridPooling, Hierarchy, PatchDictionary, learn_filters
from striate.images import extract_patches, load_mnist_digits
from striate.learning import PSD

NOTATION = "30WP5x5 - GA2"


def filled(rng: np.random.Generator, n_inputs: int, **options: Any) -> PatchDictionary:
    """A layer whose mean and whitening are arbitrary."""
    layer = PatchDictionary(**{"n_units": 37, "size": 4, **options})
    n = n_inputs * layer.size**2
    units, whitening = rng.standard_normal((layer.n_units, n)), rng.standard_normal((n, n)) / np.sqrt(n)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    mean = 0.1 * rng.standard_normal(n)
    return layer.with_units(*(each.astype(np.float32) for each in (units, mean, whitening + whitening.T)))


def directly(layer: PatchDictionary, image: np.ndarray) -> np.ndarray:
    """The definition, patch by patch, in double precision, for an image (channels, height, width)."""
    assert layer.units is not None
    assert layer.mean is not None
    assert layer.whitening is not None
    units, side = layer.units.astype(np.float64), layer.size
    tops, lefts = (range(0, length - side + 1, layer.step) for length in image.shape[1:])
    responses = []
    for top, left in product(tops, lefts):
        patch = image[:, top : top + side, left : left + side].astype(np.float64).ravel()
        patch = (patch - patch.mean()) / np.sqrt(patch.var() + 10 / 255**2)
        whitened = layer.whitening.astype(np.float64) @ (patch - layer.mean)
        if layer.response == "triangle":
            distances = np.linalg.norm(whitened - units, axis=1)
            responses.append(np.maximum(distances.mean() - distances, 0))
        else:
            z = units @ whitened
            responses.append(np.concatenate([np.maximum(z - layer.threshold, 0), np.maximum(-z - layer.threshold, 0)]))
    return np.array(responses).reshape(len(tops), len(lefts), -1).transpose(2, 0, 1)


def pooled(maps: np.ndarray, how: str, n: int) -> np.ndarray:
    """Cell by cell."""
    _, height, width = maps.shape
    rows, columns = np.arange(height) * n // height, np.arange(width) * n // width
    result = np.empty((len(maps), n, n))
    for i, j in product(range(n), repeat=2):
        inside = maps[:, rows == i][:, :, columns == j]
        result[:, i, j] = inside.mean(axis=(1, 2)) if how == "average" else inside.max(axis=(1, 2))
    return result


def with_flat_parts(rng: np.random.Generator, n_inputs: int, height: int = 13, width: int = 16) -> np.ndarray:
    image = rng.random((n_inputs, height, width), dtype=np.float32)
    image[:, :6, :7] = 0.8  # flat
    image[:, 6:, :7] = 0.5 + 0.001 * image[:, 6:, :7]  # less contrast than noise
    return image


@pytest.mark.kernels
@pytest.mark.parametrize("n_inputs", [1, 3])
@pytest.mark.parametrize(
    "options", [{}, {"response": "triangle"}, {"step": 2, "threshold": 0.0}, {"size": 5, "step": 3, "n_units": 64}]
)
def test_it_is_the_response_to_whitened_patches(
    rng: np.random.Generator, n_inputs: int, options: dict[str, Any]
) -> None:
    layer, image = filled(rng, n_inputs, **options), with_flat_parts(rng, n_inputs)
    expected = directly(layer, image)
    found = Hierarchy([layer]).transform(image[None])[0]
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert layer.output_shape(image.shape) == expected.shape
    np.testing.assert_array_equal(layer.apply(np.ascontiguousarray(image.transpose(1, 2, 0))).transpose(2, 0, 1), found)
    for how, cells in (("average", 3), ("max", 2)):
        pool = GridPooling(how, cells)  # type: ignore[arg-type]
        together = Hierarchy([layer, pool]).transform(image[None])[0]
        np.testing.assert_allclose(together, pooled(expected, how, cells), atol=2e-4)
        apart = pool.apply(np.ascontiguousarray(found.transpose(1, 2, 0))).transpose(2, 0, 1)
        np.testing.assert_allclose(together, apart, atol=1e-5)


@pytest.mark.parametrize("how", ["average", "max"])
def test_pooling_takes_each_position_once(rng: np.random.Generator, how: str) -> None:
    maps = rng.standard_normal((2, 3, 11, 7), dtype=np.float32)
    for cells in (1, 2, 3, 7):
        found = Hierarchy([GridPooling(how, cells)]).transform(maps)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, [pooled(image, how, cells) for image in maps], atol=1e-6)


def test_a_patch_that_is_flat_gives_the_response_to_the_mean(rng: np.random.Generator) -> None:
    layer = filled(rng, 3, threshold=0.0)
    assert layer.units is not None
    assert layer.mean is not None
    assert layer.whitening is not None
    z = -(layer.units @ layer.whitening.astype(np.float64) @ layer.mean)
    for value in (0.0, 0.3, 1.0):
        maps = layer.apply(np.full((4, 4, 3), value, np.float32))
        np.testing.assert_allclose(maps.ravel(), np.maximum(np.concatenate([z, -z]), 0), atol=1e-3)


@pytest.mark.parametrize("options", [{}, {"response": "triangle"}])
def test_threads_give_the_same_bits(rng: np.random.Generator, options: dict[str, Any]) -> None:
    images = rng.random((1, 3, 21, 17), dtype=np.float32)
    hierarchy = Hierarchy([filled(rng, 3, **options), GridPooling()])
    with threads.limit(1):
        alone = hierarchy.transform(images)
    for n in (2, 3, 7):
        with threads.limit(n):
            np.testing.assert_array_equal(hierarchy.transform(images), alone)


@pytest.mark.parametrize(
    "notation",
    [
        "30WP5x5",
        "30WP5x5/2",
        "30WP5x5T",
        "30WP5x5S0.25",
        "30WP5x5/3S1:random",
        "30WP5x5T:sparse",
        "30WP5x5:omp",
        "GA3",
        "GM12",
    ],
)
def test_it_is_written_as_it_says(notation: str) -> None:
    hierarchy = Hierarchy(notation)
    assert str(hierarchy) == notation
    assert str(Hierarchy.from_state(*hierarchy.to_state())) == notation


@pytest.fixture
def images() -> np.ndarray:
    return np.asarray(load_mnist_digits()[0][::20], np.float32)


@pytest.mark.parametrize(
    "notation", [NOTATION, "30WP5x5T - GM2", "30WP5x5:random - GA2", "9WP5x5:sparse - GA1", "9WP5x5:psd", "9WP5x5:omp"]
)
def test_it_is_learned_and_kept(images: np.ndarray, notation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.hierarchy._patch_learning.BATCHES", 5)
    monkeypatch.setattr("striate.hierarchy._patch_learning.EPOCHS", 3)
    hierarchy, (stage,) = learn_filters(Hierarchy(notation), images, learners=(), n_patches=500, random_state=3)
    assert str(hierarchy) == notation
    assert isinstance(stage.bank, PatchDictionary)
    units = stage.bank.units
    assert units is not None
    if stage.bank.response == "soft":
        np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, rtol=1e-5)
    again, _ = learn_filters(Hierarchy(notation), images, learners=(), n_patches=500, random_state=3)
    features = hierarchy.transform(images[:9])
    np.testing.assert_array_equal(again.transform(images[:9]), features)
    other, _ = learn_filters(Hierarchy(notation), images, learners=(), n_patches=500, random_state=4)
    assert not np.array_equal(other.to_state()[0]["0.units"], units)
    loaded = Hierarchy.from_state(*hierarchy.to_state())
    np.testing.assert_array_equal(loaded.transform(images[:9]), features)


def test_patches_are_white_with_a_floor(images: np.ndarray) -> None:
    _, (stage,) = learn_filters(Hierarchy("8WP4x4"), images, learners=(), random_state=0)
    layer = stage.bank
    assert isinstance(layer, PatchDictionary)
    assert layer.mean is not None
    assert layer.whitening is not None
    patches = np.concatenate([extract_patches(image, 4) for image in images]).astype(np.float64)
    patches = patches[patches.std(axis=1) > 0]
    patches -= patches.mean(axis=1, keepdims=True)
    patches /= np.sqrt(patches.var(axis=1, keepdims=True) + 10 / 255**2)
    # Uniform over images, as they are drawn, differs from uniform over patches.
    variances, axes = np.linalg.eigh(np.cov(patches, rowvar=False))
    np.testing.assert_allclose(layer.mean, patches.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(layer.whitening, (axes / np.sqrt(np.maximum(variances, 0) + 0.1)) @ axes.T, atol=0.15)
    assert stage.patches.shape == (256, 16)


def test_units_are_drawn_as_the_patches_they_stand_for(rng: np.random.Generator) -> None:
    layer = filled(rng, 3)
    assert layer.drawn_filters is not None
    assert layer.whitening is not None
    assert layer.drawn_filters.shape == (37, 3, 4, 4)
    again = layer.drawn_filters.reshape(37, -1) @ layer.whitening
    np.testing.assert_allclose(again, layer.units, atol=1e-2)  # type: ignore[arg-type]
    assert PatchDictionary(37, 4).drawn_filters is None


def test_it_is_learned_on_the_maps_of_a_stage_below(images: np.ndarray) -> None:
    notation = "6F5x5 - Rabs - PA4x4/2 - 10WP3x3 - GA2"
    hierarchy, stages = learn_filters(
        Hierarchy(notation), images, learners=PSD(max_batches=5), n_patches=300, random_state=0
    )
    assert hierarchy.transform(images[:4]).shape == (4, 20, 2, 2)
    assert stages[1].patches.shape[1] == 6 * 9
    below = Hierarchy(hierarchy.layers[:3]).transform(images[:1])
    layer = stages[1].bank
    assert isinstance(layer, PatchDictionary)
    np.testing.assert_allclose(Hierarchy([layer]).transform(below)[0], directly(layer, below[0]), atol=1e-3)


@pytest.mark.parametrize("options", [{}, {"response": "triangle"}, {"step": 2, "threshold": 0.25}])
@pytest.mark.parametrize("pool", ["GA3", "GM2"])
def test_its_twin_agrees_and_passes_gradients(rng: np.random.Generator, options: dict[str, Any], pool: str) -> None:
    torch = pytest.importorskip("torch")
    images = np.stack([with_flat_parts(rng, 3) for _ in range(2)])
    layer = filled(rng, 3, **options)
    hierarchy = Hierarchy([layer, *Hierarchy(pool).layers])
    twin = hierarchy.to_torch()
    features = twin(torch.from_numpy(images))
    np.testing.assert_allclose(hierarchy.transform(images), features.detach().numpy(), atol=5e-4)
    features.sum().backward()
    assert set(layer.weights()) == {name for name, _ in twin[0].named_parameters()}
    assert all(torch.isfinite(parameter.grad).all() for parameter in twin.parameters())


def test_says_what_is_wrong(rng: np.random.Generator, images: np.ndarray) -> None:
    layer = filled(rng, 3)
    with pytest.raises(UsageError, match="no units yet"):
        PatchDictionary(4, 4).apply(np.zeros((9, 9, 1), np.float32))
    with pytest.raises(UsageError, match="made for 3 maps, but 1 come in"):
        layer.output_shape((1, 9, 9))
    with pytest.raises(UsageError, match="needs maps of at least 4 pixels, but gets 3"):
        layer.apply(np.zeros((9, 3, 3), np.float32))
    with pytest.raises(UsageError, match="GA3 needs maps of at least 3 pixels, but gets 2"):
        Hierarchy([layer, GridPooling()]).transform(np.zeros((1, 3, 9, 5), np.float32))
    with pytest.raises(UsageError, match="NaN or infinity"):
        Hierarchy([layer]).transform(np.full((1, 3, 9, 9), np.nan, np.float32))
    with pytest.raises(UsageError, match="do not fit 5 units of patches of 4×4"):
        PatchDictionary(5, 4).with_units(*(getattr(layer, name) for name in ("units", "mean", "whitening")))
    with pytest.raises(UsageError, match="give all three"):
        PatchDictionary(37, 4, units=layer.units)
    with pytest.raises(UsageError, match="the triangle has no threshold"):
        PatchDictionary(5, 4, response="triangle", threshold=0.1)
    with pytest.raises(UsageError, match="too many to whiten"):
        PatchDictionary(5, 9).output_shape((64, 20, 20))
    with pytest.raises(UsageError, match="needs at least 900 patches, one for each unit, but 60 were drawn"):
        learn_filters(Hierarchy("900WP5x5"), images, learners=(), n_patches=30)
    with pytest.raises(UsageError, match="nothing to learn from: the images are flat"):
        learn_filters(Hierarchy("4WP5x5"), np.ones((3, 1, 9, 9), np.float32), learners=())
