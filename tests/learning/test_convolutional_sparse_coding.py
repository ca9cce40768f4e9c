"""Convolutional sparse coding: recovery, objectives, masks, sizes, folders, resume, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.signal import fftconvolve

from striate import model_file
from striate.checkpoint import Checkpoint
from striate.coding import SparseMaps, certify, certify_convolutional, infer, infer_convolutional
from striate.errors import UsageError
from striate.images import ImageFolder
from striate.learning import ConvolutionalSparseCoding
from striate.learning._dictionary_update import update_dictionary
from striate.learning._filter_update import surrogate_error, unit_filters

SMALL: dict[str, Any] = {"n_components": 5, "kernel_size": 4, "max_batches": 4, "batch_size": 3, "random_state": 0}


def learner(**options: Any) -> ConvolutionalSparseCoding:
    return ConvolutionalSparseCoding(**(SMALL | options))


def images(n: int = 8, size: tuple[int, int] = (16, 18), n_channels: int = 1, dtype: Any = np.float32) -> np.ndarray:
    """Noise that is smooth along rows."""
    noise = np.random.default_rng(7).standard_normal((n, n_channels, *size))
    return (noise + np.roll(noise, 1, axis=3)).astype(dtype)


def made_images(rng: np.random.Generator, filters: np.ndarray, n: int, side: int) -> np.ndarray:
    """Sums of filters at few places, and a little noise."""
    n_maps, n_channels, height, width = filters.shape
    found = 0.01 * rng.standard_normal((n, n_channels, side, side))
    for image in found:
        maps = rng.standard_normal((n_maps, side - height + 1, side - width + 1))
        maps = (maps + np.sign(maps)) * (rng.random(maps.shape) < 0.006)
        for of_filter, one in zip(filters, maps, strict=True):
            image += np.stack([fftconvolve(one, channel) for channel in of_filter])
    return found.astype(np.float32)


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The largest correlation of each filter with any other, up to sign and shift."""
    height, width = one.shape[2:]
    padded = np.pad(other, ((0, 0), (0, 0), (height - 1, height - 1), (width - 1, width - 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    return np.asarray(np.abs(np.einsum("kcij,lcstij->klst", one, windows)).max(axis=(1, 2, 3)))


def same(one: ConvolutionalSparseCoding, other: ConvolutionalSparseCoding) -> bool:
    """Bit for bit, what learning would go on with included."""
    arrays, header = one.to_state(training=True)
    other_arrays, other_header = other.to_state(training=True)
    return header == other_header and all(np.array_equal(arrays[name], other_arrays[name]) for name in arrays)


@pytest.mark.parametrize("n_channels", [1, 2])
def test_filters_that_made_the_images_are_found_up_to_sign_and_shift(rng: np.random.Generator, n_channels: int) -> None:
    truth = unit_filters(rng.standard_normal((3, n_channels, 5, 5)))
    given = made_images(rng, truth, 20, 40)
    found = ConvolutionalSparseCoding(
        8, 7, sparsity=0.2, batch_size=4, max_batches=40, validation_fraction=0.1, random_state=0
    ).fit(given)  # with room for a shift
    assert overlap(truth, found.components_).min() > 0.95
    np.testing.assert_allclose(np.sqrt(np.square(found.components_).sum(axis=(1, 2, 3))), 1, rtol=1e-5)
    objectives = [one.objective for one in found.history_]
    assert objectives[-1] == min(objectives)
    assert (found.usage_ > 0).all()
    of_truth = infer_convolutional(given[:2], truth.astype(np.float32), 0.2, info=True).objective.mean()
    assert -found.score(given[:2]) < 1.1 * of_truth


def test_the_objective_of_images_falls(rng: np.random.Generator) -> None:
    given = images()
    scores = [-learner(sparsity=1.0, max_batches=n, validation_fraction=0).fit(given).score(given) for n in (1, 4, 16)]
    assert scores[0] > scores[1] > scores[2]


def test_one_step_lowers_the_error_of_its_codes_most(rng: np.random.Generator) -> None:
    """After a batch the filters are nearly the best for the codes; another pass over them gains little."""
    given = images(3)
    found = learner(sparsity=1.0, max_batches=1, validation_fraction=0).fit(given)
    before = learner(sparsity=1.0, max_batches=1, start=found.components_).partial_fit(given)
    first = surrogate_error(found.components_, before._code_products, before._image_products)
    assert surrogate_error(before.components_, before._code_products, before._image_products) < first


@pytest.mark.parametrize("n_channels", [1, 3])
def test_images_of_the_size_of_filters_are_patches(n_channels: int) -> None:
    """Then there is one position, and everything is as it is for patches."""
    patches = images(40, (4, 5), n_channels, np.float64)
    start = np.random.default_rng(3).standard_normal((6, n_channels, 4, 5))
    ours = ConvolutionalSparseCoding(6, (4, 5), sparsity=0.5, start=start, batch_size=40, random_state=0)
    ours.partial_fit(patches)
    rows, units = patches.reshape(40, -1), unit_filters(start)
    codes = infer_convolutional(patches, units, 0.5, tolerance=1e-2)[..., 0, 0]
    np.testing.assert_allclose(ours._code_products[:, :, 3, 4], codes.T @ codes, atol=1e-9)
    np.testing.assert_allclose(ours._image_products.reshape(6, -1), codes.T @ rows, atol=1e-9)
    expected = units.reshape(6, -1).copy()
    update_dictionary(expected, codes.T @ codes, codes.T @ rows)
    np.testing.assert_allclose(ours.components_.reshape(6, -1), expected, atol=1e-9)
    units = expected
    objective = certify(rows, infer(rows, units, 0.5), units, 0.5).objective.mean()
    assert -ours.score(patches) == pytest.approx(objective, rel=1e-5)
    np.testing.assert_allclose(ours.transform(patches)[..., 0, 0], infer(rows, units, 0.5), atol=1e-2)


def test_codes_are_optimal_and_rebuild_images_of_any_form() -> None:
    given = images(3)
    found = learner().fit(given)
    codes = found.transform(given)
    assert codes.shape == (3, 5, 13, 15)
    assert codes.dtype == np.float32
    assert found.transform(given.astype(float)).dtype == np.float64
    assert certify_convolutional(given, codes, found.components_, found.sparsity_).relative_gap.max() < 1e-4
    of_list = found.transform([given[0], given[1][:, 3:], given[2, 0, :, 5:]])
    assert all(isinstance(maps, SparseMaps) for maps in of_list)
    np.testing.assert_array_equal(of_list[0].toarray(), codes[0])
    assert [one.shape for one in found.inverse_transform(of_list)] == [(1, 16, 18), (1, 13, 18), (1, 16, 13)]
    assert np.square(given - found.inverse_transform(codes)).sum() < np.square(given).sum()
    assert found.fit_transform(given).shape == codes.shape
    assert (learner(positive=True).fit(given).transform(given) >= 0).all()


def test_automatic_sparsity_leaves_the_wanted_coefficients_active() -> None:
    given = images(12, (30, 30))
    for wanted in (0.02, 0.2):
        found = learner(active_per_position=wanted, max_batches=30).fit(given)
        active = np.count_nonzero(found.transform(given)) / (12 * 27 * 27)
        assert 0.6 * wanted < active < 1.6 * wanted
    scaled = learner(max_batches=6).fit(np.float32(1e12) * given)
    plain = learner(max_batches=6).fit(given)
    assert scaled.sparsity_ == pytest.approx(1e12 * plain.sparsity_, rel=1e-3)
    np.testing.assert_allclose(scaled.components_, plain.components_, atol=1e-2)


def test_hidden_pixels_have_no_influence(rng: np.random.Generator) -> None:
    given, masks = images(), np.ones((8, 16, 18))
    masks[:, 3:7, 4:9] = 0
    masks[2:4] = rng.choice([0.5, 1.0, 2.0], (16, 18))
    other = np.where(masks[:, None] == 0, np.float32(np.nan), given)
    one = learner(sparsity=0.8).fit(given, masks=masks)
    assert same(one, learner(sparsity=0.8).fit(other, masks=list(masks)))
    assert same(
        learner(sparsity=0.8).partial_fit(given, masks=masks), learner(sparsity=0.8).partial_fit(other, masks=masks)
    )
    assert one.score(given, masks=masks) == one.score(other, masks=masks)
    np.testing.assert_array_equal(one.transform(given, masks=masks), one.transform(other, masks=masks))


def test_masks_of_ones_are_none_and_masked_learning_lowers_the_objective() -> None:
    given = images()
    whole = learner(sparsity=0.8).fit(given)
    masked = learner(sparsity=0.8).fit(given, masks=np.ones((8, 1, 16, 18)))
    np.testing.assert_allclose(masked.components_, whole.components_, atol=1e-4)
    masks = np.where(np.random.default_rng(1).random((8, 16, 18)) < 0.3, 0.0, 2.0)
    scores = [
        learner(sparsity=0.8, max_batches=n, validation_fraction=0).fit(given, masks=masks).score(given, masks=masks)
        for n in (1, 12)
    ]
    assert scores[0] < scores[1]


def test_padding_that_a_mask_hides_lets_filters_cross_the_border() -> None:
    given = np.pad(images(4), ((0, 0), (0, 0), (3, 3), (3, 3)), constant_values=np.nan)
    masks = np.isfinite(given)
    found = learner(sparsity=0.8).fit(given, masks=masks)
    assert found.transform(given, masks=masks).shape == (4, 5, 19, 21)


@pytest.mark.parametrize("options", [{}, {"crop": 9}, {"sparsity": 0.7, "positive": True}])
def test_a_killed_fit_continues_with_the_same_bits(options: dict[str, Any], tmp_path: Path) -> None:
    given = images(14)
    options = {"max_batches": 7, "validation_fraction": 0.2, **options}
    whole = learner(**options).fit(given)

    class Killed(Exception):
        pass

    def kill(one: ConvolutionalSparseCoding) -> None:
        if one.n_batches_ == 4:
            raise Killed

    with pytest.raises(Killed):
        learner(**options).fit(given, checkpoint=Checkpoint(tmp_path, {"a": 1}, interval=0), callback=kill)
    again = learner(**options).fit(given, checkpoint=Checkpoint(tmp_path, {"a": 1}, interval=0))
    assert same(again, whole)


def test_the_state_continues_with_the_same_bits(tmp_path: Path) -> None:
    given = images()
    one = learner(kernel_size=(4, 3), start=np.ones((5, 1, 4, 3)) + np.arange(60.0).reshape(5, 1, 4, 3)).fit(given)
    model_file.write(tmp_path / "state", *one.to_state(training=True), kind="learner")
    again = ConvolutionalSparseCoding.from_state(*model_file.read(tmp_path / "state", kind="learner"))
    assert again.get_params()["kernel_size"] == (4, 3)
    assert same(one, again)
    assert same(one.partial_fit(given[:4]), again.partial_fit(given[:4]))
    light = ConvolutionalSparseCoding.from_state(*one.to_state())
    np.testing.assert_array_equal(light.transform(given), one.transform(given))
    assert light.partial_fit(given).n_batches_ == one.n_batches_ + 3


def test_a_fit_is_repeated_partial_fits_of_a_stream() -> None:
    given = images()
    stream = learner(batch_size=4, max_batches=2).fit(iter([given[:4], list(given[4:])]))
    parts = learner(batch_size=4, max_batches=2).partial_fit(given[:4]).partial_fit(given[4:])
    np.testing.assert_array_equal(stream.components_, parts.components_)
    assert not hasattr(stream, "n_features_in_")


def test_lists_of_sizes_and_folders_stream(tmp_path: Path, rng: np.random.Generator) -> None:
    for i in range(12):
        pixels = (255 * rng.random((14 + i, 20 - i))).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i:02}.png")
    folder = ImageFolder(tmp_path)
    for options in ({}, {"crop": 10}):
        found = learner(**options).fit(folder)
        assert same(found, learner(**options).fit(list(folder)))
        assert same(found, learner(**options).fit(tmp_path))
        assert len(found.transform(folder)) == 12
        assert found.history_[-1].batch == 4
        assert found.score(folder) == found.score(list(folder))


def test_one_image_one_filter_and_few_windows() -> None:
    one = images(1)
    found = learner(n_components=1).fit(one)
    assert found.transform(one).shape == (1, 1, 13, 15)
    assert found.history_ == []
    tiny = images(1, (4, 4))
    found = learner(n_components=9).fit(tiny)
    assert np.isfinite(found.components_).all()
    assert found.inverse_transform(found.transform(tiny)).shape == tiny.shape


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_images(value: float) -> None:
    given = np.full((3, 1, 12, 12), value, np.float32)
    found = learner().fit(given)
    assert np.isfinite(found.transform(given)).all()
    np.testing.assert_allclose(np.sqrt(np.square(found.components_).sum(axis=(1, 2, 3))), 1, rtol=1e-5)


def test_filters_that_nothing_uses_are_replaced() -> None:
    given = images(40)
    start = np.zeros((5, 1, 4, 4))
    start[:4] = np.random.default_rng(0).standard_normal((4, 1, 4, 4))
    options: dict[str, Any] = {"sparsity": 1.0, "start": start, "max_batches": 30, "validation_fraction": 0}
    found = learner(**options).fit(given)
    assert found.n_replaced_ == 1
    assert (found.usage_ > 0).all()
    assert same(found, learner(**options).fit(given))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity": 0.0}, r'sparsity is 0.0; it must be a number above 0 or "?auto'),
        ({"kernel_size": (3, 0)}, "kernel_size is"),
        ({"kernel_size": 17}, "image 0 is 16×18, smaller than filters of 17×17"),
        ({"start": np.ones((5, 1, 3, 3))}, "filters to start from have shape"),
        ({"start": np.full((5, 1, 4, 4), np.nan)}, "filters to start from hold NaN"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        learner(**options).fit(images())


def test_other_images_are_refused_after_the_fit() -> None:
    found = learner().fit(images())
    for task in (found.transform, found.score, found.partial_fit):
        with pytest.raises(UsageError, match="image 0 has 2 channels, and 1 are needed"):
            task(images(2, n_channels=2))
        with pytest.raises(UsageError, match="image 1 holds NaN"):
            task(np.where(np.arange(3)[:, None, None, None] == 1, np.nan, images(3)))
        with pytest.raises(UsageError, match="an array"):
            task(images()[0])
    with pytest.raises(UsageError, match="maps of 5 filters"):
        found.inverse_transform(np.zeros((2, 4, 3, 3)))


def test_filters_are_drawn() -> None:
    found = learner().fit(images())
    assert len(found.plot_components(columns=2).axes) == 1
    assert "5 filters of 4×4" in found._repr_html_()
    assert "filters" not in learner()._repr_html_()
