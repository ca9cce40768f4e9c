from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso

from striate import threads
from striate.coding import PreparedDictionary, certify, infer
from striate.coding.solving import METHODS
from striate.errors import UsageError

EVERY_METHOD = pytest.mark.parametrize("method", list(METHODS))


def problem(
    rng: np.random.Generator,
    n_samples: int = 30,
    n_components: int = 40,
    n_features: int = 24,
    dtype: Any = np.float64,
) -> tuple[np.ndarray, np.ndarray]:
    dictionary = rng.standard_normal((n_components, n_features))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    return 3 * rng.standard_normal((n_samples, n_features)).astype(dtype), dictionary.astype(dtype)


def optimality_residual(
    signals: np.ndarray, codes: np.ndarray, dictionary: np.ndarray, sparsity: Any, positive: bool = False
) -> float:
    """Distance of 0 from the subdifferential of the objective (Karush, Kuhn, Tucker)."""
    slope = (signals.astype(float) - codes.astype(float) @ dictionary) @ dictionary.T.astype(float)
    at_zero = np.maximum((slope if positive else np.abs(slope)) - sparsity, 0)
    return float(np.where(codes == 0, at_zero, np.abs(slope - sparsity * np.sign(codes))).max())


@EVERY_METHOD
@pytest.mark.parametrize("positive", [False, True])
def test_every_method_meets_the_optimality_conditions(rng: np.random.Generator, method: Any, positive: bool) -> None:
    signals, dictionary = problem(rng, n_samples=12)
    found = infer(signals, dictionary, 0.8, method=method, positive=positive, tolerance=1e-11, info=True)
    assert optimality_residual(signals, found.codes, dictionary, 0.8, positive) < 1e-3
    assert found.relative_gap.max() <= 1e-10
    assert found.converged.all()
    assert 0 < (found.codes != 0).mean() < 0.6
    if positive:
        assert found.codes.min() >= 0


