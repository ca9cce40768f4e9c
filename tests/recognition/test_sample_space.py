from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.recognition import sample_space
from striate.recognition.feature_space import FeatureSpace, Standardization
from striate.recognition.sample_space import SampleSpace
from striate.recognition.weight_decay import solve


def standardized(features: np.ndarray) -> np.ndarray:
    wide = features.astype(np.float64)
    deviation = wide.std(axis=0)
    return (wide - wide.mean(axis=0)) / np.where(deviation > 0, deviation, 1)


def with_intercept(samples: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    return samples @ coefficients[:-1] + coefficients[-1]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("columns", [7, 4096])  # at a time
def test_the_kernel_holds_inner_products(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, dtype: type, columns: int
) -> None:
    monkeypatch.setattr(sample_space, "_COLUMNS", columns)
    features, others = (3 + rng.standard_normal((2, 20, 50))).astype(dtype)
    space = SampleSpace(features)
    expected = standardized(features)
    atol = 1e-11 if dtype == np.float64 else 2e-4
    np.testing.assert_allclose(space.kernel, expected @ expected.T, atol=atol)
    assert space.kernel.dtype == (np.float64 if dtype == np.float64 else np.float32)
    np.testing.assert_array_equal(space.kernel, space.kernel.T)
    mean, deviation = features.astype(np.float64).mean(axis=0), features.astype(np.float64).std(axis=0)
    between = (others[:9].astype(np.float64) - mean) / deviation @ expected.T
    np.testing.assert_allclose(space.kernel_with(others[:9]), between, atol=atol)

    combination = rng.standard_normal((21, 3))
    np.testing.assert_allclose(
        with_intercept(expected, space.to_features(combination)),
        expected @ expected.T @ combination[:-1] + combination[-1],
        atol=10 * atol,
    )
    with pytest.raises(UsageError, match="features have 49 columns, but those of training had 50"):
        space.kernel_with(others[:, :49])


@pytest.mark.parametrize("kind", ["wide", "narrow", "duplicates"])
def test_coordinates_keep_all_distances_in_as_few_dimensions_as_there_are(rng: np.random.Generator, kind: str) -> None:
    features = rng.standard_normal((30, 5 if kind == "narrow" else 80))
    if kind == "duplicates":
        features = features[rng.integers(8, size=30)]
    rows = rng.permutation(30)[:20]
    design = SampleSpace(features).coordinates(rows).design(np.arange(20))
    samples = standardized(features)[rows]
    samples -= samples.mean(axis=0)
    assert design.n_columns == np.linalg.matrix_rank(samples)
    coordinates = design.product(np.eye(design.n_columns))
    np.testing.assert_allclose(coordinates @ coordinates.T, samples @ samples.T, atol=1e-9)
    np.testing.assert_allclose(np.diag(design.gram()), coordinates.T @ coordinates / 20, atol=1e-12)
    residuals = rng.standard_normal((20, 3))
    np.testing.assert_allclose(design.transposed_product(residuals), coordinates.T @ residuals, atol=1e-12)
    np.testing.assert_allclose(design.weights, 1 / 20)


def test_any_classifier_in_coordinates_is_one_of_features_with_the_same_norm(rng: np.random.Generator) -> None:
    features = 2 + rng.standard_normal((30, 80))
    samples = standardized(features)
    space = SampleSpace(features).coordinates(np.arange(30))
    rows, others = np.split(rng.permutation(30), [18])
    design = space.design(rows)
    coefficients = rng.standard_normal((design.n_columns + 1, 3))
    spread = space.spread(design, coefficients)
    of_features = SampleSpace(features).to_features(space.combination(spread))
    np.testing.assert_allclose(
        design.product(coefficients[:-1]) + coefficients[-1], with_intercept(samples[rows], of_features), atol=1e-9
    )
    np.testing.assert_allclose(
        space.logits(design, coefficients, others), with_intercept(samples[others], of_features), atol=1e-9
    )
    np.testing.assert_allclose((of_features[:-1] ** 2).sum(), (coefficients[:-1] ** 2).sum())
    np.testing.assert_array_equal(space.gather(design, spread), coefficients)


def test_folds_leave_out_columns_of_little_variance_and_the_whole_does_not(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_space, "_LEADING", 5)
    monkeypatch.setattr(sample_space, "_AXES", 8)
    features = rng.standard_normal((60, 80)) @ np.diag(0.9 ** np.arange(80)) @ rng.standard_normal((80, 200))
    samples = standardized(features)
    space = SampleSpace(features)
    of_samples = space.coordinates(np.arange(60))
    fold, whole = of_samples.design(np.arange(40)), of_samples.design(np.arange(60))
    assert 8 < fold.n_columns < whole.n_columns == 59
    kept = fold.product(np.eye(fold.n_columns))
    lost = (samples[:40] ** 2).sum(axis=1) - (kept**2).sum(axis=1)
    assert lost.max() <= 0.05 * (samples**2).sum(axis=1).mean()
    # What is left out is left out of every sample; what remains is the same in both.
    coefficients = rng.standard_normal((fold.n_columns + 1, 3))
    spread = of_samples.spread(fold, coefficients)
    np.testing.assert_allclose(fold.product(coefficients[:-1]), whole.product(spread[:-1])[:40], atol=1e-9)
    of_features = space.to_features(of_samples.combination(spread))
    np.testing.assert_allclose(
        of_samples.logits(fold, coefficients, np.arange(40, 60)), with_intercept(samples[40:], of_features), atol=1e-9
    )
    np.testing.assert_array_equal(of_samples.gather(fold, spread), coefficients)
    # The leading columns are principal axes of the samples' projection; the others are not rotated.
    columns = whole.product(np.eye(59))
    leading = columns[:, :8].T @ columns[:, :8]
    np.testing.assert_allclose(leading, np.diag(np.diag(leading)), atol=1e-8)
    assert (np.diff(np.diag(leading)) < 0).all()
    np.testing.assert_allclose(columns @ columns.T, samples @ samples.T, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(60, 12), (60, 60), (40, 300)])
