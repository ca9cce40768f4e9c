from __future__ import annotations

import pickle
from typing import Any, get_args

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import nnls
from sklearn.base import clone
from sklearn.decomposition import SparseCoder as OfScikitLearn
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import ElasticNet, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from striate import SparseCoder
from striate.coding import PreparedDictionary, certify, infer, infer_until
from striate.coding.solving import Method
from striate.coding.transform import refit
from striate.errors import UsageError


@parametrize_with_checks(
    [
        SparseCoder(),
        SparseCoder(positive=True, sparsity=0.2),
        SparseCoder(sparse_output=True),
        SparseCoder(split_sign=True, sparsity=0.1),
        SparseCoder(split_sign=True, sparse_output=True, positive=True, refit=True),
        SparseCoder(max_nonzero=2),
        SparseCoder(l2=0.5, sparsity=0.1),
        SparseCoder(max_nonzero=3, refit=True, positive=True),
        SparseCoder(refit=True, tolerance=1e-5),
        SparseCoder(method="omp", max_nonzero=2, positive=True),
        SparseCoder(method="orthogonal_least_squares", residual=0.5, sparse_output=True),
        *(SparseCoder(method=method, sparsity=0.5, tolerance=0.01) for method in get_args(Method)),
    ]
)
def test_scikit_learn_contract(estimator: SparseCoder, check: Any) -> None:
    check(estimator)


def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    dictionary = rng.standard_normal((30, 16))
    return 3 * rng.standard_normal((40, 16)), dictionary / np.linalg.norm(dictionary, axis=1, keepdims=True)


@pytest.mark.parametrize("positive", [False, True])
def test_takes_the_place_of_scikit_learns(rng: np.random.Generator, positive: bool) -> None:
    signals, dictionary = problem(rng)
    theirs = OfScikitLearn(
        dictionary=dictionary, transform_algorithm="lasso_cd", transform_alpha=0.7, positive_code=positive,
        transform_max_iter=10_000,
    )  # fmt: skip
    ours = SparseCoder(dictionary, sparsity=0.7, positive=positive).fit(signals)
    codes, of_theirs = ours.transform(signals), theirs.fit(signals).transform(signals)
    objectives = [certify(signals, z, dictionary, 0.7, positive=positive).objective for z in (codes, of_theirs)]
    np.testing.assert_allclose(objectives[0], objectives[1], rtol=1e-4)
    assert ours.components_.shape == theirs.dictionary.shape
    assert ours.n_components_ == theirs.n_components_
    assert ours.n_features_in_ == theirs.n_features_in_
    assert len(ours.get_feature_names_out()) == 30
    np.testing.assert_allclose(ours.inverse_transform(codes), codes @ dictionary)


