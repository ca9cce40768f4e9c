from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import SparseCoder as OfScikitLearn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from striate import SparseCoder
from striate.coding import certify
from striate.errors import UsageError


@parametrize_with_checks([SparseCoder(), SparseCoder(positive=True, sparsity=0.2)])
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
    with pytest.raises(UsageError, match="n_samples, 15"):
        SparseCoder(dictionary[:, :15]).fit(signals).transform(signals)
