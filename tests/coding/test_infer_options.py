"""What `infer` is asked for beyond a sparsity: weights, l2, masks, sparse signals, many units, thresholds."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import sparse_encode
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet

from striate.coding import PreparedDictionary, SparseCoder, certify, infer, infer_until, regularization_path
from striate.coding import _special as special
from striate.coding.inference import METHODS
from striate.errors import UsageError

EVERY_METHOD = pytest.mark.parametrize("method", list(METHODS))
POSITIVE = pytest.mark.parametrize("positive", [False, True])


def problem(
    rng: np.random.Generator, n_samples: int = 6, n_components: int = 14, n_features: int = 9
) -> tuple[np.ndarray, np.ndarray]:
    dictionary = rng.standard_normal((n_components, n_features))
    return 2 * rng.standard_normal((n_samples, n_features)), dictionary / np.linalg.norm(dictionary, axis=1)[:, None]


def slow_but_certain(
    signals: np.ndarray, dictionary: np.ndarray, thresholds: Any, *, positive: bool = False, l2: float = 0.0,
    mask: Any = True,
) -> np.ndarray:  # fmt: skip
    """Cyclic coordinate descent, each signal by itself, in its own observed features, until nothing moves."""
    n, n_components = len(signals), len(dictionary)
    thresholds = np.broadcast_to(thresholds, (n, n_components))
    mask = np.broadcast_to(mask, signals.shape)
    codes = np.zeros((n, n_components))
    for y, code, limits, seen in zip(signals, codes, thresholds, mask, strict=True):
        units, rest = dictionary[:, seen], y[seen].copy()
        norms = (units**2).sum(axis=1)
        for _ in range(20_000):
            moved = 0.0
            for j in np.flatnonzero((norms > 0) & np.isfinite(limits)):
                b = units[j] @ rest + norms[j] * code[j]
                new = np.sign(b) * max((b if positive else abs(b)) - limits[j], 0) / (norms[j] + l2)
                rest -= (new - code[j]) * units[j]
                moved, code[j] = max(moved, abs(new - code[j])), new
            if moved < 1e-13:
                break
    return codes


def objective(
    signals: np.ndarray, dictionary: np.ndarray, codes: np.ndarray, thresholds: Any, l2: float = 0.0, mask: Any = True
) -> np.ndarray:
    rest = np.where(mask, signals, 0) - np.where(mask, codes @ dictionary, 0)
    limits = np.where(codes != 0, thresholds, 0)
    l1 = (np.abs(codes) * limits).sum(axis=1)
    return np.asarray(0.5 * (rest**2).sum(axis=1) + l1 + 0.5 * l2 * (codes**2).sum(axis=1))


def is_optimal(signals: np.ndarray, dictionary: np.ndarray, found: Any, thresholds: Any, **options: Any) -> None:
    """The same objective as the reference's, a gap that bounds its distance, and no claim that is not true."""
    best = slow_but_certain(signals, dictionary, thresholds, **options)
    options.pop("positive", None)
    least = objective(signals, dictionary, best, thresholds, **options)
    reached = objective(signals, dictionary, found.codes, thresholds, **options)
    half = 0.5 * (np.where(options.get("mask", True), signals, 0) ** 2).sum(axis=1)
    np.testing.assert_allclose(found.objective, reached, rtol=1e-9, atol=1e-12)
    assert (reached - least <= 1e-6 * half + 1e-12).all()
    assert (found.gap >= reached - least - 1e-9 * half).all()
    assert found.relative_gap.max() <= 1e-6
    assert found.converged.all()


@EVERY_METHOD
@POSITIVE
def test_the_elastic_net_is_solved(rng: np.random.Generator, method: Any, positive: bool) -> None:
    signals, dictionary = problem(rng)
    dictionary[3] = dictionary[4]
    found = infer(signals, dictionary, 0.3, l2=0.7, method=method, positive=positive, info=True)
    is_optimal(signals, dictionary, found, 0.3, positive=positive, l2=0.7)


