"""Orthogonal matching pursuit against scikit-learn, slow references and its own optimality."""

import itertools
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import nnls
from sklearn.linear_model import orthogonal_mp_gram

from striate import threads
from striate.coding import PreparedDictionary, SparseCoder, infer_until
from striate.coding import _special as special
from striate.errors import UsageError

pytestmark = pytest.mark.kernels

Problem = tuple[np.ndarray, np.ndarray]
PURSUITS = ("omp", "orthogonal_least_squares")


@pytest.fixture
def problem(rng: np.random.Generator) -> Problem:
    dictionary = rng.standard_normal((40, 24)) * rng.uniform(0.3, 3, (40, 1))
    return rng.standard_normal((60, 24)), dictionary


def slow_pursuit(
    signal: np.ndarray, dictionary: np.ndarray, *, recursive: bool, n: int | None = None, residual: float = 0.0
) -> list[int]:
    """The chosen units in their order, by projections of the signal and the units."""
    chosen: list[int] = []
    while len(chosen) < (min(dictionary.shape) if n is None else n):
        basis = np.linalg.qr(dictionary[chosen].T)[0] if chosen else np.zeros((dictionary.shape[1], 0))
        rest = signal - basis @ (basis.T @ signal)
        if np.linalg.norm(rest) <= residual:
            break
        outside = dictionary - dictionary @ basis @ basis.T if recursive else dictionary
        norms = np.linalg.norm(outside, axis=1)
        strengths = np.abs(dictionary @ rest) / np.where(norms > 1e-9, norms, np.inf)
        strengths[chosen] = -1
        chosen.append(int(strengths.argmax()))
    return chosen


