"""Convolutional PSD: optimality, derivatives, the patch learner as a special case, resume, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate import model_file
from striate.checkpoint import Checkpoint
from striate.coding import PreparedFilters, infer_with_prediction
from striate.coding.convolutional.windows import coverage, windows_as_rows
from striate.encoders import SmoothShrinkageEncoder, TanhEncoder
from striate.errors import UsageError
from striate.images import ImageFolder
from striate.learning import ConvolutionalPSD
from striate.learning._coded_crops import CodedCrops
from striate.learning._filter_update import unit_filters

SMALL: dict[str, Any] = {
    "n_components": 5, "kernel_size": 4, "max_batches": 4, "batch_size": 3, "sparsity": 0.5, "random_state": 0,
}  # fmt: skip


def learner(**options: Any) -> ConvolutionalPSD:
    return ConvolutionalPSD(**(SMALL | options))


def images(n: int = 8, size: tuple[int, int] = (16, 18), n_channels: int = 1, dtype: Any = np.float32) -> np.ndarray:
    """Noise that is smooth along rows, with a mean."""
    noise = np.random.default_rng(7).standard_normal((n, n_channels, *size))
    return (noise + np.roll(noise, 1, axis=3) + 0.5).astype(dtype)


def same(one: ConvolutionalPSD, other: ConvolutionalPSD) -> bool:
    """Bit for bit, what learning would go on with included."""
    arrays, header = one.to_state(training=True)
    other_arrays, other_header = other.to_state(training=True)
    return header == other_header and all(np.array_equal(arrays[name], other_arrays[name]) for name in arrays)


def test_the_energy_of_held_out_crops_falls_and_filters_have_unit_norm(rng: np.random.Generator) -> None:
    truth = unit_filters(rng.standard_normal((4, 1, 5, 5)))
    codes = rng.laplace(size=(40, 4, 20, 20)) * (rng.random((40, 4, 20, 20)) < 0.02)
    given = PreparedFilters(truth.astype(np.float32)).reconstruct(codes.astype(np.float32))
    found = learner(n_components=6, kernel_size=5, batch_size=8, max_batches=200, sparsity=0.3).fit(given)
    energies = found.energy_history_
    assert len(energies) == 2
    assert energies[1] < energies[0] < -learner(n_components=6, kernel_size=5).fit(given).score(given[:4]) / 24**2
    np.testing.assert_allclose(np.square(found.components_).sum(axis=(1, 2, 3)), 1, rtol=1e-5)
    assert found.history_[-1].error < 0.5 * 0.5 * np.square(coverage(13, 13, 5, 5)).mean()
    assert found.usage_.shape == (6,)


@pytest.mark.parametrize("n_channels", [1, 2])
def test_optimal_maps_meet_the_conditions_with_border_weights(n_channels: int) -> None:
    given = images(n_channels=n_channels, dtype=np.float64)
    found = learner(prediction=0.7).fit(given)
    maps, predicted = found.infer(given[:2], tolerance=1e-12), found.transform(given[:2])
    scaled = (given[:2] - found.mean_[:, None, None]) / found.scale_
    crops = CodedCrops(scaled, np.square(coverage(16, 18, 4, 4)), predicted, maps)
    residual = crops.weighted_residual(found.components_)
    slope = np.einsum(
        "ncijuv,kcuv->nkij", np.lib.stride_tricks.sliding_window_view(residual, (4, 4), (2, 3)), found.components_
    )
    slope += 0.7 * (predicted - maps)
    active = maps != 0
    assert active.any()
    np.testing.assert_allclose(slope[active], 0.5 * np.sign(maps[active]), atol=1e-5)
    assert np.abs(slope[~active]).max() <= 0.5 + 1e-5
    energy = (
        crops.error(found.components_, maps) + 0.5 * np.abs(maps).sum() + 0.35 * np.square(maps - predicted).sum()
    ) / 2
    assert -found.score(given[:2]) == pytest.approx(energy, rel=1e-5)


def test_images_of_the_size_of_filters_are_patches(rng: np.random.Generator) -> None:
    given = images(12, (4, 4), 2, np.float64)
    found = learner(batch_size=12, remove_mean=False).fit(given)
    rows = given.reshape(12, -1) / found.scale_
    predicted = found.predictor_.encode(rows)
    np.testing.assert_allclose(found.transform(given).reshape(12, 5), predicted, atol=1e-12)
    expected = infer_with_prediction(
        rows, found.components_.reshape(5, -1), 0.5, prediction=1.0, target=predicted, tolerance=1e-12
    )
    np.testing.assert_allclose(found.infer(given, tolerance=1e-12).reshape(12, 5), expected, atol=1e-5)
    np.testing.assert_allclose(
        found.inverse_transform(found.infer(given)).reshape(12, -1),
        found.scale_ * found.infer(given).reshape(12, 5) @ found.components_.reshape(5, -1),
    )


def test_derivatives_of_the_energy_are_those_of_finite_differences(rng: np.random.Generator) -> None:
    given, filters = rng.standard_normal((2, 2, 7, 8)), rng.standard_normal((3, 2, 3, 3))
    maps, other = rng.standard_normal((2, 2, 3, 5, 6))
    crops = CodedCrops(given, np.square(coverage(7, 8, 3, 3)), other, maps)

    def slope(function: Any, array: np.ndarray, place: tuple[int, ...]) -> float:
        step = np.zeros_like(array)
        step[place] = 1e-6
        return float(function(array + step) - function(array - step)) / 2e-6

    for place in [(0, 0, 0, 0), (1, 1, 2, 1), (2, 0, 1, 2)]:
        found = slope(lambda array: crops.error(array, maps), filters, place)
        assert crops.descent(filters)[place] == pytest.approx(-found, rel=1e-6)
    rows = windows_as_rows(given, 3, 3)
    encoders: tuple[Any, ...] = (
        TanhEncoder.from_arrays(0.2 * filters.reshape(3, -1), rng.standard_normal(3), rng.uniform(0.5, 2, 3)),
        SmoothShrinkageEncoder.from_arrays(filters.reshape(3, -1), rng.uniform(1, 5, 3), rng.uniform(0.2, 1, 3)),
    )
    for encoder in encoders:
        slopes = encoder.gradients(rows, encoder.forward(rows)[1], crops.rows)
        for name, array in encoder.arrays().items():

            def loss(changed: np.ndarray, encoder: Any = encoder, name: str = name) -> float:
                codes = encoder.with_arrays(encoder.arrays() | {name: changed}).encode(rows)
                predicted = codes.reshape(2, 5, 6, 3).transpose(0, 3, 1, 2)
                return 0.5 * float(np.square(predicted - maps).sum()) / len(rows)

            entry = (1,) if array.ndim == 1 else (1, 4)
            assert slopes[name][entry] == pytest.approx(slope(loss, array, entry), rel=1e-5, abs=1e-9), name


@pytest.mark.parametrize("options", [{}, {"encoder": "smooth shrinkage"}])
def test_a_killed_fit_continues_with_the_same_bits(options: dict[str, Any], tmp_path: Path) -> None:
    given = images(24)
    whole = learner(max_batches=8, **options).fit(given)

    def kill(one: ConvolutionalPSD) -> None:
        if one.n_batches_ == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learner(max_batches=8, **options).fit(
            given, checkpoint=Checkpoint(tmp_path, {"a": 1}, interval=0), callback=kill
        )
    again = learner(max_batches=8, **options).fit(given, checkpoint=Checkpoint(tmp_path, {"a": 1}, interval=0))
    assert same(whole, again)
    assert whole.history_


def test_the_state_continues_with_the_same_bits(tmp_path: Path) -> None:
    given = images()
    one = learner(kernel_size=(3, 4)).fit(given)
    model_file.write(tmp_path / "one.safetensors", *one.to_state(training=True), kind="convolutional-psd")
    again = ConvolutionalPSD.from_state(*model_file.read(tmp_path / "one.safetensors", kind="convolutional-psd"))
    assert again.kernel_size == (3, 4)
    np.testing.assert_array_equal(one.transform(given), again.transform(given))
    assert same(one.partial_fit(given), again.partial_fit(given))
    lean = ConvolutionalPSD.from_state(*one.to_state())
    np.testing.assert_array_equal(one.transform(given), lean.transform(given))
    lean.partial_fit(given)


@pytest.mark.parametrize("encoder", ["tanh", "smooth shrinkage"])
def test_predictions_of_an_image_are_those_of_its_windows(encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = images(n_channels=2)
    found = learner(encoder=encoder).fit(given)
    maps = found.transform(given)
    assert maps.dtype == np.float32
    assert maps.shape == (8, 5, 13, 15)
    window = (given[:, :, 3:7, 6:10] - found.mean_[:, None, None]) / found.scale_
    np.testing.assert_allclose(maps[:, :, 3, 6], found.predictor_.encode(window.reshape(8, -1)), atol=1e-6)
    monkeypatch.setattr("striate.learning.convolutional_psd._BLOCK", 1)
    np.testing.assert_allclose(found.transform(given), maps, atol=1e-6)
    filters, bias, gain, threshold, beta = found.convolution_filters()
    products = given[:, :, 3:7, 6:10].reshape(8, -1) @ filters.T + bias
    if encoder == "tanh":
        np.testing.assert_allclose(maps[:, :, 3, 6], gain * np.tanh(products), atol=1e-5)
        assert threshold is beta is None
        assert found.gain_.shape == found.encoder_bias_.shape == (5,)
    else:
        assert threshold is not None
        assert beta is not None
        assert (gain == 1).all()
        shrunk = SmoothShrinkageEncoder.from_arrays(np.eye(5, dtype=np.float32), beta, threshold).encode(products)
        np.testing.assert_allclose(maps[:, :, 3, 6], shrunk, atol=1e-5)
        assert (found.smoothness_ > 0).all()
        assert found.encoder_.shape == (5, 2, 4, 4)


def test_lists_of_sizes_and_folders(tmp_path: Path, rng: np.random.Generator) -> None:
    given = [rng.standard_normal((4, 4)), rng.standard_normal((30, 9)), rng.standard_normal((12, 11))]
    found = learner(batch_size=6).fit(given)
    maps = found.transform(given)
    assert [one.shape for one in maps] == [(5, 1, 1), (5, 27, 6), (5, 9, 8)]
    assert [one.shape for one in found.inverse_transform(maps)] == [(1, 4, 4), (1, 30, 9), (1, 12, 11)]
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (20, 24), np.uint8)).save(tmp_path / f"{number}.png")
    of_folder = learner().fit(ImageFolder(tmp_path))
    assert len(of_folder.transform(ImageFolder(tmp_path))) == 3


def test_one_image_and_one_filter() -> None:
    found = learner(n_components=1, kernel_size=1, crop=5).fit(images(1))
    assert found.components_.shape == (1, 1, 1, 1)
    assert not found.history_
    assert np.isfinite(found.transform(images(2))).all()
    assert np.isfinite(learner(sparsity=0.0, prediction=0.0).fit(images(2)).infer(images(1), tolerance=0.1)).all()


def test_filters_that_nothing_uses_are_replaced() -> None:
    given = images(10)
    found = learner().fit(given)
    before = found.components_.copy()
    found.usage_[[1, 3]] = 0
    found._replace_dead_units(found._batch(found._samples(given, reset=False), np.arange(10)))
    assert not np.allclose(found.components_[[1, 3]], before[[1, 3]])
    np.testing.assert_array_equal(found.components_[[0, 2, 4]], before[[0, 2, 4]])
    assert (found.usage_ > 0).all()


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (np.full((3, 1, 9, 9), 2.0), {}, "the images are constant"),
        (np.zeros((3, 1, 9, 9)), {}, "the images are constant"),
        (images() * np.float32(1e30), {}, "bring them to a scale of 1"),
        (images(size=(3, 9)), {}, "smaller than filters of 4×4"),
        (np.where(np.arange(18) == 3, np.nan, images()), {}, "NaN"),
        (images(), {"crop": 3}, "do not fit into it"),
        (images(), {"encoder": "forest"}, "encoder"),
        (images(), {"prediction": -1.0}, "prediction"),
        (images()[0], {}, "n_images, channels, height, width"),
        ([], {}, "no images"),
    ],
)
def test_what_is_refused(given: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        learner(**options).fit(given)


def test_divergence_is_said() -> None:
    with pytest.raises(UsageError, match="learning has diverged"):
        learner(encoder_rate=1e38, max_batches=50).fit(images())


def test_filters_are_drawn() -> None:
    found = learner().fit(images())
    assert "5 filters of 4×4" in found._repr_html_()
    assert found.plot_components(columns=5).axes
    assert found.plot_filters().axes
