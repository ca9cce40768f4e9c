"""The features that ship, and what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striate.errors import UsageError
from striate.hierarchy import Hierarchy, learn_filters
from striate.images import Preprocessing
from striate.learning import PSD
from striate.live.features import SHIPPED, LiveFeatures, load_features
from striate.model_file import ModelFileError
from tests.conftest import DataFolder


def photograph(seed: int = 0, side: int = 192) -> np.ndarray:
    """Smooth noise, uint8 (side, side, 3)."""
    noise = np.random.default_rng(seed).random((side // 8, side // 8, 3))
    return (255 * np.kron(noise, np.ones((8, 8, 1)))).astype(np.uint8)


def small(notation: str, color: str = "rgb") -> LiveFeatures:
    preprocessing = Preprocessing((24, 24), color=color, contrast="none")  # type: ignore[arg-type]
    photographs = [photograph(seed, 48).transpose(2, 0, 1).astype(np.float32) for seed in range(6)]
    images = np.stack([preprocessing(image / np.float32(255)) for image in photographs])
    learners = PSD(max_batches=3)
    hierarchy, _ = learn_filters(Hierarchy(notation), images, learners=learners, n_patches=200, random_state=0)
    return LiveFeatures(preprocessing, hierarchy)


@pytest.fixture(scope="module")
def shipped() -> LiveFeatures:
    return load_features()


def test_the_file_is_small_and_does_not_depend_on_the_frame_size(shipped: LiveFeatures) -> None:
    assert SHIPPED.stat().st_size < 1_000_000
    features = shipped.transform(photograph())
    assert features.shape == (shipped.n_features,)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert shipped.transform(photograph(0, 64)[:, :40]).shape == features.shape
    assert shipped.transform(photograph()[:, :, 0]).shape == features.shape


def test_one_image_in_three_forms(shipped: LiveFeatures) -> None:
    image = photograph()
    as_float = image.transpose(2, 0, 1).astype(np.float32) / 255
    np.testing.assert_array_equal(shipped.transform(image), shipped.transform(as_float))
    grey = image[:, :, 0]
    np.testing.assert_array_equal(shipped.transform(grey), shipped.transform(np.repeat(grey[:, :, None], 3, axis=2)))


def test_what_is_no_image(shipped: LiveFeatures) -> None:
    with pytest.raises(UsageError, match="1 or 3 channels, not 2"):
        shipped.transform(np.zeros((2, 10, 10), np.float32))
    with pytest.raises(UsageError, match="pixels have shape"):
        shipped.transform(np.zeros((3, 10), np.float32))


def test_filters_and_maps_have_the_same_places(shipped: LiveFeatures) -> None:
    filters, maps = shipped.filters(), shipped.maps(photograph())
    assert filters.dtype == maps.dtype == np.uint8
    assert maps.max() == 255
    assert maps.ndim == 2
    blank = shipped.maps(np.zeros((143, 143, 3), np.uint8))
    assert blank.shape == maps.shape


def test_maps_are_where_the_image_is() -> None:
    features = small("{GREY - 4F5x5 - Rabs - PA4x4/4 - Z}", "rgb")
    image = np.zeros((24, 24, 3), np.uint8)
    image[:, 12:] = photograph(1, 24)[:, 12:]
    maps = features.maps(image).astype(float)
    assert features.filters().ndim == 2
    side = maps.shape[1] // 2
    assert maps[:, side // 2 + 2 : side].mean() > maps[:, : side // 2 - 4].mean()


@pytest.mark.parametrize(
    ("notation", "color"),
    [
        (
            "{9WP5x5 - GA2 - ROOT - Z | MIRROR{GREY - 4F5x5 - Rabs - PA4x4/4 - 6F2x2:2 - Rabs} - Z | GREY - HOG4 - Z}",
            "rgb",
        ),
        ("9WP5x5 - GA2", "rgb"),
        ("4F5x5 - Rabs - PA4x4/4 - 6F2x2 - Rabs - PA2x2/2", "grey"),
        ("HOG4", "grey"),
    ],
)
def test_any_hierarchy_can_show_itself_and_be_learned_here(notation: str, color: str, tmp_path: Path) -> None:
    features = small(notation, color)
    frames = [photograph(seed, 48) for seed in range(20, 30)]
    assert features.filters().dtype == features.maps(frames[0]).dtype == np.uint8
    here = features.learn(frames)
    assert str(here.hierarchy) == str(features.hierarchy)
    rows = np.stack([here.transform(frame) for frame in frames])
    if notation.endswith("Z}"):
        np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-5)  # the mean of the frames is the new origin
        before, after = (one.hierarchy.layers[0].hierarchies for one in (features, here))
        assert not np.array_equal(before[0].layers[0].units, after[0].layers[0].units)
        np.testing.assert_array_equal(before[1].filter_banks[0].filters, after[1].filter_banks[0].filters)
    here.save(tmp_path / "features.safetensors")
    again = LiveFeatures.load(tmp_path / "features.safetensors")
    np.testing.assert_array_equal(again.transform(frames[0]), rows[0])
    with pytest.raises(UsageError, match="no images"):
        features.learn([])


def test_bars(shipped: LiveFeatures) -> None:
    bars = shipped.code_bars(shipped.transform(photograph()))
    assert bars.shape == (64,)
    assert bars.min() >= 0
    assert bars.max() == 1
    assert shipped.code_bars(np.zeros(shipped.n_features, np.float32)).tolist() == [0] * 64
    assert shipped.code_bars(np.ones(10, np.float32)).max() == 1


def test_a_file_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"no model")
    with pytest.raises(ModelFileError):
        load_features(tmp_path / "model")
    with pytest.raises(ModelFileError):
        load_features(SHIPPED)  # features, but no model of striate train


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.data
def test_the_recipe_makes_the_file_again(shipped: LiveFeatures, data_folder: DataFolder) -> None:
    """With the same processor and versions, in the same bits; elsewhere, in features that tell images apart alike."""
    from striate.live.recipe import learn_shipped

    made = learn_shipped(data_folder("berkeley"))
    frames = [photograph(seed) for seed in range(30)]
    rows = [np.stack([one.transform(frame) for frame in frames]).astype(np.float64) for one in (shipped, made)]
    rows = [each - each.mean(axis=0) for each in rows]
    first, second = (each @ each.T for each in rows)
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.98