@pytest.mark.kernels
@EVERY_METHOD
def test_every_method_agrees_with_scikit_learn(rng: np.random.Generator, method: Any) -> None:
    signals, dictionary = problem(rng, n_samples=10)
    lasso = Lasso(alpha=0.5 / 24, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(dictionary.T, signals.T)
    ours = infer(signals, dictionary, 0.5, method=method, tolerance=1e-12)
    np.testing.assert_allclose(ours, lasso.coef_, atol=2e-4)
    best = certify(signals, lasso.coef_, dictionary, 0.5).objective
    np.testing.assert_allclose(certify(signals, ours, dictionary, 0.5).objective, best, rtol=1e-9)


@EVERY_METHOD
@pytest.mark.parametrize("of_dictionary", [np.float32, np.float64])
@pytest.mark.parametrize("of_signals", [np.float32, np.float64])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_type_is_that_of_the_signals_whatever_else(
    rng: np.random.Generator, method: Any, of_signals: Any, of_dictionary: Any, n_threads: int
) -> None:
    signals, dictionary = problem(rng, n_samples=9)
    with threads.limit(n_threads):
        codes = infer(signals.astype(of_signals), dictionary.astype(of_dictionary), 0.8, method=method)
    assert codes.dtype == of_signals
    gap = certify(signals.astype(of_signals), codes, dictionary.astype(of_dictionary), 0.8).relative_gap
    assert gap.max() < (2e-4 if of_signals == np.float32 else 2e-6)


@EVERY_METHOD
def test_threads_change_no_bit(rng: np.random.Generator, method: Any) -> None:
    # Enough for two threads to be started.
    signals, dictionary = problem(rng, 5000 if method == "active_set" else 600, 64, 64, np.float32)
    codes = []
    for n_threads in (1, 2):
        with threads.limit(n_threads):
            codes.append(infer(signals, dictionary, 4.0, method=method))
    if method in ("active_set", "feature_sign"):
        np.testing.assert_array_equal(*codes)
    else:  # the products are BLAS's, which divides them otherwise
        np.testing.assert_allclose(codes[0], codes[1], atol=0.02)


@EVERY_METHOD
def test_degenerate_signals_and_units(rng: np.random.Generator, method: Any) -> None:
    signals, dictionary = problem(rng, n_samples=8)
    dictionary[3] = 0
    dictionary[7] = dictionary[8]  # twins
    dictionary[9] = -dictionary[10]
    dictionary[20] = 0.5 * dictionary[21] + 0.5 * dictionary[22]
    signals[2] = 0
    signals[5] = 1e-3 * signals[5]  # below the sparsity: code 0
    found = infer(signals, dictionary, 0.5, method=method, info=True)
    assert found.relative_gap.max() < 2e-6
    assert not found.codes[:, 3].any()
    assert not found.codes[2].any()
    assert found.gap[2] == found.relative_gap[2] == 0
    assert not found.codes[5].any()


@EVERY_METHOD
@pytest.mark.parametrize("shape", [(40,), (30, 1)])
def test_a_sparsity_for_each_unit_or_each_signal(rng: np.random.Generator, method: Any, shape: tuple[int, ...]) -> None:
    signals, dictionary = problem(rng)
    sparsity = rng.uniform(0.3, 2, shape)
    codes = infer(signals, dictionary, sparsity, method=method, tolerance=1e-11)
    assert optimality_residual(signals, codes, dictionary, sparsity) < 1e-3


@EVERY_METHOD
def test_a_start_saves_iterations_and_changes_nothing_else(rng: np.random.Generator, method: Any) -> None:
    signals, dictionary = problem(rng)
    cold = infer(signals, dictionary, 0.8, method=method, tolerance=1e-9, info=True)
    warm = infer(signals, dictionary, 0.8, method=method, tolerance=1e-9, start=cold.codes, info=True)
    np.testing.assert_allclose(warm.codes, cold.codes, atol=1e-3)
    assert warm.relative_gap.max() <= 2e-9
    if method != "homotopy":
        assert warm.iterations.sum() < 0.5 * cold.iterations.sum()
    wild = infer(signals, dictionary, 0.8, method=method, start=rng.standard_normal(cold.codes.shape), info=True)
    assert wild.relative_gap.max() < 2e-6


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_output_is_the_dense_code(rng: np.random.Generator, dtype: Any, positive: bool) -> None:
    signals, dictionary = problem(rng, 700, dtype=dtype)
    dense = infer(signals, dictionary, 1.0, positive=positive)
    sparse = infer(signals, dictionary, 1.0, positive=positive, sparse_output=True)
    assert sparse.dtype == dtype
    assert sparse.nnz == (dense != 0).sum()
    assert sparse.has_canonical_format
    np.testing.assert_array_equal(sparse.toarray(), dense)
    other = infer(signals[:50], dictionary, 1.0, positive=positive, sparse_output=True, method="fista")
    np.testing.assert_allclose(other.toarray(), dense[:50], atol=0.1)
    again = infer(signals, dictionary, 1.0, positive=positive, sparse_output=True, start=dense)
    np.testing.assert_allclose(again.toarray(), dense, atol=0.05)


@settings(deadline=None, max_examples=60)
@given(
    n_components=st.integers(1, 70),
    n_features=st.integers(1, 40),
    n_samples=st.integers(0, 9),
    fraction=st.floats(1e-3, 1.5),
    exponent=st.integers(-20, 20),
    of_units=st.integers(-6, 6),
    rank=st.integers(1, 40),
    positive=st.booleans(),
    single=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_scale_and_rank(
    n_components: int,
    n_features: int,
    n_samples: int,
    fraction: float,
    exponent: int,
    of_units: int,
    rank: int,
    positive: bool,
    single: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    dictionary = rng.standard_normal((n_components, min(rank, n_features))) @ rng.standard_normal(
        (min(rank, n_features), n_features)
    )
    dictionary *= 10.0**of_units
    signals = 10.0**exponent * rng.standard_normal((n_samples, n_features))
    dtype = np.float32 if single else np.float64
    signals, dictionary = signals.astype(dtype), dictionary.astype(dtype)
    highest = np.abs(signals.astype(float) @ dictionary.T).max(initial=1e-30)
    found = infer(signals, dictionary, fraction * highest, positive=positive, info=True)
    assert found.codes.shape == (n_samples, n_components)
    assert (found.relative_gap <= (2e-4 if single else 2e-6)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hard_correlated_problems_are_solved_too(rng: np.random.Generator, dtype: Any) -> None:
    units = np.cumsum(rng.standard_normal((120, 30)), axis=0)  # neighbours are nearly the same
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    signals = rng.standard_normal((200, 30)).astype(dtype)
    found = infer(signals, units.astype(dtype), 1e-3, info=True)
    assert found.relative_gap.max() < (2e-4 if dtype == np.float32 else 2e-6)


def test_a_small_tolerance_in_single_precision_is_reached_in_double(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng, dtype=np.float32)
    found = infer(signals, dictionary, 0.5, tolerance=1e-6, info=True)
    assert found.codes.dtype == np.float32
    assert found.relative_gap.max() < 2e-6


def test_one_signal_is_a_row_of_many(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    prepared = PreparedDictionary(dictionary)
    many = infer(signals, prepared, 0.8)
    np.testing.assert_array_equal(infer(signals[4], prepared, 0.8), many[4])
    np.testing.assert_allclose(infer(signals[4], prepared, 0.8, start=many[4]), many[4], atol=1e-4)


def test_a_memory_map_and_other_types_and_orders(rng: np.random.Generator, tmp_path: Path) -> None:
    signals, dictionary = problem(rng, 300, dtype=np.float32)
    np.save(tmp_path / "signals.npy", signals)
    expected = infer(signals, dictionary, 1.0)
    mapped = np.load(tmp_path / "signals.npy", mmap_mode="r")
    np.testing.assert_array_equal(infer(mapped, dictionary, 1.0), expected)
    np.testing.assert_array_equal(infer(np.asfortranarray(signals), dictionary, 1.0), expected)
    np.testing.assert_array_equal(infer(signals[::2], dictionary[:, ::1], 1.0), expected[::2])
    frozen = signals.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(infer(frozen, dictionary, 1.0), expected)
    assert infer(np.round(10 * signals).astype(np.int16), dictionary, 5.0).dtype == np.float64
    assert infer(signals.astype(np.float16), dictionary, 1.0).dtype == np.float32


def test_what_has_not_converged_is_said_once_with_what_to_change(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    for method in ("fista", "active_set", "coordinate_descent"):
        with pytest.warns(ConvergenceWarning, match=r"\d+ of 30 signals .* raise max_iterations \(now 1\)") as caught:
            found = infer(signals, dictionary, 0.1, method=method, max_iterations=1, info=True)
        assert len(caught) == 1
        assert not found.converged.all()
        assert found.relative_gap[~found.converged].min() > 1e-6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        infer(signals, dictionary, 0.1)


def test_gaps_bound_the_distance_to_the_minimum(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    best = infer(signals, dictionary, 0.5, tolerance=1e-13, info=True).objective
    for codes in (np.zeros((30, 40)), rng.standard_normal((30, 40)), infer(signals, dictionary, 0.6)):
        proof = certify(signals, codes, dictionary, 0.5)
        assert (proof.objective - proof.gap <= best + 1e-9).all()
        np.testing.assert_allclose(proof.relative_gap, 2 * proof.gap / np.square(signals).sum(axis=1))
    assert certify(signals, -np.ones((30, 40)), dictionary, 0.5, positive=True).gap.min() == np.inf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signals": np.full((3, 24), np.nan)}, "NaN or infinity, first in sample 0"),
        ({"signals": np.full((3, 24), np.inf)}, "NaN or infinity"),
        ({"signals": np.zeros((3, 23))}, r"for \(n_samples, 24\)"),
        ({"signals": np.zeros((3, 4, 6))}, "shape"),
        ({"signals": np.array([["a"] * 24])}, "real numbers"),
        ({"signals": np.ones((2, 24), complex)}, "real numbers"),
        ({"dictionary": np.full((4, 24), np.nan)}, "first in unit 0"),
        ({"dictionary": np.zeros(24)}, "n_components, n_features"),
        ({"sparsity": 0.0}, "above 0"),
        ({"sparsity": -1.0}, "above 0"),
        ({"sparsity": np.nan}, "above 0"),
        ({"sparsity": np.ones(7)}, "one per unit"),
        ({"sparsity": -np.ones(40)}, "above 0"),
        ({"method": "omp"}, "the methods are active_set"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"start": np.zeros((3, 3))}, "start has shape"),
        ({"start": np.full((30, 40), np.nan)}, "start holds NaN"),
    ],
)
def test_wrong_use_is_one_clear_sentence(rng: np.random.Generator, change: dict[str, Any], message: str) -> None:
    signals, dictionary = problem(rng)
    arguments: dict[str, Any] = {"signals": signals, "dictionary": dictionary, "sparsity": 1.0} | change
    with pytest.raises(UsageError, match=message):
        infer(**arguments)


@EVERY_METHOD
def test_not_a_number_is_refused_by_every_method(rng: np.random.Generator, method: Any) -> None:
    signals, dictionary = problem(rng)
    signals[17, 3] = np.nan
    with pytest.raises(UsageError, match="first in sample 17"):
        infer(signals, dictionary, 1.0, method=method)


def test_no_signals_have_no_codes(rng: np.random.Generator) -> None:
    _, dictionary = problem(rng)
    assert infer(np.zeros((0, 24)), dictionary, 1.0).shape == (0, 40)
    assert infer(np.zeros((0, 24)), dictionary, 1.0, sparse_output=True).shape == (0, 40)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tensors_stay_tensors(rng: np.random.Generator, dtype: str, positive: bool) -> None:
    torch = pytest.importorskip("torch")
    signals, dictionary = problem(rng)
    tensor = torch.from_numpy(signals).to(getattr(torch, dtype))
    found = infer(tensor, PreparedDictionary(dictionary), 0.8, positive=positive, info=True)
    assert found.codes.dtype == tensor.dtype
    assert found.codes.device == tensor.device
    assert found.relative_gap.max() < (2e-4 if dtype == "float32" else 2e-6)
    expected = infer(signals, dictionary, 0.8, positive=positive)
    np.testing.assert_allclose(found.codes.numpy(), expected, atol=0.1 if dtype == "float32" else 0.01)


def test_a_prepared_dictionary_never_changes(rng: np.random.Generator) -> None:
    _, dictionary = problem(rng)
    prepared = PreparedDictionary(dictionary)
    dictionary[:] = 0
    assert prepared.components.any()
    with pytest.raises(ValueError, match="read-only"):
        prepared.components[0] = 0
    np.testing.assert_allclose(prepared.gram, prepared.components @ prepared.components.T, atol=1e-12)
    eigenvalue = np.linalg.eigvalsh(prepared.gram)[-1]
    np.testing.assert_allclose(prepared.largest_eigenvalue, eigenvalue, rtol=1e-10)
    np.testing.assert_allclose(prepared.squared_norms, 1, rtol=1e-12)
