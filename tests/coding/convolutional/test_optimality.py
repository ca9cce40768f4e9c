"""Convolutional codes are optimal: against the conditions, an explicit dictionary, the patch solver and the gap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate import threads
from striate.coding import certify, certify_convolutional, infer, infer_convolutional, infer_until
from striate.coding.convolutional import _sums
from striate.coding.convolutional.solving import METHODS
from tests.coding.convolutional.problems import kkt_residual, problem, toeplitz

EVERY_METHOD = pytest.mark.parametrize("method", list(METHODS))


@EVERY_METHOD
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_codes_meet_the_optimality_conditions(
    rng: np.random.Generator, method: Any, positive: bool, n_channels: int
) -> None:
    image, filters = problem(rng, n_channels=n_channels)
    sparsity = np.array([0.5, 0.8, 0.6, 0.7, np.inf])
    found = infer_convolutional(
        image, filters, sparsity, method=method, positive=positive, tolerance=1e-11, info=True
    )  # fmt: skip
    assert found.codes.shape == (5, 10, 11)
    assert kkt_residual(image, found.codes, filters, sparsity, positive=positive) < 1e-4
    assert 0.05 < (found.codes != 0).mean() < 0.6
    assert not found.codes[4].any()
    assert found.converged.all()
    if positive:
        assert found.codes.min() >= 0


@pytest.mark.kernels
@EVERY_METHOD
@pytest.mark.parametrize("n_channels", [1, 3])
def test_codes_are_those_of_the_dictionary_of_shifted_filters(
    rng: np.random.Generator, method: Any, n_channels: int
) -> None:
    image, filters = problem(rng, size=(7, 6), n_maps=3, n_channels=n_channels)
    ours = infer_convolutional(image, filters, 0.5, method=method, tolerance=1e-12, info=True)
    units = toeplitz(filters, 7, 6)
    truth = infer(image.reshape(1, -1), units, 0.5, tolerance=1e-12, info=True)
    np.testing.assert_allclose(ours.objective, truth.objective, rtol=1e-10)
    # Filters are independent here, so that the optimum is unique.
    np.testing.assert_allclose(ours.codes.reshape(-1), truth.codes[0], atol=1e-4)
    whole = certify(image.reshape(1, -1), ours.codes.reshape(1, -1), units, 0.5)
    np.testing.assert_allclose(ours.objective, whole.objective, rtol=1e-12)
    np.testing.assert_allclose(ours.relative_gap, whole.relative_gap, atol=1e-13)


@EVERY_METHOD
def test_images_of_one_patch_have_the_codes_of_the_patch_solver(rng: np.random.Generator, method: Any) -> None:
    filters = rng.standard_normal((20, 5, 4))
    images = rng.standard_normal((6, 1, 5, 4))
    dictionary = filters.reshape(20, -1)
    for image in images:
        code = infer_until(image.reshape(1, -1), dictionary, max_nonzero=4)[0]
        # On the path, the sparsity is the correlation that all active units share.
        sparsity = np.abs(dictionary @ (image.reshape(-1) - code @ dictionary)).max()
        ours = infer_convolutional(image, filters, sparsity, method=method, tolerance=1e-13)
        np.testing.assert_allclose(ours.reshape(-1), code, atol=1e-5)
    ours = infer_convolutional(images, filters, 2.0, method=method, tolerance=1e-12)
    truth = infer(images.reshape(6, -1), dictionary, 2.0, tolerance=1e-12)
    np.testing.assert_allclose(ours.reshape(6, -1), truth, atol=1e-5)


@EVERY_METHOD
@pytest.mark.parametrize("weighted", [False, True])
def test_a_mask_deletes_rows_or_weighs_them(rng: np.random.Generator, method: Any, weighted: bool) -> None:
    image, filters = problem(rng, size=(8, 7), n_maps=3, n_channels=2)
    seen_at_all = rng.random(image.shape) < 0.7
    mask = seen_at_all * rng.uniform(0.5, 2, image.shape) if weighted else seen_at_all
    given = np.where(mask > 0, image, np.nan)
    ours = infer_convolutional(given, filters, 0.3, mask=mask, method=method, tolerance=1e-12, info=True)
    units = toeplitz(filters, 8, 7)
    flat = mask.reshape(-1).astype(float)
    seen = flat > 0
    truth = infer(
        (image.reshape(-1) * flat)[None, seen], units[:, seen] * flat[seen], 0.3, tolerance=1e-12, info=True
    )  # fmt: skip
    np.testing.assert_allclose(ours.objective, truth.objective, rtol=1e-10)
    np.testing.assert_allclose(ours.codes.reshape(-1), truth.codes[0], atol=1e-4)
    assert kkt_residual(image, ours.codes, filters, 0.3, mask=mask) < 1e-4
    proof = certify_convolutional(given, ours.codes, filters, 0.3, mask=mask)
    np.testing.assert_array_equal(proof.gap, ours.gap)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    positive=st.booleans(),
    masked=st.booleans(),
    noise=st.sampled_from([0.0, 1e-6, 1e-3, 0.1, 3.0]),
    share=st.sampled_from([0.02, 0.2, 0.7, 1.5]),
)
def test_the_gap_is_never_below_the_true_suboptimality(
    seed: int, positive: bool, masked: bool, noise: float, share: float
) -> None:
    rng = np.random.default_rng(seed)
    image, filters = problem(rng, size=(6, 7), side=(2, 3), n_maps=3, n_channels=int(rng.integers(1, 3)))
    mask = rng.uniform(0, 2, image.shape) * (rng.random(image.shape) < 0.8) if masked else np.ones(image.shape)
    units = toeplitz(filters, 6, 7) * mask.reshape(-1)
    signal = (image * mask).reshape(1, -1)
    sparsity = float(share * np.abs(signal @ units.T).max()) + 1e-9
    best = infer(signal, units, sparsity, positive=positive, tolerance=1e-13, info=True)
    code = best.codes.reshape(3, 5, 5) + noise * rng.standard_normal((3, 5, 5)) * (rng.random((3, 5, 5)) < 0.5)
    code = np.maximum(code, 0) if positive else code
    proof = certify_convolutional(image, code, filters, sparsity, positive=positive, mask=mask)
    true = 0.5 * ((signal - code.reshape(1, -1) @ units) ** 2).sum() + sparsity * np.abs(code).sum()
    rounding = 1e-12 * (signal**2).sum()
    np.testing.assert_allclose(proof.objective[0], true, rtol=1e-10)
    assert proof.gap[0] >= true - best.objective[0] - rounding
    # Both bounds on the minimum agree: no certificate is above another code's objective.
    assert proof.objective[0] - proof.gap[0] <= best.objective[0] + rounding


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_codes_move_with_the_image(rng: np.random.Generator, dtype: Any) -> None:
    image, filters = problem(rng, size=(30, 90), side=(5, 5), dtype=dtype)
    empty = np.zeros((1, 60, 200), dtype)
    moved = []
    for row, column in ((5, 7), (22, 101)):
        whole = empty.copy()
        whole[:, row : row + 30, column : column + 90] = image
        codes = infer_convolutional(whole, filters, 0.6, tolerance=1e-10 if dtype == np.float64 else 1e-6)
        around = codes[:, row - 4 : row + 30, column - 4 : column + 90]
        assert np.count_nonzero(around) == np.count_nonzero(codes)
        moved.append(around)
    np.testing.assert_allclose(moved[0], moved[1], atol=1e-4 if dtype == np.float64 else 2e-2)


def test_methods_and_precisions_agree_on_a_larger_image(rng: np.random.Generator) -> None:
    image, filters = problem(rng, size=(41, 53), side=(6, 7), n_maps=37)
    exact = infer_convolutional(image, filters, 1.0, tolerance=1e-9, info=True)
    method: Any
    for dtype in (np.float32, np.float64):
        for method in METHODS:
            tolerance = 1e-4 if dtype == np.float32 else 1e-6
            found = infer_convolutional(image.astype(dtype), filters, 1.0, method=method, info=True)
            assert found.codes.dtype == dtype
            assert found.relative_gap[0] <= tolerance
            excess = (found.objective - exact.objective + exact.gap) / (0.5 * (image**2).sum())
            assert -1e-7 < excess[0] < tolerance + 1e-7


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("masked", [False, True])
@EVERY_METHOD
def test_any_number_of_threads_gives_the_same_bits(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, dtype: Any, masked: bool, method: Any
) -> None:
    monkeypatch.setattr(_sums, "_WORTH_THREADS", 0)
    image, filters = problem(rng, size=(70, 60), side=(5, 5), n_maps=6, dtype=dtype)
    images = [image, image[:, :20, :30], image[:, 30:]]
    masks = [rng.random(one.shape) < 0.8 for one in images] if masked else None
    results = []
    for n in (1, 2, 5):
        with threads.limit(n):
            one = infer_convolutional(
                image, filters, 1.0, method=method, tolerance=1e-3, mask=masks[0] if masks else None
            )  # fmt: skip
            several = infer_convolutional(images, filters, 1.0, method=method, tolerance=1e-3, mask=masks)
        np.testing.assert_array_equal(one, several[0])
        results.append(several)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_codes_in_single_precision_reach_a_gap_below_its_rounding(rng: np.random.Generator) -> None:
    image, filters = problem(rng, size=(40, 40), dtype=np.float32)
    found = infer_convolutional(image, filters, 0.5, tolerance=1e-6, info=True)
    assert found.codes.dtype == np.float32
    assert found.relative_gap[0] <= 1e-6


def test_repeated_and_nearly_dependent_filters(rng: np.random.Generator) -> None:
    image, filters = problem(rng, size=(20, 20), side=(5, 5), n_maps=3)
    flat = np.ones((1, 1, 5, 5)) / 5
    together = np.concatenate([filters, filters, -filters, flat, flat * (1 + 1e-9 * rng.standard_normal(flat.shape))])
    found = infer_convolutional(image + 1, together, 0.3, tolerance=1e-8, info=True)
    assert found.relative_gap[0] <= 1e-8
    alone = infer_convolutional(image + 1, np.concatenate([filters, flat]), 0.3, tolerance=1e-8, info=True)
    np.testing.assert_allclose(found.objective, alone.objective, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_more_coefficients_than_pixels_may_be_active(rng: np.random.Generator, dtype: Any) -> None:
    # At such a sparsity, codes nearly interpolate the image, and working sets are nearly dependent.
    image, filters = problem(rng, size=(13, 12), side=(3, 3), n_maps=7, dtype=dtype)
    for positive in (False, True):
        found = infer_convolutional(image, filters, 0.01, positive=positive, info=True)
        assert found.converged.all()