def test_sparse_codes_rebuild_the_same_signals(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    dense = SparseCoder(dictionary, sparsity=0.5).fit(signals)
    sparse = SparseCoder(dictionary, sparsity=0.5, sparse_output=True).fit(signals)
    codes = sparse.transform(signals)
    np.testing.assert_array_equal(codes.toarray(), dense.transform(signals))
    np.testing.assert_allclose(sparse.inverse_transform(codes), dense.inverse_transform(codes.toarray()))


def test_examples_serve_as_units_when_no_dictionary_is_given(rng: np.random.Generator) -> None:
    signals, _ = problem(rng)
    coder = SparseCoder(sparsity=0.1).fit(signals)
    np.testing.assert_allclose(np.linalg.norm(coder.components_, axis=1), 1)
    assert (coder.transform(signals).argmax(axis=1) == np.arange(40)).all()


def test_works_in_a_pipeline_under_grid_search(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    labels = (signals @ dictionary[0] > 0).astype(int)
    pipeline = make_pipeline(SparseCoder(dictionary), LogisticRegression())
    search = GridSearchCV(pipeline, {"sparsecoder__sparsity": [0.1, 1.0]}, cv=2).fit(signals, labels)
    assert search.best_score_ > 0.6


def test_what_it_is_given_must_fit(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    with pytest.raises(ValueError, match="NaN"):
        SparseCoder(dictionary).fit(np.full((3, 16), np.nan))
    for narrow in (dictionary[:, :15], PreparedDictionary(dictionary[:, :15])):
        with pytest.raises(UsageError, match="X has 16 features, but the dictionary is for 15"):
            SparseCoder(narrow).fit(signals)
        with pytest.raises(UsageError, match="X has 16 features, but the dictionary is for 15"):
            SparseCoder(narrow).transform(signals)
    with pytest.raises(ValueError, match="15 features"):
        SparseCoder(dictionary).fit(signals).transform(signals[:, :15])
    with pytest.raises(UsageError, match="codes have shape"):
        SparseCoder(dictionary).fit(signals).inverse_transform(signals)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sparsity": 0}, "sparsity is 0; it must be a number above 0"),
        ({"sparsity": "auto"}, "sparsity is 'auto'"),
        ({"sparsity": np.ones(3)}, "sparsity"),
        ({"sparsity": -np.ones(30)}, "sparsity must be"),
        ({"method": "lars"}, "method is 'lars'"),
        ({"positive": 1}, "positive is 1; it must be True or False"),
        ({"max_nonzero": 2.5}, "max_nonzero is 2.5"),
        ({"max_nonzero": 0}, "max_nonzero is 0"),
        ({"l2": -1}, "l2 is -1"),
        ({"residual": -1}, "residual is -1"),
        ({"refit": "yes"}, "refit is 'yes'"),
        ({"split_sign": None}, "split_sign is None"),
        ({"tolerance": 0}, "tolerance is 0"),
        ({"max_iterations": 1.5}, "max_iterations is 1.5"),
        ({"sparse_output": "no"}, "sparse_output is 'no'"),
        ({"dictionary": "haar"}, "dictionary"),
    ],
)
def test_wrong_parameters_are_named(rng: np.random.Generator, parameters: dict[str, Any], message: str) -> None:
    signals, dictionary = problem(rng)
    with pytest.raises(UsageError, match=message):
        SparseCoder(**({"dictionary": dictionary} | parameters)).fit(signals).transform(signals)
    with pytest.raises(UsageError, match=message):
        SparseCoder(**({"dictionary": dictionary} | parameters)).transform(signals)


def test_a_dictionary_that_is_given_needs_no_fit(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    expected = SparseCoder(dictionary).fit(signals).transform(signals)
    for given in (dictionary, PreparedDictionary(dictionary), dictionary.tolist()):
        coder = SparseCoder(given)
        np.testing.assert_array_equal(coder.transform(signals), expected)
        assert not hasattr(coder, "n_features_in_")
        assert coder.n_components_ == 30
        assert coder.components_.shape == (30, 16)
        assert len(coder.get_feature_names_out()) == 30
        np.testing.assert_allclose(coder.inverse_transform(expected), expected @ dictionary)
        np.testing.assert_array_equal(clone(coder).transform(signals), expected)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(coder.fit(signals))).transform(signals), expected)
        assert make_pipeline(SparseCoder(given), StandardScaler(with_mean=False)).fit_transform(signals).shape == (
            40,
            30,
        )
    half = coder.set_params(dictionary=dictionary[:10])
    np.testing.assert_array_equal(half.transform(signals), SparseCoder(dictionary[:10]).transform(signals))
    with pytest.raises(NotFittedError):
        SparseCoder().transform(signals)
    assert not hasattr(SparseCoder(), "components_")


