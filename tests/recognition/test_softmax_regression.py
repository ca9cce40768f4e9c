from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from striate.recognition.softmax_regression import Solution, minimize_cross_entropy


class Dense:
    """The samples of a small problem, nothing but what `Design` asks for."""

    def __init__(self, samples: np.ndarray, weights: np.ndarray | None = None) -> None:
        self.samples = samples
        self.weights = np.full(len(samples), 1 / len(samples)) if weights is None else weights / weights.sum()
        self.n_columns = samples.shape[1]
        self.dtype = samples.dtype

    def product(self, coefficients: np.ndarray) -> np.ndarray:
        return self.samples @ coefficients

    def transposed_product(self, residuals: np.ndarray) -> np.ndarray:
        return self.samples.T @ residuals

    def gram(self) -> np.ndarray:
        return self.samples.T @ self.samples / self.dtype.type(len(self.samples))


def problem(
    rng: np.random.Generator, n_samples: int = 90, n_columns: int = 12, n_classes: int = 4, noise: float = 2.0
) -> tuple[np.ndarray, np.ndarray]:
    samples = rng.standard_normal((n_samples, n_columns)) * rng.uniform(0.2, 2, n_columns)
    scores = samples @ rng.standard_normal((n_columns, n_classes)) + noise * rng.standard_normal((n_samples, n_classes))
    labels = scores.argmax(axis=1)
    labels[:n_classes] = np.arange(n_classes)
    return samples, labels


def solved(samples: np.ndarray, labels: np.ndarray, decay: float, **options: object) -> Solution:
    design = Dense(samples)
    arguments: dict = {"gram": design.gram(), "tolerance": 1e-13, "max_iterations": 2000, **options}
    return minimize_cross_entropy(design, labels, int(labels.max()) + 1, decay, **arguments)


def objective(
    samples: np.ndarray, labels: np.ndarray, decay: float, coefficients: np.ndarray
) -> tuple[float, np.ndarray]:
    """Value and gradient, in double precision, from the formula and by SciPy."""
    w = coefficients.astype(np.float64)
    logs = log_softmax(samples.astype(np.float64) @ w[:-1] + w[-1], axis=1)
    truth = np.eye(len(w[0]))[labels]
    value = -(truth * logs).sum(axis=1).mean() + decay / 2 * (w[:-1] ** 2).sum()
    residuals = (np.exp(logs) - truth) / len(labels)
    return value, np.vstack([samples.T @ residuals + decay * w[:-1], residuals.sum(axis=0)])


@pytest.mark.parametrize("decay", [3.0, 1e-2, 1e-5])
def test_the_gradient_vanishes_at_the_optimum_that_scipy_finds(rng: np.random.Generator, decay: float) -> None:
    samples, labels = problem(rng)
    solution = solved(samples, labels, decay)
    value, gradient = objective(samples, labels, decay, solution.coefficients)
    assert np.abs(gradient).max() < 1e-6
    assert solution.value == pytest.approx(value, rel=1e-12)

    def flat(values: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = objective(samples, labels, decay, values.reshape(13, 4))
        return value, gradient.ravel()

    expected = minimize(
        flat,
        np.zeros(13 * 4),
        jac=True,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 10_000, "maxfun": 10_000},
    )
    assert value == pytest.approx(expected.fun, rel=1e-7)
    np.testing.assert_allclose(solution.coefficients[:-1].sum(axis=1), 0, atol=1e-6)  # the penalty's choice


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("noise", [0.0, 5.0])  # separable, and far from it
@pytest.mark.parametrize("decay", [1.0, 1e-3, 1e-6])
def test_the_tolerance_is_kept(rng: np.random.Generator, dtype: type, noise: float, decay: float) -> None:
    samples, labels = problem(rng, n_samples=60, n_columns=30, noise=noise)
    best = solved(samples, labels, decay).value
    for tolerance in (1e-2, 1e-4, 1e-6):
        solution = solved(samples.astype(dtype), labels, decay, tolerance=tolerance)
        assert solution.coefficients.dtype == dtype
        assert solution.ended_by == "tolerance"
        value, _ = objective(samples.astype(dtype), labels, decay, solution.coefficients)
        # An estimate: a factor is lost where classes differ in curvature, and single precision has its own errors.
        assert best * (1 - 1e-5) <= value <= best * (1 + 20 * tolerance + 1e-6)


def test_the_preconditioner_decides_how_fast_not_where(rng: np.random.Generator) -> None:
    for _ in range(4):
        samples, labels = problem(rng)
        expected = solved(samples, labels, 1e-3)
        strange = np.cov(rng.standard_normal((12, 40)))
        for gram in (None, np.zeros((12, 12)), 100 * np.eye(12), strange):  # too short steps, much too long ones
            solution = solved(samples, labels, 1e-3, gram=gram)
            assert solution.value == pytest.approx(expected.value, rel=1e-8)
            np.testing.assert_allclose(solution.coefficients, expected.coefficients, atol=1e-3)


