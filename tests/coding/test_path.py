"""The whole path, and codes of a wanted size or error."""

from typing import Any

import numpy as np
import pytest

from striate.coding import PreparedDictionary, certify, infer, infer_until, regularization_path
from striate.coding import _special as special
from striate.errors import UsageError

pytestmark = pytest.mark.kernels


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    dictionary = rng.standard_normal((30, 16))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    return rng.standard_normal((12, 16)), dictionary


@pytest.mark.parametrize("positive", [False, True])
def test_a_path_has_the_optimum_of_every_sparsity(
    problem: tuple[np.ndarray, np.ndarray], rng: np.random.Generator, positive: bool
) -> None:
    signals, dictionary = problem
    path = regularization_path(signals[0], dictionary, lowest=0.05, positive=positive)
    for sparsity in (0.05, *rng.uniform(0.05, path.sparsities[0], 8), 2 * path.sparsities[0]):
        code = path.at(float(sparsity))[np.newaxis]
        proof = certify(signals[:1], code, dictionary, float(sparsity), positive=positive)
        assert proof.relative_gap.max() < 1e-9
    with pytest.raises(UsageError, match="let it end lower"):
        path.at(0.01)


def test_a_path_ends_where_it_is_told(problem: tuple[np.ndarray, np.ndarray]) -> None:
    signals, dictionary = problem
    assert (regularization_path(signals[0], dictionary, max_nonzero=4).codes[-1] != 0).sum() == 4
    code = regularization_path(signals[0], dictionary, residual=1.5).codes[-1]
    assert np.linalg.norm(signals[0] - code @ dictionary) == pytest.approx(1.5)
    # More units than features: without an end, down to interpolation.
    np.testing.assert_allclose(
        regularization_path(signals[0], dictionary).codes[-1] @ dictionary, signals[0], atol=1e-8
    )
    assert regularization_path(0 * signals[0], dictionary).codes.tolist() == [[0.0] * 30]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_codes_of_a_wanted_size_are_optimal_for_the_sparsity_that_they_reach(
    problem: tuple[np.ndarray, np.ndarray], dtype: type
) -> None:
    signals, dictionary = problem
    codes = infer_until(signals.astype(dtype), PreparedDictionary(dictionary), max_nonzero=3)
    assert codes.dtype == dtype
    assert ((codes != 0).sum(axis=1) == 3).all()
    slopes = (signals - codes @ dictionary) @ dictionary.T
    reached = np.abs(slopes).max(axis=1, keepdims=True)
    np.testing.assert_allclose(codes, infer(signals, dictionary, reached, tolerance=1e-12), atol=2e-5)
    assert not infer_until(signals, dictionary, max_nonzero=0).any()


def test_codes_of_a_wanted_error_have_it(problem: tuple[np.ndarray, np.ndarray]) -> None:
    signals, dictionary = problem
    signals[3] *= 1e-3  # explained well enough by nothing
    codes = infer_until(signals, dictionary, residual=1.0)
    rest = np.linalg.norm(signals - codes @ dictionary, axis=1)
    assert not codes[3].any()
    np.testing.assert_allclose(np.delete(rest, 3), 1.0, rtol=1e-9)
    positive = infer_until(signals, dictionary, residual=1.0, max_nonzero=5, positive=True)
    assert (positive >= 0).all()
    assert (np.count_nonzero(positive, axis=1) <= 5).all()


def test_what_is_wrong_is_said(problem: tuple[np.ndarray, np.ndarray]) -> None:
    signals, dictionary = problem
    with pytest.raises(UsageError, match="give max_nonzero, residual or both"):
        infer_until(signals, dictionary)
    with pytest.raises(UsageError, match="one signal"):
        regularization_path(signals, dictionary)
    with pytest.raises(UsageError, match="n_samples, 16"):
        infer_until(signals[:, :5], dictionary, max_nonzero=2)
    with pytest.raises(UsageError, match="above 0"):
        infer_until(signals, dictionary, residual=0.0)
    with pytest.raises(UsageError, match="at least 0"):
        infer_until(signals, dictionary, max_nonzero=-1)
    with pytest.raises(UsageError, match="lowest"):
        regularization_path(signals[0], dictionary, lowest=-1.0)
    signals[2, 3] = np.nan
    with pytest.raises(UsageError, match="sample 2"):
        infer_until(signals, dictionary, max_nonzero=2)


def test_many_units_are_followed_without_their_gram_matrix(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals, dictionary = rng.standard_normal((7, 12)), rng.standard_normal((200, 12))
    weights = np.where(np.arange(200) % 5 == 0, np.inf, 1.0)
    cases: list[dict[str, Any]] = [
        {"max_nonzero": 4},
        {"residual": 0.5},
        {"max_nonzero": 3, "positive": True},
        {"max_nonzero": 4, "weights": weights},
    ]
    expected = [infer_until(signals, dictionary, **case) for case in cases]
    monkeypatch.setattr(special, "_GRAM_BYTES", 100_000)
    prepared = PreparedDictionary(dictionary)
    for case, codes in zip(cases, expected, strict=True):
        np.testing.assert_allclose(infer_until(signals, prepared, **case), codes, atol=1e-9)
    assert not prepared._arrays


def test_sixty_thousand_units_are_followed(rng: np.random.Generator) -> None:
    dictionary = rng.standard_normal((60_000, 30)).astype(np.float32)
    signals = dictionary[:2] + dictionary[7:9]
    prepared = PreparedDictionary(dictionary)
    codes = infer_until(signals, prepared, max_nonzero=5)
    assert (np.count_nonzero(codes, axis=1) == 5).all()
    assert not prepared._arrays
