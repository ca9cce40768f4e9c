"""Standardized features, square roots, borders and means over mirror images."""

from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.hierarchy import Border, Hierarchy, Mirrored, Paths, SquareRoot, Standardize, learn_filters
from striate.learning import RandomFilters
from striate.model_file import ModelFileError


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    made = np.random.default_rng(0).random((30, 3, 20, 22), dtype=np.float32)
    made[:, :, 4:8, 4:8] *= 3
    return made


def learned(text: str, images: np.ndarray) -> Hierarchy:
    return learn_filters(Hierarchy(text), images, learners=RandomFilters(), n_patches=500, random_state=3)[0]


def rows_of(hierarchy: Hierarchy, images: np.ndarray) -> np.ndarray:
    return hierarchy.transform(images).reshape(len(images), -1)


def test_features_have_mean_0_and_one_deviation(images: np.ndarray) -> None:
    raw, made = rows_of(Hierarchy("GREY - PA4x4/4"), images), rows_of(learned("GREY - PA4x4/4 - Z", images), images)
    expected = (raw - raw.mean(axis=0)) / raw.std(axis=0) / np.sqrt(raw.shape[1])
    np.testing.assert_allclose(made, expected, atol=1e-5)
    np.testing.assert_allclose(np.square(made).sum(axis=1).mean(), 1, rtol=1e-4)


def test_rare_features_are_not_enlarged_without_limit_and_constant_ones_become_0(images: np.ndarray) -> None:
    few = images[:, :1].copy()
    few[:, 0, :, 0] = 0.5
    few[:, 0, :, 1] = 0.5
    few[7, 0, 3, 1] += 1e-3
    layer = learned("Z", few).layers[0]
    assert isinstance(layer, Standardize)
    assert layer.mean is not None
    assert layer.factor is not None
    deviations = few.std(axis=0, dtype=np.float64)
    floor = 0.05 * np.sqrt(np.square(deviations).mean())
    np.testing.assert_allclose(layer.factor * np.sqrt(layer.mean.size), 1 / np.maximum(deviations, floor), rtol=1e-3)
    flat = learned("Z", np.full((4, 1, 5, 5), 0.3, np.float32))
    np.testing.assert_array_equal(flat.transform(images[:2, :1, :5, :5]), 0)


def test_a_path_that_is_standardized_keeps_its_norm(images: np.ndarray) -> None:
    alone = rows_of(learned("GREY - PA4x4/4 - Z", images), images)
    together = learned("{GREY - PA4x4/4 - Z | PA5x5/5}", images)
    (paths,) = together
    assert isinstance(paths, Paths)
    first, second = paths.columns((3, 20, 22))
    np.testing.assert_allclose(rows_of(together, images)[:, first], alone, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows_of(together, images)[:, second], axis=1), 1, rtol=1e-5)


def test_storage_and_twin(images: np.ndarray) -> None:
    hierarchy = learned("{GREY - BORDER2 - 4F5x5 - Rabs - PA4x4/4 - ROOT - Z | HP - ROOT - PA5x5/5}", images)
    again = Hierarchy.from_state(*hierarchy.to_state())
    np.testing.assert_array_equal(again.transform(images), hierarchy.transform(images))
    with pytest.raises(UsageError, match="no means and deviations yet"):
        Hierarchy("Z").transform(images)
    assert not Hierarchy.from_state(*Hierarchy("Z").to_state()).is_learned
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        made = hierarchy.to_torch()(torch.tensor(images)).numpy()
    np.testing.assert_allclose(made, hierarchy.transform(images), atol=1e-4)


def test_a_square_root_keeps_signs() -> None:
    values = np.array([[[-4, 0, 9]]], np.float32)
    np.testing.assert_array_equal(SquareRoot().apply(values), np.array([[[-2, 0, 3]]]))


def test_a_border_is_of_zeros(images: np.ndarray) -> None:
    made = Hierarchy([Border(2)]).transform(images)
    assert made.shape[1:] == Hierarchy([Border(2)]).output_shape((3, 20, 22)) == (3, 24, 26)
    np.testing.assert_array_equal(made[:, :, 2:-2, 2:-2], images)
    assert made.sum() == pytest.approx(images.sum(), rel=1e-5)


def test_what_does_not_fit_is_refused(images: np.ndarray) -> None:
    hierarchy = learned("GREY - PA4x4/4 - Z", images)
    with pytest.raises(UsageError, match="learned for features of shape"):
        hierarchy.transform(images[:, :, :12])
    with pytest.raises(UsageError, match="belong together"):
        Standardize(mean=np.zeros((1, 2, 2), np.float32))
    with pytest.raises(UsageError, match="do not fit"):
        Standardize(np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 1), np.float32))
    arrays, header = hierarchy.to_state()
    del arrays["2.factor"]
    with pytest.raises(ModelFileError, match="missing"):
        Hierarchy.from_state(arrays, header)


def test_features_do_not_tell_an_image_from_its_mirror_image(images: np.ndarray) -> None:
    hierarchy = learned("{MIRROR{GREY - 4F5x5 - Rabs - PA4x4/4 - ROOT} - Z | MIRROR{{4WP3x3 - GA2 | PA5x5/5}}}", images)
    made = rows_of(hierarchy, images)
    np.testing.assert_allclose(rows_of(hierarchy, images[..., ::-1]), made, atol=1e-6)
    (paths,) = hierarchy
    assert isinstance(paths, Paths)
    bank = hierarchy.filter_banks[0]
    plain = Hierarchy(paths.hierarchies[0].layers[0].hierarchies[0].layers)
    assert plain.filter_banks[0] is bank
    both = (rows_of(plain, images) + rows_of(plain, images[..., ::-1])) / 2
    inside = Hierarchy([paths.hierarchies[0].layers[0]])
    np.testing.assert_allclose(rows_of(inside, images), both, atol=1e-6)
    again = Hierarchy.from_state(*hierarchy.to_state())
    assert str(again) == str(hierarchy)
    np.testing.assert_array_equal(rows_of(again, images), made)
    with pytest.raises(UsageError, match="has no layers inside"):
        Mirrored(Hierarchy([]))
    with pytest.raises(UsageError, match="not closed"):
        Hierarchy("MIRROR{4F5x5")
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        twin = hierarchy.to_torch()(torch.tensor(images)).numpy()
    np.testing.assert_allclose(twin.reshape(made.shape), made, atol=1e-4)
