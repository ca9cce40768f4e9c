from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso

from striate.coding import energy, fista
from striate.coding._descent import accelerated_step
from striate.coding.eigenvalue import largest_eigenvalue
from striate.coding.proximal import fista_from_gram
from striate.errors import UsageError


def problem(
    rng: np.random.Generator, n_samples: int = 12, n_components: int = 30, n_features: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    dictionary = rng.standard_normal((n_components, n_features))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    return 3 * rng.standard_normal((n_samples, n_features)), dictionary


def optimality_residual(
    patches: np.ndarray,
    codes: np.ndarray,
    dictionary: np.ndarray,
    sparsity: float,
    prediction: float = 0.0,
    target: np.ndarray | float = 0.0,
) -> float:
    """Distance of 0 from the subdifferential of the energy (Karush, Kuhn, Tucker)."""
    gradient = (codes @ dictionary - patches) @ dictionary.T + prediction * (codes - target)
    at_zero = np.maximum(np.abs(gradient) - sparsity, 0)
    elsewhere = np.abs(gradient + sparsity * np.sign(codes))
    return float(np.where(codes == 0, at_zero, elsewhere).max())


def step_in_numpy(point, product, linear, codes, age, step, pull, threshold, negative, momentum_limit):
    """The twin of the compiled step, from the formulas; returns codes, next point, age."""
    u = point - step * (product + pull * point - linear)
    new = np.maximum(u - threshold, 0) - negative * np.maximum(-u - threshold, 0)
    uphill = ((point - new) * (new - codes)).sum(axis=1) > 0
    age = np.where(uphill, 1.0, age)
    older = (1 + np.sqrt(1 + 4 * age**2)) / 2
    momentum = np.minimum((age - 1) / older, momentum_limit)[:, np.newaxis]
    return new, new + momentum * (new - codes), older


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("negative", [0, 1])
def test_the_kernel_equals_its_numpy_twin(rng: np.random.Generator, dtype: Any, negative: int) -> None:
    real = dtype
    point, product, linear, codes = rng.standard_normal((4, 5, 7)).astype(dtype)
    spare, age = np.empty_like(point), rng.uniform(1, 9, size=5)
    thresholds, weights = rng.uniform(0, 1, 5).astype(dtype), rng.uniform(0, 1, 7).astype(dtype)
    threshold = thresholds[:, np.newaxis] * weights
    expected = step_in_numpy(point, product, linear, codes, age, 0.3, 0.7, threshold, negative, 0.6)
    values = [real(value) for value in (0.3, 0.7, negative, 0)]
    accelerated_step(point.dtype)(point, product, linear, codes, spare, age, thresholds, weights, *values, 0.6)
    for actual, wanted in zip((codes, spare, age), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=2e-6 if dtype == np.float32 else 1e-13, atol=1e-7)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    sparsity=st.floats(0.01, 5),
    prediction=st.sampled_from([0.0, 0.2, 1.0, 5.0]),
)
def test_codes_are_optimal(seed: int, sparsity: float, prediction: float) -> None:
    rng = np.random.default_rng(seed)
    patches, dictionary = problem(rng)
    target = rng.standard_normal((12, 30))
    codes = fista(patches, dictionary, sparsity, steps=40_000, prediction=prediction, target=target)
    assert optimality_residual(patches, codes, dictionary, sparsity, prediction, target) < 1e-6


def test_equals_the_lasso_of_scikit_learn(rng: np.random.Generator) -> None:
    patches, dictionary = problem(rng, n_samples=4)
    codes = fista(patches, dictionary, 0.7, steps=3000)
    # scikit-learn divides the square by 2 n_features, where we have ½.
    lasso = Lasso(alpha=0.7 / 16, fit_intercept=False, tol=1e-12, max_iter=100_000)
    expected = [lasso.fit(dictionary.T, patch).coef_ for patch in patches]
    np.testing.assert_allclose(codes, expected, atol=1e-6)
    assert np.array_equal(codes == 0, np.array(expected) == 0)


def test_an_orthonormal_dictionary_is_solved_by_one_shrinkage(rng: np.random.Generator) -> None:
    basis, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    patches = rng.standard_normal((5, 6))
    codes = fista(patches, basis, 0.5, steps=60)
    projected = patches @ basis.T
    np.testing.assert_allclose(codes, np.sign(projected) * np.maximum(np.abs(projected) - 0.5, 0), atol=1e-9)


def test_restart_and_strong_convexity_make_it_fast(rng: np.random.Generator) -> None:
    patches, dictionary = problem(rng, n_samples=50, n_components=60, n_features=30)
    target = fista(patches, dictionary, 1.0, steps=15)  # as good as an encoder

    def reached(steps: int, prediction: float) -> np.ndarray:
        start = np.zeros_like(target)
        codes = fista(patches, dictionary, 1.0, steps=steps, start=start, prediction=prediction, target=target)
        return energy(patches, codes, dictionary, 1.0, prediction=prediction, target=target)

    def excess(steps: int, prediction: float) -> float:
        best = reached(3000, prediction)
        return float((reached(steps, prediction) / best - 1).max())

    assert excess(20, prediction=1.0) < 1e-2
    assert excess(100, prediction=1.0) < 1e-9
    assert excess(300, prediction=0.0) < 1e-6


def test_a_stale_eigenvalue_is_noticed_and_corrected(rng: np.random.Generator) -> None:
    patches, dictionary = problem(rng, n_components=64)
    gram = dictionary @ dictionary.T
    true = largest_eigenvalue(gram)
    for stale in (0.6, 0.3, 1e-3, 1e-12):
        codes, used = fista_from_gram(patches @ dictionary.T, gram, 0.5, steps=20, eigenvalue=stale * true)
        assert used == pytest.approx(true)
        expected, _ = fista_from_gram(patches @ dictionary.T, gram, 0.5, steps=20, eigenvalue=true)
        np.testing.assert_array_equal(codes, expected)
    _, kept = fista_from_gram(patches @ dictionary.T, gram, 0.5, steps=20, eigenvalue=1.05 * true)
    assert kept == 1.05 * true


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_in_is_dtype_out_and_inputs_are_left_alone(rng: np.random.Generator, dtype: Any) -> None:
    patches, dictionary = problem(rng)
    patches, dictionary = patches.astype(dtype), dictionary.astype(dtype)
    start: np.ndarray = rng.standard_normal((12, 30)).astype(dtype)
    copies = [array.copy() for array in (patches, dictionary, start)]
    codes = fista(patches, dictionary, 0.5, steps=5, start=start, prediction=1.0, target=start)
    assert codes.dtype == dtype
    for array, copy in zip((patches, dictionary, start), copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert fista(patches, dictionary.astype(np.float64), 0.5).dtype == dtype


def test_edges(rng: np.random.Generator) -> None:
    patches, dictionary = problem(rng)
    assert fista(patches[:0], dictionary, 1.0).shape == (0, 30)
    np.testing.assert_array_equal(fista(patches, np.zeros_like(dictionary), 1.0), 0)
    np.testing.assert_array_equal(fista(patches, dictionary, 1e6), 0)
    with pytest.raises(UsageError, match="target"):
        fista(patches, dictionary, 1.0, prediction=1.0)
    with pytest.raises(UsageError, match="negative"):
        fista(patches, dictionary, -1.0)
