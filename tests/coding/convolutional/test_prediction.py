"""Maps that are pulled towards a prediction: against the optimality conditions, the patch solver and the gap."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from striate.coding import (
    PreparedFilters,
    infer_convolutional,
    infer_convolutional_with_prediction,
    infer_with_prediction,
)
from striate.coding.convolutional.batches import infer_batch
from striate.errors import UsageError
from tests.coding.convolutional.problems import problem, toeplitz


def slopes(
    image: np.ndarray, maps: np.ndarray, filters: np.ndarray, target: np.ndarray, prediction: float, mask: Any = 1.0
) -> np.ndarray:
    """Minus the gradient of the smooth terms, from an explicit dictionary."""
    units = toeplitz(filters, *image.shape[1:])
    weights = np.broadcast_to(np.asarray(mask, float) ** 2, image.shape).reshape(-1)
    residual = image.reshape(-1) - maps.reshape(-1) @ units
    return (units @ (weights * residual)).reshape(maps.shape) + prediction * (target - maps)


@pytest.mark.kernels
@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("is_masked", [False, True])
def test_codes_meet_the_optimality_conditions(rng: np.random.Generator, n_channels: int, is_masked: bool) -> None:
    image, filters = problem(rng, n_channels=n_channels)
    mask = rng.uniform(0, 1, image.shape[1:]) if is_masked else None
    target = rng.standard_normal((5, 10, 11))
    sparsity = np.array([0.5, 0.8, 0.6, 0.7, np.inf])
    found = infer_convolutional_with_prediction(
        image, filters, sparsity, prediction=0.7, target=target, mask=mask, tolerance=1e-13, info=True
    )
    slope = slopes(image, found.codes, filters, target, 0.7, 1.0 if mask is None else mask)
    bounds = np.broadcast_to(sparsity[:, None, None], slope.shape)
    active = found.codes != 0
    np.testing.assert_allclose(slope[active], np.sign(found.codes[active]) * bounds[active], atol=1e-5)
    assert (np.abs(slope) <= bounds + 1e-5)[~active].all()
    assert found.converged.all()
    assert not found.codes[4].any()
    assert 0.05 < active.mean() < 0.7


def test_an_image_of_one_window_is_a_patch(rng: np.random.Generator) -> None:
    filters, images = rng.standard_normal((6, 2, 3, 4)), rng.standard_normal((9, 2, 3, 4))
    target = rng.standard_normal((9, 6))
    found = infer_convolutional_with_prediction(
        images, filters, 0.4, prediction=0.8, target=target.reshape(9, 6, 1, 1), tolerance=1e-12
    )
    expected = infer_with_prediction(
        images.reshape(9, -1), filters.reshape(6, -1), 0.4, prediction=0.8, target=target, tolerance=1e-12
    )
    np.testing.assert_allclose(found.reshape(9, 6), expected, atol=1e-5)


def test_a_weak_prediction_hardly_matters(rng: np.random.Generator) -> None:
    image, filters = problem(rng)
    target = rng.standard_normal((5, 10, 11))
    plain = infer_convolutional(image, filters, 0.5, tolerance=1e-9, info=True)
    found = infer_convolutional_with_prediction(
        image, filters, 0.5, prediction=1e-6, target=target, tolerance=1e-6, info=True, max_iterations=100_000
    )
    assert found.objective[0] == pytest.approx(plain.objective[0] + 0.5e-6 * np.square(target - plain.codes).sum())


def test_the_gap_is_certified_in_single_precision(rng: np.random.Generator) -> None:
    image, filters = problem(rng, dtype=np.float32)
    target = rng.standard_normal((5, 10, 11)).astype(np.float32)
    options: dict[str, Any] = {"prediction": 1.0, "target": target, "info": True}
    found = infer_convolutional_with_prediction(image, filters, 0.5, **options)
    assert found.codes.dtype == np.float32
    assert found.relative_gap[0] <= 1e-4
    better = infer_convolutional_with_prediction(image, filters, 0.5, tolerance=1e-6, **options)
    assert better.relative_gap[0] <= 1e-6
    assert better.objective[0] <= found.objective[0] <= better.objective[0] + found.gap[0] + 1e-6
    exact = infer_convolutional_with_prediction(image.astype(float), filters, 0.5, tolerance=1e-10, **options)
    assert exact.codes.dtype == np.float64
    assert exact.objective[0] == pytest.approx(better.objective[0], rel=1e-5)


def test_lists_and_steps_that_do_not_suffice(rng: np.random.Generator) -> None:
    _, filters = problem(rng)
    images = [rng.standard_normal((1, 8, 9)), rng.standard_normal((1, 12, 6))]
    target = [rng.standard_normal((5, 6, 6)), rng.standard_normal((5, 10, 3))]
    found = infer_convolutional_with_prediction(images, filters, 0.5, prediction=1.0, target=target)
    for one, image, of_one in zip(found, images, target, strict=True):
        alone = infer_convolutional_with_prediction(image, filters, 0.5, prediction=1.0, target=of_one)
        np.testing.assert_array_equal(one, alone)
    with pytest.warns(ConvergenceWarning, match="2 of 2 images"):
        infer_convolutional_with_prediction(images, filters, 0.5, prediction=1.0, target=target, max_iterations=2)


def test_errors_say_what_is_wrong(rng: np.random.Generator) -> None:
    image, filters = problem(rng)
    target = np.zeros((5, 10, 11))
    for options, message in (
        ({"target": target[:, 1:]}, "target: maps of image 0 have shape"),
        ({"target": np.full_like(target, np.nan)}, "target: maps of image 0 hold NaN"),
        ({"target": target, "prediction": 0.0}, "prediction is 0.0"),
        ({"target": target, "tolerance": -1.0}, "tolerance is -1.0"),
    ):
        with pytest.raises(UsageError, match=message):
            infer_convolutional_with_prediction(image, filters, 0.5, **({"prediction": 1.0} | options))


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("prediction", [0.0, 0.6])
def test_rounds_of_a_batch_approach_the_optimum(rng: np.random.Generator, dtype: Any, prediction: float) -> None:
    _, filters = problem(rng, n_channels=2, n_maps=4, dtype=dtype)
    images = rng.standard_normal((3, 2, 9, 10)).astype(dtype)
    target = rng.standard_normal((3, 4, 7, 7)).astype(dtype)
    mask = rng.uniform(0.2, 1, (9, 10))
    energies = []
    for rounds in (1, 3, 9, 40):
        maps = infer_batch(
            images, PreparedFilters(filters), 0.7, rounds=rounds, target=target, prediction=prediction,
            weights=(mask**2).astype(dtype),
        )  # fmt: skip
        assert maps.dtype == dtype
        residual = mask * (images - PreparedFilters(filters).reconstruct(maps))
        pulled = 0.5 * prediction * np.square(maps - target).sum()
        energies.append(float(0.5 * np.square(residual).sum() + 0.7 * np.abs(maps).sum() + pulled))
    options: dict[str, Any] = {"mask": mask, "tolerance": 1e-9, "info": True}
    wide = images.astype(float)
    if prediction:
        options |= {"prediction": prediction, "target": target.astype(float)}
        exact = infer_convolutional_with_prediction(wide, filters, 0.7, **options)
    else:
        exact = infer_convolutional(wide, filters, 0.7, **options)
    assert all(after <= before * (1 + 1e-6) for before, after in pairwise(energies))
    assert energies[-1] == pytest.approx(exact.objective.sum(), rel=1e-5)