def slow_positive_pursuit(signal: np.ndarray, dictionary: np.ndarray, n: int, residual: float = 0.0) -> np.ndarray:
    """Non-negative pursuit: a non-negative least-squares problem for each choice."""
    code = np.zeros(len(dictionary))
    while np.count_nonzero(code) < n:
        rest = signal - code @ dictionary
        strengths = dictionary @ rest / np.linalg.norm(dictionary, axis=1)
        strengths[code > 0] = 0
        if strengths.max() <= 1e-9 or np.linalg.norm(rest) <= residual:
            break
        support = np.append(np.flatnonzero(code), strengths.argmax())
        code = np.zeros(len(dictionary))
        code[support] = nnls(dictionary[support].T, signal)[0]
    return code


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 4, 10, 24])
def test_equals_scikit_learn(problem: Problem, dtype: Any, n: int) -> None:
    signals, dictionary = problem
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)  # as theirs requires
    signals, dictionary = signals.astype(dtype).astype(float), dictionary.astype(dtype).astype(float)
    theirs = orthogonal_mp_gram(dictionary @ dictionary.T, dictionary @ signals.T, n_nonzero_coefs=n).T
    codes = infer_until(signals.astype(dtype), dictionary.astype(dtype), method="omp", max_nonzero=n)
    assert codes.dtype == dtype
    np.testing.assert_array_equal(codes != 0, theirs != 0)
    np.testing.assert_allclose(codes, theirs, atol=2e-4 if dtype == np.float32 else 1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_scikit_learn_for_an_error(problem: Problem, dtype: Any) -> None:
    signals, dictionary = problem
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    signals, dictionary = signals.astype(dtype).astype(float), dictionary.astype(dtype).astype(float)
    energies = (signals**2).sum(axis=1)
    for residual in (3.0, 1.0, 0.01):
        theirs = orthogonal_mp_gram(
            dictionary @ dictionary.T, dictionary @ signals.T, tol=residual**2, norms_squared=energies
        ).T
        codes = infer_until(signals.astype(dtype), dictionary, method="omp", residual=residual)
        np.testing.assert_array_equal(codes != 0, theirs != 0)
        assert (np.linalg.norm(signals - codes @ dictionary, axis=1) <= residual + 1e-5).all()


@pytest.mark.parametrize("method", PURSUITS)
def test_chooses_as_a_slow_pursuit_does(problem: Problem, method: Any) -> None:
    signals, dictionary = problem
    supports: list[list[int]] = [[] for _ in signals]
    for n in range(1, 12):
        codes = infer_until(signals, dictionary, method=method, max_nonzero=n)
        rest = signals - codes @ dictionary
        for row, code in enumerate(codes):
            active = np.flatnonzero(code)
            expected = slow_pursuit(signals[row], dictionary, recursive=method != "omp", n=n)
            assert sorted(active) == sorted(expected)
            # Each code adds one unit to the one before, and its residual is orthogonal to all chosen units.
            assert set(supports[row]) < set(active)
            supports[row] = list(active)
            np.testing.assert_allclose(dictionary[active] @ rest[row], 0, atol=1e-10)
    for residual in (0.5, 2.0):
        codes = infer_until(signals, dictionary, method=method, residual=residual)
        for signal, code in zip(signals, codes, strict=True):
            expected = slow_pursuit(signal, dictionary, recursive=method != "omp", residual=residual)
            assert sorted(np.flatnonzero(code)) == sorted(expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_non_negative_codes_equal_a_slow_pursuit(problem: Problem, dtype: Any) -> None:
    signals, dictionary = problem
    signals = signals.astype(dtype)
    for n, residual in ((3, None), (9, None), (40, None), (40, 2.0)):
        expected = np.array([slow_positive_pursuit(y.astype(float), dictionary, n, residual or 0) for y in signals])
        codes = infer_until(signals, dictionary, method="omp", max_nonzero=n, residual=residual, positive=True)
        assert codes.dtype == dtype
        assert (codes >= 0).all()
        np.testing.assert_allclose(codes, expected, atol=2e-4 if dtype == np.float32 else 1e-9)
    # Without a limit that is reached, this is non-negative least squares.
    best = np.array([nnls(dictionary.T, signal.astype(float))[0] for signal in signals])
    codes = infer_until(signals, dictionary, method="omp", max_nonzero=40, positive=True)
    np.testing.assert_allclose(codes, best, atol=2e-4 if dtype == np.float32 else 1e-9)


def test_units_leave_a_non_negative_code(rng: np.random.Generator) -> None:
    # Of the first unit chosen, which lies between the others, nothing remains.
    dictionary = np.array([[1.0, 1.0], [1.0, 0.1], [0.1, 1.0]])
    codes = infer_until(np.array([[1.0, 0.9]]), dictionary, method="omp", max_nonzero=3, positive=True)
    np.testing.assert_allclose(codes @ dictionary, [[1.0, 0.9]], atol=1e-12)
    units = np.abs(rng.standard_normal((200, 12)))
    signals = np.abs(rng.standard_normal((300, 12)))
    steps = [infer_until(signals, units, method="omp", max_nonzero=n, positive=True) for n in range(1, 12)]
    assert any(((a > 0) & (b == 0)).any() for a, b in itertools.pairwise(steps))


@pytest.mark.parametrize(
    "options", [{"method": PURSUITS[0]}, {"method": PURSUITS[1]}, {"method": "omp", "positive": True}]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_forms_of_a_call_have_the_same_bits(problem: Problem, options: Any, dtype: Any) -> None:
    # Enough work for several threads, where that is quick.
    times = 1 if numba.config.DISABLE_JIT else 200  # type: ignore[attr-defined]
    signals, dictionary = (np.tile(problem[0], (times, 1)).astype(dtype), problem[1].astype(dtype))
    signals += np.linspace(0, 1, len(signals), dtype=dtype)[:, np.newaxis]
    for limits in ({"max_nonzero": 5}, {"residual": 1.0}, {"max_nonzero": 6, "residual": 0.5}):
        with threads.limit(1):
            codes = infer_until(signals, dictionary, **options, **limits)
        with threads.limit(3):
            np.testing.assert_array_equal(infer_until(signals, dictionary, **options, **limits), codes)
        compact = infer_until(signals, dictionary, **options, **limits, sparse_output=True)
        assert isinstance(compact, sparse.csr_array)
        assert compact.dtype == dtype
        assert compact.has_canonical_format
        np.testing.assert_array_equal(compact.toarray(), codes)
        np.testing.assert_array_equal(infer_until(signals[7:8], dictionary, **options, **limits), codes[7:8])
        assert infer_until(signals[:0], dictionary, **options, **limits).shape == (0, 40)
        assert infer_until(signals[:0], dictionary, **options, **limits, sparse_output=True).shape == (0, 40)


def test_sparse_codes_of_a_wanted_size_equal_dense_ones(problem: Problem) -> None:
    signals, dictionary = problem
    compact = infer_until(signals, dictionary, max_nonzero=3, sparse_output=True)
    np.testing.assert_array_equal(compact.toarray(), infer_until(signals, dictionary, max_nonzero=3))


@pytest.mark.parametrize(
    "options", [{"method": PURSUITS[0]}, {"method": PURSUITS[1]}, {"method": "omp", "positive": True}]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_copies_zeros_and_combinations_of_units(problem: Problem, options: Any, dtype: Any) -> None:
    signals, dictionary = problem
    clean = infer_until(signals.astype(dtype), dictionary.astype(dtype), **options, max_nonzero=6)
    units = np.vstack([dictionary, dictionary[:20], np.zeros((3, 24)), dictionary[:1] * 0.5])
    codes = infer_until(signals.astype(dtype), units.astype(dtype), **options, max_nonzero=6)
    np.testing.assert_array_equal(codes[:, :40] != 0, clean != 0)  # of copies, the first is taken
    np.testing.assert_allclose(codes[:, :40], clean, atol=1e-6)
    assert not codes[:, 40:].any()
    # More units than independent ones: the code ends where the residual is orthogonal to all of them.
    flat = dictionary[:4].repeat(3, axis=0)[:, :24]
    flat[1] = flat[0] + flat[3]
    codes = infer_until(signals.astype(dtype), flat.astype(dtype), **options, max_nonzero=12)
    assert (np.count_nonzero(codes, axis=1) <= 4).all()
    if "positive" not in options:
        best = np.linalg.lstsq(flat.T, signals.T, rcond=None)[0].T
        np.testing.assert_allclose(codes @ flat, best @ flat, atol=1e-4 if dtype == np.float32 else 1e-9)


@pytest.mark.parametrize(
    "options", [{"method": PURSUITS[0]}, {"method": PURSUITS[1]}, {"method": "omp", "positive": True}]
)
def test_the_ends_of_the_range(problem: Problem, options: Any) -> None:
    signals, dictionary = problem
    signals[4] = 0
    assert not infer_until(signals, dictionary, **options, max_nonzero=3)[4].any()
    assert not infer_until(signals, dictionary, **options, max_nonzero=0).any()
    assert infer_until(signals, dictionary, **options, max_nonzero=0, sparse_output=True).nnz == 0
    assert not infer_until(signals, dictionary, **options, residual=1e300).any()
    assert not infer_until(signals, np.zeros((5, 24)), **options, max_nonzero=3).any()
    everything = infer_until(signals, dictionary, **options, max_nonzero=1_000_000)
    np.testing.assert_array_equal(everything, infer_until(signals, dictionary, **options, residual=1e-300))
    if "positive" not in options:
        np.testing.assert_allclose(everything @ dictionary, signals, atol=1e-8)
    np.testing.assert_allclose(
        infer_until(signals, dictionary[:7], **options, max_nonzero=50) @ dictionary[:7],
        (np.array([nnls(dictionary[:7].T, y)[0] for y in signals]) @ dictionary[:7])
        if "positive" in options
        else signals @ np.linalg.pinv(dictionary[:7]) @ dictionary[:7],
        atol=1e-9,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("positive", [False, True])
def test_numbers_whose_squares_overflow_or_vanish(problem: Problem, dtype: Any, positive: bool) -> None:
    signals, dictionary = (part.astype(dtype) for part in problem)
    expected = infer_until(signals, dictionary, method="omp", max_nonzero=4, positive=positive)
    limited = infer_until(signals, dictionary, method="omp", residual=2.0, positive=positive)
    for of_signals, of_units in ((-60, 0), (60, 0), (0, 40), (0, -40), (50, 50), (-50, -20)):
        y, d = np.ldexp(signals, of_signals), np.ldexp(dictionary, of_units)
        back = np.ldexp(dtype(1), of_units - of_signals)
        codes = infer_until(y, d, method="omp", max_nonzero=4, positive=positive) * back
        np.testing.assert_array_equal(codes != 0, expected != 0)
        np.testing.assert_allclose(codes, expected, atol=1e-5)
        codes = infer_until(y, d, method="omp", residual=float(np.ldexp(2.0, of_signals)), positive=positive) * back
        np.testing.assert_allclose(codes, limited, atol=1e-5)
    if dtype == np.float32:
        with pytest.raises(UsageError, match="sample 0 is too large"):
            infer_until(np.ldexp(signals, 110), np.ldexp(dictionary, -110), method="omp", max_nonzero=4)
    else:
        mixed = dictionary * np.ldexp(1.0, np.arange(40) * 10 - 200)[:, np.newaxis]
        codes = infer_until(signals, mixed, method="omp", max_nonzero=4, positive=positive)
        np.testing.assert_array_equal(codes != 0, expected != 0)


def test_single_precision_reaches_small_errors(rng: np.random.Generator) -> None:
    # Of the squared norm, float32 loses all that is below 1e-7.
    dictionary = rng.standard_normal((50, 30)).astype(np.float32)
    signals = (rng.standard_normal((40, 5)) @ dictionary[:5]).astype(np.float32)
    exact = infer_until(signals.astype(float), dictionary, method="omp", residual=1e-4)
    codes = infer_until(signals, dictionary, method="omp", residual=1e-4)
    np.testing.assert_array_equal(codes != 0, exact != 0)
    assert np.linalg.norm(signals - codes @ dictionary.astype(float), axis=1).max() <= 1.1e-4


@pytest.mark.parametrize("positive", [False, True])
def test_many_units_are_coded_without_their_gram_matrix(
    problem: Problem, monkeypatch: pytest.MonkeyPatch, positive: bool
) -> None:
    signals, dictionary = problem
    expected = infer_until(signals, dictionary, method="omp", max_nonzero=7, positive=positive)
    monkeypatch.setattr(special, "_GRAM_BYTES", 1000)
    prepared = PreparedDictionary(dictionary)
    codes = infer_until(signals, prepared, method="omp", max_nonzero=7, positive=positive)
    np.testing.assert_allclose(codes, expected, atol=1e-12)
    assert "padded_gram" not in prepared.arrays(np.dtype(float)).__dict__


def test_what_is_wrong_is_said(problem: Problem) -> None:
    signals, dictionary = problem
    for options, message in (
        ({"method": "omp"}, "give max_nonzero, residual or both"),
        ({"method": "lars", "max_nonzero": 2}, "no method 'lars'; the methods are homotopy, omp, orthogonal"),
        ({"method": "omp", "max_nonzero": 2, "weights": np.ones(40)}, "weights are those of an L1 term"),
        ({"method": "orthogonal_least_squares", "max_nonzero": 2, "positive": True}, 'method="omp" does'),
        ({"method": "omp", "max_nonzero": -1}, "at least 0"),
        ({"method": "omp", "max_nonzero": 2.5}, "max_nonzero is 2.5"),
        ({"method": "omp", "residual": 0.0}, "above 0"),
        ({"method": "omp", "residual": np.nan}, "residual is nan"),
        ({"method": "omp", "max_nonzero": 2, "sparse_output": 1}, "sparse_output is 1"),
    ):
        with pytest.raises(UsageError, match=message):
            infer_until(signals, dictionary, **options)
    with pytest.raises(UsageError, match="n_samples, 24"):
        infer_until(signals[:, :5], dictionary, method="omp", max_nonzero=2)
    signals[3, 2] = np.nan
    with pytest.raises(UsageError, match="signals hold NaN or infinity, first in sample 3"):
        infer_until(signals, dictionary, method="omp", max_nonzero=2)
    with pytest.raises(UsageError, match="first in unit 3"):
        infer_until(problem[0][:2], np.where(np.arange(40)[:, np.newaxis] == 3, np.inf, dictionary), max_nonzero=1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30), st.integers(1, 9), st.booleans())
def test_a_pursuit_never_explains_less_with_more_units(
    seed: int, n_units: int, n_features: int, n: int, positive: bool
) -> None:
    rng = np.random.default_rng(seed)
    units = rng.integers(-1, 2, (n_units, n_features)).astype(float)  # with ties, copies and units that are 0
    signals = rng.integers(-2, 3, (5, n_features)).astype(float)
    before = np.linalg.norm(signals, axis=1)
    for count in range(1, n + 1):
        codes = infer_until(signals, units, method="omp", max_nonzero=count, positive=positive)
        assert (np.count_nonzero(codes, axis=1) <= count).all()
        rest = signals - codes @ units
        after = np.linalg.norm(rest, axis=1)
        assert (after <= before + 1e-9).all()
        np.testing.assert_allclose(np.where(codes != 0, rest @ units.T, 0), 0, atol=1e-8)
        before = after


def test_a_coder_gives_the_codes_of_pursuits(problem: Problem) -> None:
    signals, dictionary = problem
    for method in PURSUITS:
        expected = infer_until(signals, dictionary, method=method, max_nonzero=4)  # type: ignore[arg-type]
        coder = SparseCoder(dictionary, method=method, max_nonzero=4)  # type: ignore[arg-type]
        np.testing.assert_array_equal(coder.transform(signals), expected)
        np.testing.assert_allclose(coder.set_params(refit=True).transform(signals), expected, atol=1e-12)
        split = coder.set_params(refit=False, split_sign=True, sparse_output=True).transform(signals).toarray()
        np.testing.assert_array_equal(split[:, :40] - split[:, 40:], expected)
        plain = coder.set_params(split_sign=False).transform(sparse.csr_array(signals))
        np.testing.assert_array_equal(plain.toarray(), expected)
    coder = SparseCoder(dictionary, method="omp", residual=2.0, positive=True)
    np.testing.assert_array_equal(
        coder.transform(signals), infer_until(signals, dictionary, method="omp", residual=2.0, positive=True)
    )
    np.testing.assert_array_equal(
        SparseCoder(dictionary, residual=2.0).transform(signals), infer_until(signals, dictionary, residual=2.0)
    )
    # With an L2 term, the code is that of ridge regression on the chosen units.
    code = SparseCoder(dictionary, method="omp", max_nonzero=3, l2=0.5).transform(signals[:1])[0]
    active = np.flatnonzero(code)
    slopes = dictionary[active] @ (signals[0] - code @ dictionary) - 0.5 * code[active]
    np.testing.assert_allclose(slopes, 0, atol=1e-10)
    with pytest.raises(UsageError, match="omp ends at a number of active units or an error"):
        SparseCoder(dictionary, method="omp").transform(signals)
    with pytest.raises(UsageError, match="weights are those of an L1 term"):
        SparseCoder(dictionary, method="omp", max_nonzero=2, sparsity=np.ones(40)).transform(signals)
    with pytest.raises(UsageError, match="residual was given in place of one"):
        SparseCoder(dictionary, residual=2.0).transform(signals, mask=np.ones(24, bool))
    with pytest.raises(UsageError, match="residual is 0"):
        SparseCoder(dictionary, residual=0).transform(signals)