def test_the_elastic_net_is_scikit_learns(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    l1, l2, n = 0.3, 0.7, 9
    peer = ElasticNet(alpha=(l1 + l2) / n, l1_ratio=l1 / (l1 + l2), fit_intercept=False, tol=1e-12, max_iter=100_000)
    expected = peer.fit(dictionary.T, signals.T).coef_
    np.testing.assert_allclose(infer(signals, dictionary, l1, l2=l2, tolerance=1e-12), expected, atol=1e-5)


def test_with_l2_more_units_may_be_active_than_there_are_features(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng, 5, 60, 4)
    found = infer(signals, dictionary, 1e-3, l2=1.0, info=True)
    assert (found.codes != 0).sum(axis=1).min() > 4
    is_optimal(signals, dictionary, found, 1e-3, l2=1.0)
    packed = infer(signals, dictionary, 1e-3, l2=1.0, sparse_output=True)
    np.testing.assert_allclose(packed.toarray(), found.codes, atol=1e-12)


@EVERY_METHOD
@POSITIVE
def test_units_that_are_free_and_units_that_are_excluded(rng: np.random.Generator, method: Any, positive: bool) -> None:
    signals, dictionary = problem(rng)
    sparsity = rng.uniform(0.2, 1, 14)
    sparsity[[2, 7]], sparsity[[0, 5, 9]] = 0, np.inf
    found = infer(signals, dictionary, sparsity, method=method, positive=positive, info=True)
    assert not found.codes[:, [0, 5, 9]].any()
    is_optimal(signals, dictionary, found, sparsity, positive=positive)
    found = infer(signals, dictionary, sparsity, l2=0.3, method=method, positive=positive, info=True)
    is_optimal(signals, dictionary, found, sparsity, positive=positive, l2=0.3)


@EVERY_METHOD
@POSITIVE
def test_a_sparsity_of_each_unit_and_signal(rng: np.random.Generator, method: Any, positive: bool) -> None:
    signals, dictionary = problem(rng)
    sparsity = rng.uniform(0.2, 1, (6, 14))
    found = infer(signals, dictionary, sparsity, method=method, positive=positive, info=True)
    is_optimal(signals, dictionary, found, sparsity, positive=positive)
    sparsity[rng.random((6, 14)) < 0.2] = np.inf
    sparsity[rng.random((6, 14)) < 0.1] = 0
    found = infer(signals, dictionary, sparsity, method=method, positive=positive, info=True)
    assert not found.codes[np.isinf(sparsity)].any()
    is_optimal(signals, dictionary, found, sparsity, positive=positive)


@POSITIVE
def test_where_nothing_is_penalised_codes_are_least_squares(rng: np.random.Generator, positive: bool) -> None:
    signals, dictionary = problem(rng, n_components=5)
    found = infer(signals, dictionary, np.zeros(5), positive=positive, info=True)
    is_optimal(signals, dictionary, found, 0.0, positive=positive)
    if not positive:
        np.testing.assert_allclose(found.codes, np.linalg.lstsq(dictionary.T, signals.T)[0].T, atol=1e-9)
    excluded = infer(signals, dictionary, np.full(5, np.inf), positive=positive, info=True)
    assert not excluded.codes.any()
    assert excluded.converged.all()


def test_free_units_in_single_precision(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    sparsity = np.r_[0.0, np.full(13, 0.5)]
    found = infer(signals.astype(np.float32), dictionary, sparsity, info=True)
    assert found.codes.dtype == np.float32
    best = slow_but_certain(signals.astype(np.float32).astype(float), dictionary, sparsity)
    np.testing.assert_allclose(found.codes, best, atol=1e-3)


@EVERY_METHOD
@POSITIVE
def test_missing_values(rng: np.random.Generator, method: Any, positive: bool) -> None:
    signals, dictionary = problem(rng)
    mask = rng.random(signals.shape) < 0.7
    mask[1] = False
    mask[2] = True
    holes = np.where(mask, signals, np.nan)
    found = infer(holes, dictionary, 0.3, mask=mask, method=method, positive=positive, info=True)
    assert not found.codes[1].any()
    is_optimal(signals, dictionary, found, 0.3, positive=positive, mask=mask)


def test_masks_go_with_every_other_option(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng, 20)
    mask = rng.random((20, 9)) < 0.7
    mask[10:] = mask[0]
    sparsity = rng.uniform(0.2, 1, (20, 14))
    sparsity[:, 3], sparsity[:, 4] = 0, np.inf
    found = infer(signals, dictionary, sparsity, mask=mask, l2=0.1, info=True)
    is_optimal(signals, dictionary, found, sparsity, mask=mask, l2=0.1)
    one = infer(signals, dictionary, 0.3, mask=mask[0], info=True)
    is_optimal(signals, dictionary, one, 0.3, mask=mask[0])
    np.testing.assert_allclose(infer(signals, dictionary, 0.3, mask=mask[0], start=one.codes), one.codes, atol=1e-4)
    packed = infer(signals, dictionary, 0.3, mask=mask[0], sparse_output=True)
    np.testing.assert_array_equal(packed.toarray(), one.codes)
    alone = infer(signals[0], dictionary, 0.3, mask=mask[0])
    np.testing.assert_allclose(alone, one.codes[0], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_sparse_signals_are_dense_ones(rng: np.random.Generator, dtype: Any, kind: Any) -> None:
    signals, dictionary = problem(rng, 40)
    signals = np.round(np.where(rng.random(signals.shape) < 0.3, 3 * signals, 0)).astype(dtype)
    for name in METHODS:
        method: Any = name
        expected = infer(signals, dictionary, 0.4, method=method)
        np.testing.assert_array_equal(infer(kind(signals), dictionary, 0.4, method=method), expected)
    found = infer(kind(signals), dictionary, 0.4, sparse_output=True, info=True)
    np.testing.assert_array_equal(found.codes.toarray(), infer(signals, dictionary, 0.4))
    assert found.relative_gap.max() < 1e-4
    again = infer(kind(signals), dictionary, 0.4, start=found.codes)
    np.testing.assert_allclose(again, found.codes.toarray(), atol=1e-2)
    with pytest.raises(UsageError, match="sparse matrix"):
        PreparedDictionary(kind(dictionary))


@EVERY_METHOD
def test_many_units_are_solved_without_their_gram_matrix(
    rng: np.random.Generator, method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals, dictionary = problem(rng, 70, 300, 12)
    expected = infer(signals, dictionary, 0.4, tolerance=1e-9)
    monkeypatch.setattr(special, "_GRAM_BYTES", 100_000)
    prepared = PreparedDictionary(dictionary)
    found = infer(signals, prepared, 0.4, method=method, info=True)
    assert not prepared._arrays
    np.testing.assert_allclose(found.codes, expected, atol=2e-2)
    assert found.converged.all()
    warm = infer(signals, prepared, 0.4, method=method, start=expected, positive=True, l2=0.2, info=True)
    assert warm.converged.all()
    weighted = infer(signals[:9], prepared, rng.uniform(0.3, 1, (9, 300)), method=method, info=True)
    assert weighted.converged.all()


def test_sixty_thousand_units_fit_into_memory(rng: np.random.Generator) -> None:
    dictionary = rng.standard_normal((60_000, 30)).astype(np.float32)
    signals = dictionary[:3] + dictionary[7:10]
    found = infer(signals, dictionary, 5.0, info=True)
    assert found.converged.all()
    assert 0 < (found.codes != 0).sum() < 100


@POSITIVE
def test_thresholds_are_those_of_scikit_learn_and_claim_nothing(rng: np.random.Generator, positive: bool) -> None:
    signals, dictionary = problem(rng)
    expected = sparse_encode(signals, dictionary, algorithm="threshold", alpha=0.6, positive=positive)
    np.testing.assert_allclose(infer(signals, dictionary, 0.6, method="threshold", positive=positive), expected)
    found = infer(signals, dictionary, 0.6, method="threshold", positive=positive, info=True)
    assert not found.converged.any()
    assert found.relative_gap.min() > 1e-3
    units = np.linalg.qr(rng.standard_normal((9, 9)))[0]
    found = infer(signals, units, 0.6, method="threshold", l2=0.5, info=True, positive=positive)
    assert found.converged.all()
    packed = infer(sparse.csr_array(signals), units, 0.6, method="threshold", sparse_output=True)
    np.testing.assert_allclose(packed.toarray(), infer(signals, units, 0.6), atol=1e-9)


def test_numbers_of_numpy_are_numbers(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    expected = infer(signals, dictionary, 1.0, positive=True, l2=0.5, tolerance=1e-3, max_iterations=50)
    for integer, real in ((np.int64, np.float64), (np.uint8, np.float32), (np.int16, np.float16)):
        options: dict[str, Any] = {
            "positive": np.True_, "l2": real(0.5), "tolerance": np.float64(1e-3), "max_iterations": integer(50),
            "sparse_output": np.False_, "info": np.False_,
        }  # fmt: skip
        found = infer(signals, dictionary, integer(1), **options)
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(infer(signals, dictionary, np.array(0.5)), infer(signals, dictionary, 0.5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sparsity": "much"}, "sparsity is a number"),
        ({"sparsity": None}, "sparsity is a number"),
        ({"sparsity": True}, "sparsity is a number"),
        ({"sparsity": np.inf}, "sparsity is inf"),
        ({"sparsity": np.full((6, 1), np.inf)}, "above 0, and finite"),
        ({"sparsity": np.full(14, np.nan)}, "NaN"),
        ({"sparsity": -np.ones((6, 14))}, "above 0"),
        ({"l2": -1}, "l2 is -1"),
        ({"l2": "a"}, "l2 is 'a'"),
        ({"positive": "yes"}, "positive is 'yes'"),
        ({"positive": 1}, "positive is 1"),
        ({"tolerance": "small"}, "tolerance"),
        ({"tolerance": np.nan}, "tolerance"),
        ({"max_iterations": 1.5}, "max_iterations is 1.5"),
        ({"max_iterations": True}, "max_iterations is True"),
        ({"info": None}, "info"),
        ({"method": None}, "no method None"),
        ({"mask": np.ones((6, 9))}, "True and False"),
        ({"mask": np.ones((6, 8), bool)}, "mask"),
        ({"start": np.ones((6, 14), complex)}, "real numbers"),
        ({"signals": [[1.0] * 9, [1.0] * 8]}, "no table of numbers"),
        ({"signals": np.ma.masked_greater(np.ones((6, 9)), 0.5)}, "mask=~signals.mask"),
        ({"signals": np.array([["x"] * 9], dtype=object)}, "no table of numbers"),
        ({"signals": sparse.csr_array(np.full((2, 9), np.nan))}, "signals hold NaN or infinity"),
        ({"signals": np.full((6, 9), np.inf), "mask": np.ones(9, bool)}, "signals hold NaN or infinity"),
        ({"dictionary": [[1.0], [1.0, 2.0]]}, "dictionary is no table"),
        ({"dictionary": np.full((14, 9), -np.inf)}, "the dictionary holds NaN or infinity"),
        ({"dictionary": np.ones((14, 9), complex)}, "real numbers"),
    ],
)
def test_wrong_use_is_one_sentence(rng: np.random.Generator, change: dict[str, Any], message: str) -> None:
    signals, dictionary = problem(rng)
    arguments: dict[str, Any] = {"signals": signals, "dictionary": dictionary, "sparsity": 0.5} | change
    with pytest.raises(UsageError, match=message):
        infer(**arguments)


@EVERY_METHOD
def test_a_float32_code_that_rounding_spoils_is_not_called_converged(method: Any) -> None:
    # Two units at an angle of 0.01: codes of some 100, whose rounding moves the residual.
    signals, dictionary = np.array([[1, 1]], np.float32), np.array([[1, 0], [1, 0.01]], np.float32)
    for sparsity in (1e-2, 1e-3, 1e-4, 1e-5):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = infer(signals, dictionary, sparsity, method=method, info=True)
            infer(signals, dictionary, sparsity, method=method)
        gap = certify(signals, found.codes, dictionary, sparsity).relative_gap[0]
        assert found.converged[0] == (gap <= 1e-4)
        assert len(said) == (0 if found.converged[0] else 2)
        assert all(issubclass(warning.category, ConvergenceWarning) for warning in said)


def test_certificates_judge_any_code(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    proof = certify(signals, np.ones((6, 14)), dictionary, np.r_[np.full(13, 0.1), np.inf])
    assert np.isinf(proof.objective).all()
    zeros = certify(0 * signals, np.ones((6, 14)), dictionary, 0.1)
    assert np.isinf(zeros.relative_gap).all()
    assert not certify(0 * signals, np.zeros((6, 14)), dictionary, 0.1).relative_gap.any()
    for wrong in (np.zeros((5, 14)), np.zeros((6, 13)), np.zeros(14)):
        with pytest.raises(UsageError, match="do not fit"):
            certify(signals, wrong, dictionary, 0.1)


RAGGED: Any = [[1, 2], [3]]
HUGE, WORDS = 10**400, [["a"] * 5] * 3


@pytest.mark.parametrize("wrong", [RAGGED, WORDS, [[HUGE] * 5] * 3, np.zeros((3, 4, 2)), 1j, set()], ids=str)
@pytest.mark.parametrize("name", ["signals", "dictionary", "sparsity", "start", "mask", "weights", "codes", "method"])
def test_what_is_no_array_of_numbers_is_refused(name: str, wrong: Any) -> None:
    """By every function that takes an array, in one sentence of our own."""
    signals, units = np.ones((3, 4)), np.eye(4)[[0, 1, 2, 3, 0]] + 0.1
    given: dict[str, Any] = {"signals": signals, "dictionary": units, "sparsity": 0.1} | {name: wrong}
    calls: list[Any] = []
    if name in ("signals", "dictionary"):
        paths = {"signals": signals[0], "dictionary": units} | {name: wrong}
        calls.append(lambda: infer_until(given["signals"], given["dictionary"], max_nonzero=2))
        calls.append(lambda: regularization_path(paths["signals"], paths["dictionary"]))
    if name == "weights":
        calls.append(lambda: infer_until(signals, units, max_nonzero=2, weights=wrong))
        calls.append(lambda: regularization_path(signals[0], units, weights=wrong))
    if name in ("signals", "dictionary", "sparsity", "codes"):
        codes = given.pop("codes", np.zeros((3, 5)))
        calls.append(lambda: certify(given["signals"], codes, given["dictionary"], given["sparsity"]))
    if name not in ("weights", "codes"):
        calls.append(lambda: infer(**given))
    for call in calls:
        with pytest.raises(UsageError):
            call()


@pytest.mark.parametrize("name", ["max_iterations", "tolerance", "l2"])
def test_numbers_beyond_every_type_are_refused(name: str) -> None:
    options: dict[str, Any] = {name: HUGE}
    with pytest.raises(UsageError, match=name):
        infer(np.ones((1, 2)), np.eye(2), 0.1, **options)
    with pytest.raises(UsageError, match="max_nonzero"):
        infer_until(np.ones((1, 2)), np.eye(2), max_nonzero=HUGE)
    with pytest.raises(UsageError, match="sparsity"):
        SparseCoder(np.eye(2), sparsity=RAGGED).transform(np.ones((1, 2)))
