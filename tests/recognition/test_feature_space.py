from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from striate.errors import UsageError
from striate.recognition import SoftmaxClassifier, feature_space
from striate.recognition.feature_space import FeatureSpace, Standardization, row_blocks


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_space, "_BLOCK_BYTES", 4 * 7 * 5)  # five rows of seven features


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch, small_blocks: None) -> None:
    monkeypatch.setattr(feature_space, "_RESIDENT_BYTES", 0)


@pytest.fixture
def quick_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def features_of(rng: np.random.Generator, dtype: type = np.float64) -> np.ndarray:
    scales = np.array([1e-3, 0.1, 1, 1, 1, 10, 300])
    return (scales * rng.standard_normal((43, 7)) + scales * rng.standard_normal(7)).astype(dtype)


@pytest.mark.parametrize("n_columns", [0, 1, 7, 1000])
def test_blocks_are_all_rows_and_never_empty(small_blocks: None, n_columns: int) -> None:
    blocks = list(row_blocks(43, n_columns))
    np.testing.assert_array_equal(np.concatenate([np.arange(43)[rows] for rows in blocks]), np.arange(43))
    assert all(rows.stop > rows.start for rows in blocks)
    assert not list(row_blocks(0, n_columns))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_standardized_features_have_mean_0_and_variance_1(
    rng: np.random.Generator, small_blocks: None, dtype: type
) -> None:
    features = features_of(rng, dtype)
    wide = features.astype(np.float64)
    standardization = Standardization(features)
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(standardization.mean, wide.mean(axis=0), rtol=rtol, atol=rtol * 1e-3)
    np.testing.assert_allclose(standardization.scale, wide.std(axis=0), rtol=rtol)
    result = standardization.apply(features)
    assert result.dtype == standardization.dtype == (np.float64 if dtype == np.float64 else np.float32)
    np.testing.assert_allclose(result, (wide - wide.mean(axis=0)) / wide.std(axis=0), atol=10 * rtol)
    columns = slice(2, 5)
    np.testing.assert_array_equal(standardization.apply(features[:, columns], columns), result[:, columns])

    only_centered = Standardization(features, scale=False).apply(features)
    np.testing.assert_allclose(only_centered, wide - wide.mean(axis=0), rtol=10 * rtol, atol=100 * rtol)