def test_a_number_of_active_units_may_be_wanted_in_place_of_a_sparsity(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    for positive in (False, True):
        codes = SparseCoder(dictionary, max_nonzero=3, positive=positive).transform(signals)
        np.testing.assert_array_equal(codes, infer_until(signals, dictionary, max_nonzero=3, positive=positive))
        assert ((codes != 0).sum(axis=1) <= 3).all()
    weights = rng.uniform(0.5, 2, 30)
    number: Any = np.int32(3)
    np.testing.assert_array_equal(
        SparseCoder(dictionary, sparsity=weights, max_nonzero=number).transform(signals),
        infer_until(signals, dictionary, max_nonzero=3, weights=weights),
    )


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_that_are_fitted_again_are_those_of_least_squares(
    rng: np.random.Generator, positive: bool, dtype: Any
) -> None:
    signals, dictionary = problem(rng)
    dictionary[-3:] = dictionary[:3]  # twins, of which a code may hold both
    signals = signals.astype(dtype)
    plain = SparseCoder(dictionary, sparsity=0.5, positive=positive).transform(signals)
    codes = SparseCoder(dictionary, sparsity=0.5, positive=positive, refit=True).transform(signals)
    assert codes.dtype == dtype
    assert not codes[plain == 0].any()
    for signal, before, after in zip(signals, plain, codes, strict=True):
        active = before != 0
        solve = (lambda d, y: nnls(d, y)[0]) if positive else (lambda d, y: np.linalg.lstsq(d, y, rcond=None)[0])
        best = solve(dictionary[active].T, signal.astype(float)) @ dictionary[active]
        np.testing.assert_allclose(after @ dictionary, best, atol=2e-5 if dtype == np.float32 else 1e-9)
    assert not positive or (codes >= 0).all()
    # More active units than features, and units that are all the same.
    np.testing.assert_allclose(refit(np.ones((1, 2)), np.ones((1, 4)), np.ones((4, 2))) @ np.ones((4, 2)), [[1, 1]])


def test_signs_may_stand_apart(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    plain = SparseCoder(dictionary, sparsity=0.5).transform(signals)
    for sparse_output in (False, True):
        coder = SparseCoder(dictionary, sparsity=0.5, split_sign=True, sparse_output=sparse_output).fit(signals)
        codes = coder.transform(signals)
        dense = codes.toarray() if sparse_output else codes
        assert (dense >= 0).all()
        np.testing.assert_array_equal(dense[:, :30] - dense[:, 30:], plain)
        np.testing.assert_allclose(coder.inverse_transform(codes), plain @ dictionary)
        assert len(coder.get_feature_names_out()) == dense.shape[1] == 60


def test_sparse_signals_have_the_codes_of_dense_ones(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    signals = np.tile(signals * (rng.random(signals.shape) < 0.3), (130, 1))  # more rows than are taken at a time
    for form in (sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.coo_array):
        for options in ({}, {"sparse_output": True}, {"max_nonzero": 2}, {"positive": True, "refit": True}):
            coder = SparseCoder(dictionary, sparsity=0.3, **options)
            codes, expected = coder.fit(form(signals)).transform(form(signals)), coder.transform(signals)
            if "sparse_output" in options:
                codes, expected = codes.toarray(), expected.toarray()
            np.testing.assert_allclose(codes, expected, atol=1e-12)
    np.testing.assert_allclose(
        SparseCoder(sparsity=0.3).fit(sparse.csr_array(signals[:20])).components_,
        SparseCoder(sparsity=0.3).fit(signals[:20]).components_,
    )


def test_byte_orders_and_half_precision_are_single_precision(rng: np.random.Generator) -> None:
    signals, dictionary = (part.astype(np.float32) for part in problem(rng))
    coder = SparseCoder(dictionary).fit(signals)
    expected = coder.transform(signals)
    np.testing.assert_array_equal(coder.transform(signals.astype(">f4")), expected)
    assert coder.transform(signals.astype(">f4")).dtype == np.float32
    assert coder.transform(signals.astype(np.float16)).dtype == np.float32
    assert coder.transform(signals.astype(">f8")).dtype == np.float64
    assert coder.transform(signals.astype(int)).dtype == np.float64


def test_a_sparsity_may_be_numpys_and_a_weight_for_each_unit(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    for number in (np.int64(1), np.float32(1), np.array(1.0), np.uint8(1)):
        given: Any = number
        np.testing.assert_array_equal(
            SparseCoder(dictionary, sparsity=given).transform(signals), SparseCoder(dictionary).transform(signals)
        )
    weights = rng.uniform(0.5, 2, 30)
    np.testing.assert_array_equal(
        SparseCoder(dictionary, sparsity=weights).transform(signals), infer(signals, dictionary, weights)
    )


@pytest.mark.parametrize("positive", [False, True])
def test_an_l2_term_makes_the_elastic_net_also_of_a_wanted_size(rng: np.random.Generator, positive: bool) -> None:
    signals, dictionary = problem(rng)
    codes = SparseCoder(dictionary, sparsity=0.5, l2=0.3, positive=positive, tolerance=1e-10).transform(signals)
    theirs = ElasticNet(alpha=0.8 / 16, l1_ratio=0.5 / 0.8, fit_intercept=False, positive=positive, tol=1e-12)
    for signal, code in zip(signals[:10], codes, strict=False):
        np.testing.assert_allclose(code, theirs.fit(dictionary.T, signal).coef_, atol=1e-4)
    codes = SparseCoder(dictionary, l2=0.3, max_nonzero=3, positive=positive).transform(signals)
    assert ((codes != 0).sum(axis=1) <= 3).all()
    slopes = (signals - codes @ dictionary) @ dictionary.T - 0.3 * codes
    reached = (slopes if positive else np.abs(slopes)).max(axis=1, keepdims=True)
    best = SparseCoder(dictionary, sparsity=1.0, l2=0.3, positive=positive, tolerance=1e-12)
    for signal, code, level in zip(signals, codes, reached[:, 0], strict=True):
        expected = best.set_params(sparsity=level).transform(signal[np.newaxis])[0]
        np.testing.assert_allclose(code, expected, atol=1e-5)


def test_what_was_not_observed_does_not_count(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    mask = rng.random(signals.shape) < 0.7
    with_gaps = np.where(mask, signals, np.nan)
    several: list[dict[str, Any]] = [{}, {"refit": True}, {"split_sign": True}, {"positive": True, "refit": True}]
    for options in several:
        coder = SparseCoder(dictionary, sparsity=0.3, **options)
        codes = coder.transform(with_gaps, mask=mask)
        for number in range(5):
            seen = mask[number]
            alone = SparseCoder(dictionary[:, seen], sparsity=0.3, **options).transform(
                signals[number : number + 1, seen]
            )
            np.testing.assert_allclose(codes[number], alone[0], atol=5e-3)
    with pytest.raises(UsageError, match="NaN"):
        SparseCoder(dictionary).transform(with_gaps)
    with pytest.raises(UsageError, match="max_nonzero was given"):
        SparseCoder(dictionary, max_nonzero=2).transform(with_gaps, mask=mask)