def test_a_gram_matrix_without_full_rank_is_repaired_in_single_precision(rng: np.random.Generator) -> None:
    samples, labels = problem(rng, n_columns=10)
    samples = np.hstack([samples, samples @ rng.standard_normal((10, 40))]).astype(np.float32)
    solution = solved(samples, labels, 1e-9, tolerance=1e-3)
    best = solved(samples.astype(np.float64), labels, 1e-9, tolerance=1e-8)
    value, _ = objective(samples, labels, 1e-9, solution.coefficients)
    assert value <= best.value * 1.01


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_beyond_the_smallest_number_comes_back(rng: np.random.Generator, dtype: type) -> None:
    # Each class is apart from the others: the first step leaves the wrong ones exp(−n_classes), 0 in single precision.
    n_classes, decay = 120, 1e-5
    labels = np.arange(n_classes)
    samples: np.ndarray = rng.standard_normal((n_classes, 150)).astype(dtype)
    solution = solved(samples, labels, decay, tolerance=1e-3, max_iterations=200)
    value, _ = objective(samples, labels, decay, solution.coefficients)

    def flat(w: np.ndarray) -> tuple[float, np.ndarray]:
        found, gradient = objective(samples, labels, decay, w.reshape(151, n_classes))
        return found, gradient.ravel()

    best = minimize(flat, np.zeros(151 * n_classes), jac=True, method="L-BFGS-B", options={"maxiter": 300}).fun
    assert solution.ended_by == "tolerance"
    assert value <= best * 1.01


def test_weights_are_multiplicities(rng: np.random.Generator) -> None:
    samples, labels = problem(rng)
    times = rng.integers(0, 4, size=len(labels))  # 0: the row is held out
    weighted = Dense(samples, times.astype(float))
    gram = weighted.gram()
    solution = minimize_cross_entropy(weighted, labels, 4, 1e-2, gram=gram, tolerance=1e-13)
    expected = solved(np.repeat(samples, times, axis=0), np.repeat(labels, times), 1e-2)
    np.testing.assert_allclose(solution.coefficients, expected.coefficients, atol=1e-5)


def test_the_start_is_forgotten_and_a_good_one_is_used(rng: np.random.Generator) -> None:
    samples, labels = problem(rng)
    best = solved(samples, labels, 1e-3)
    far = 20 * rng.standard_normal(best.coefficients.shape)
    before = far.copy()
    found = solved(samples, labels, 1e-3, start=far)
    assert found.value == pytest.approx(best.value, rel=1e-9)
    np.testing.assert_allclose(found.coefficients[:-1], best.coefficients[:-1], atol=1e-4)
    # What all intercepts share changes nothing, and stays as it was.
    assert np.ptp(found.coefficients[-1] - best.coefficients[-1]) < 1e-4
    np.testing.assert_array_equal(far, before)
    again = solved(samples, labels, 1e-3, start=best.coefficients, tolerance=1e-4)
    assert again.n_iterations == 0
    np.testing.assert_array_equal(again.coefficients, best.coefficients)


def test_ends_when_told_to_or_when_nothing_is_left_to_gain(rng: np.random.Generator) -> None:
    samples, labels = problem(rng)
    values = [solved(samples, labels, 1e-4, max_iterations=n).value for n in range(8)]
    assert values[0] == pytest.approx(np.log(4))
    assert (np.diff(values) < 0).all()
    stopped = solved(samples, labels, 1e-4, max_iterations=3)
    assert (stopped.n_iterations, stopped.ended_by) == (3, "iterations")
    # Single precision cannot reach this tolerance; it is noticed, not tried 2,000 times.
    rounded = solved(samples.astype(np.float32), labels, 1e-4, tolerance=1e-18)
    assert rounded.ended_by == "precision"
    assert rounded.value == pytest.approx(solved(samples, labels, 1e-4).value, rel=1e-4)


def test_samples_that_say_nothing_leave_the_frequencies_of_classes() -> None:
    labels = np.repeat([0, 1, 2], [10, 30, 60])
    for samples in (np.zeros((100, 3)), np.zeros((100, 0))):
        coefficients = solved(samples, labels, 1e-3).coefficients
        np.testing.assert_array_equal(coefficients[:-1], 0)
        np.testing.assert_allclose(np.exp(log_softmax(coefficients[-1])), [0.1, 0.3, 0.6], rtol=1e-5)