def test_a_mean_far_above_the_deviation_costs_no_digits(rng: np.random.Generator, small_blocks: None) -> None:
    features = (1000 + 0.1 * rng.standard_normal((400, 7))).astype(np.float32)
    np.testing.assert_allclose(Standardization(features).scale, features.std(axis=0, dtype=np.float64), rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n_samples", [3, 300, 20_000])
def test_constant_features_become_nothing(n_samples: int, dtype: type) -> None:
    features: np.ndarray = np.tile(np.array([0, 0.1, -1 / 3, 7.7, 123.456, 6e4, 1e-5], dtype), (n_samples, 1))
    standardization = Standardization(features)
    np.testing.assert_array_equal(standardization.scale, 1)
    np.testing.assert_allclose(standardization.apply(features), 0, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_not_finite_is_named_in_one_sentence(rng: np.random.Generator, small_blocks: None, dtype: type) -> None:
    for values, kind in (((np.nan,), "NaN"), ((np.inf,), "infinity"), ((-np.inf, np.inf), "infinity")):
        features = features_of(rng, dtype)
        features[31 : 31 + len(values), 4] = values
        with pytest.raises(UsageError, match=rf"contain {kind} \(sample 31, feature 4\); remove the sample$"):
            Standardization(features)


def test_features_that_overflow_are_refused() -> None:
    far = np.full((43, 7), 3e38, np.float32)
    far[5] *= -1
    for large in (np.full((43, 7), 1e308), far):
        with pytest.raises(UsageError, match=r"so large that their .* infinity; scale them down"):
            Standardization(large)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_streamed_is_resident(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, dtype: type) -> None:
    features, rows = features_of(rng, dtype), rng.permutation(43)[:30]
    standardization = Standardization(features)
    resident = FeatureSpace(features, standardization)
    monkeypatch.setattr(feature_space, "_RESIDENT_BYTES", features.size)
    monkeypatch.setattr(feature_space, "_BLOCK_BYTES", 4 * 7 * 5)
    streamed = FeatureSpace(features, standardization)
    one, other = resident.design(rows), streamed.design(rows)
    assert (len(one.rows), len(other.rows)) == (30, 43)
    assert one.dtype == other.dtype == resident.dtype

    standardized = standardization.apply(features)
    coefficients = rng.standard_normal((8, 3)).astype(one.dtype)
    atol = 1e-12 if dtype == np.float64 else 1e-5
    for design in (one, other):
        np.testing.assert_allclose(design.weights[np.isin(design.rows, rows)], 1 / 30)
        assert design.weights.sum() == pytest.approx(1)
        product = design.product(coefficients[:-1])
        np.testing.assert_allclose(product, standardized[design.rows] @ coefficients[:-1], atol=atol)
        residuals = product * design.weights[:, None].astype(product.dtype)
        expected = standardized[rows].T @ (standardized[rows] @ coefficients[:-1]) / 30
        np.testing.assert_allclose(design.transposed_product(residuals), expected, atol=10 * atol)
    of_rows, of_all = one.gram(), other.gram()
    assert of_rows is not None
    assert of_all is not None
    np.testing.assert_allclose(of_rows, standardized[rows].T @ standardized[rows] / 30, atol=atol)
    np.testing.assert_allclose(of_all, standardized.T @ standardized / 43, atol=atol)  # of all: it preconditions
    for space, design in ((resident, one), (streamed, other)):
        logits = space.logits(design, coefficients, np.array([40, 2]))
        np.testing.assert_allclose(logits, standardized[[40, 2]] @ coefficients[:-1] + coefficients[-1], atol=atol)


def test_threads_share_one_whole_gram_matrix(rng: np.random.Generator, streamed: None, quick_switches: None) -> None:
    features = features_of(rng)
    for _ in range(40):
        space = FeatureSpace(features, Standardization(features))
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(lambda space=space: np.array(space.gram())) for _ in range(4)]  # type: ignore[misc]
        for copy in asked:  # as each thread found it
            np.testing.assert_array_equal(copy.result(), np.array(space.gram()))


def test_too_many_columns_have_no_gram_matrix(
    rng: np.random.Generator, streamed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_space, "_LARGEST_GRAM", 6)
    features = features_of(rng)
    assert FeatureSpace(features, Standardization(features)).design(np.arange(5)).gram() is None
    monkeypatch.setattr(feature_space, "_RESIDENT_BYTES", 10**6)
    assert FeatureSpace(features, Standardization(features)).design(np.arange(5)).gram() is None


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("standardize", [True, "together"])
@pytest.mark.parametrize(
    ("dtype", "scales"), [(np.float32, (1e-36, 1e-30, 1e20, 1e37)), (np.float64, (1e-300, 1e-170, 1e160, 1e300))]
)
def test_extreme_features_are_learned_as_others_are(
    rng: np.random.Generator, small_blocks: None, dtype: Any, scales: tuple[float, ...], standardize: Any, split: bool
) -> None:
    features = rng.standard_normal((200, 6)) + 2
    codes = (features[:, 0] > 2).astype(int)
    wanted = Standardization(features, scale=standardize, split=split).apply(features)
    for scale in scales:
        scaled = (features * scale).astype(dtype)
        found = Standardization(scaled, scale=standardize, split=split).apply(scaled)
        np.testing.assert_allclose(found, wanted, atol=2e-5 if dtype == np.float32 else 1e-12)
        model = SoftmaxClassifier(weight_decay=1e-3, standardize=standardize, split=split).fit(scaled, codes)
        assert (model.predict(scaled) == codes).mean() > 0.97


def test_a_tiny_feature_beside_others_gets_no_weight(rng: np.random.Generator) -> None:
    features = rng.standard_normal((50, 3)).astype(np.float32)
    features[:, 1] *= 1e-41
    model = SoftmaxClassifier(weight_decay=1e-3).fit(features, np.arange(50) % 2)
    assert np.abs(model.coef_[:, 1]).max() < 1e-30
    assert model.coef_[:, 0].any()


@pytest.mark.parametrize(
    ("dtype", "scale", "options", "said"),
    [
        (np.float32, 1e-41, {}, "so small"),
        (np.float64, 1e-311, {}, "so small"),
        (np.float32, 1e25, {"standardize": False}, "scale them down, or standardize"),
        (np.float64, 1e200, {"standardize": False}, "scale them down, or standardize"),
    ],
)  # fmt: skip
def test_what_no_weights_can_hold_is_refused(
    rng: np.random.Generator, dtype: Any, scale: float, options: dict[str, Any], said: str
) -> None:
    features = (rng.standard_normal((50, 3)) * scale).astype(dtype)
    with pytest.raises(UsageError, match=said):
        SoftmaxClassifier(weight_decay=1e-3, **options).fit(features, np.arange(50) % 2)