@pytest.mark.parametrize("decay", [1.0, 1e-2, 1e-4])
def test_reaches_the_optimum_of_feature_space(
    rng: np.random.Generator, dtype: type, shape: tuple[int, int], decay: float
) -> None:
    features: np.ndarray = (5 + rng.standard_normal(shape) * rng.uniform(0.1, 10, shape[1])).astype(dtype)
    features[7] = features[3]  # a duplicate, and a feature without information
    features[:, 4] = 0.1
    labels = (features[:, :3] @ rng.standard_normal((3, 3)) + rng.standard_normal((shape[0], 3))).argmax(axis=1)
    labels[:3] = [0, 1, 2]
    rows = np.delete(rng.permutation(shape[0]), slice(5))
    standardization = Standardization(features)
    by_features = solve(FeatureSpace(features, standardization), rows, labels[rows], 3, decay, tolerance=1e-12)[1]
    space = SampleSpace(features, standardization)
    part = space.coordinates(rows)
    by_samples = solve(part, np.arange(len(rows)), labels[rows], 3, decay, tolerance=1e-12)[1]
    combination: np.ndarray = np.zeros((shape[0] + 1, 3), dtype)
    combination[[*rows, -1]] = part.combination(by_samples.coefficients)
    found = []
    for solution, coefficients in (
        (by_samples, space.to_features(combination)),
        (by_features, by_features.coefficients),
    ):
        found.append((solution.value, coefficients[:-1], coefficients[-1] - coefficients[-1].mean()))
        np.testing.assert_allclose(coefficients[4], 0, atol=1e-6)
    rtol = 1e-7 if dtype == np.float64 else 1e-4
    assert found[0][0] == pytest.approx(found[1][0], rel=rtol)
    for one, other in zip(found[0][1:], found[1][1:], strict=True):
        np.testing.assert_allclose(one, other, atol=(3e-3 if dtype == np.float32 else 3e-4) * np.abs(other).max())


def test_samples_that_are_all_the_same_have_no_coordinate(rng: np.random.Generator) -> None:
    whole = SampleSpace(np.full((10, 30), 0.3, np.float32))
    space = whole.coordinates(np.arange(10))
    design, solution = solve(space, np.arange(10), np.arange(10) % 2, 2, 1e-3)
    assert design.n_columns == 0
    np.testing.assert_allclose(whole.to_features(space.combination(solution.coefficients)), 0, atol=1e-7)
    np.testing.assert_allclose(space.logits(design, solution.coefficients, np.arange(3)), 0, atol=1e-7)
