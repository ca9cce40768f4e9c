"""Objectives of maps on held-out crops, beside a reference that convolves directly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import convolve2d, correlate2d

from striate.coding import PreparedFilters
from striate.experiments import Context
from striate.experiments.convolutional.held_out import HeldOutCrops, learned_psd
from striate.progress import Progress


@pytest.fixture
def crops(rng: np.random.Generator) -> HeldOutCrops:
    filters = rng.standard_normal((3, 1, 3, 3)).astype(np.float32)
    images = rng.standard_normal((2, 1, 9, 9)).astype(np.float32)
    predicted = (rng.standard_normal((2, 3, 7, 7)) / 4).astype(np.float32)
    return HeldOutCrops(images, predicted, PreparedFilters(filters), 0.5)


def reference(crops: HeldOutCrops, maps: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean objective, and the gradient of its smooth part for each crop."""
    filters, squares = crops.filters.filters[:, 0].astype(float), crops.weights**2
    objectives, gradients = [], []
    for image, codes in zip(crops.images[:, 0].astype(float), maps.astype(float), strict=True):
        rest = image - sum(convolve2d(one, filter_) for one, filter_ in zip(codes, filters, strict=True))
        objectives.append(0.5 * (squares * rest**2).sum() + crops.sparsity * np.abs(codes).sum())
        gradients.append([-correlate2d(squares * rest, filter_, "valid") for filter_ in filters])
    return float(np.mean(objectives)), np.array(gradients)


def test_the_objective_is_that_of_the_weighted_error(crops: HeldOutCrops) -> None:
    assert crops.objective(crops.predicted) == pytest.approx(reference(crops, crops.predicted)[0], rel=1e-6)
    codes, optimal = crops.optimum()
    assert optimal == pytest.approx(reference(crops, codes)[0], rel=1e-6)
    assert optimal < crops.objective(np.zeros_like(codes)) < crops.objective(10 * crops.predicted)


def test_no_step_is_the_start_and_the_first_step_is_proximal(crops: HeldOutCrops) -> None:
    zeros = np.zeros_like(crops.predicted)
    length = 1 / (crops.filters.largest_eigenvalue * float(np.square(crops.weights).max()))
    for start in (None, crops.predicted):
        maps = zeros if start is None else start
        before, slope = reference(crops, maps)
        assert crops.after_steps(0, start) == pytest.approx(before, rel=1e-6)
        moved = maps - length * slope
        after, _ = reference(crops, np.sign(moved) * np.maximum(np.abs(moved) - length * crops.sparsity, 0))
        assert crops.after_steps(1, start) == pytest.approx(after, rel=1e-5)


def test_many_steps_reach_the_optimum(crops: HeldOutCrops) -> None:
    _, optimal = crops.optimum()
    objectives = [crops.after_steps(n) for n in (0, 1, 3, 300)]
    assert objectives == sorted(objectives, reverse=True)
    assert objectives[-1] == pytest.approx(optimal, rel=1e-3)


def test_crops_are_scaled_as_the_learner_scales_images(tmp_path: Path) -> None:
    context = Context("quick", 0, {}, tmp_path, Progress(), 1)
    learner = learned_psd({"n_filters": 3, "side": 5, "encoder": "tanh", "batches": 2}, context)
    crops = HeldOutCrops.drawn(learner, context, n_crops=2, side=20)
    assert crops.images.shape == (2, 1, 20, 20)
    windows = np.lib.stride_tricks.sliding_window_view(crops.images[0, 0], (5, 5)).reshape(-1, 25)
    predicted = learner.predictor_.encode(np.ascontiguousarray(windows)).T.reshape(3, 16, 16)
    np.testing.assert_allclose(crops.predicted[0], predicted, rtol=1e-4, atol=1e-6)
