"""The contract of learners that take images: parameters, before the fit, randomness, and scikit-learn's searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from striate.learning import ConvolutionalPSD, ConvolutionalSparseCoding

LEARNERS: dict[str, Callable[..., Any]] = {
    "convolutional-psd": lambda **options: ConvolutionalPSD(
        **({"n_components": 4, "kernel_size": 4, "max_batches": 3, "batch_size": 3, "random_state": 0} | options)
    ),
    "convolutional-sparse-coding": lambda **options: ConvolutionalSparseCoding(
        **({"n_components": 4, "kernel_size": 4, "max_batches": 3, "batch_size": 3, "random_state": 0} | options)
    ),
}


def images(n: int = 8) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, 1, 12, 13)).astype(np.float32)


@pytest.mark.parametrize("name", LEARNERS)
def test_parameters_are_kept_as_given_and_cloned(name: str) -> None:
    given = LEARNERS[name](kernel_size=(3, 5), random_state=np.int64(4))
    params = given.get_params()
    assert params["kernel_size"] == (3, 5)
    fitted = given.fit(images())
    assert fitted.get_params() == params
    copy = clone(fitted)
    assert copy.get_params() == params
    assert not hasattr(copy, "components_")
    for key, value in params.items():
        assert copy.set_params(**{key: value}).get_params()[key] == value
    assert not fitted.__sklearn_tags__().input_tags.two_d_array
    assert fitted.components_.shape == (4, 1, 3, 5)


@pytest.mark.parametrize("name", LEARNERS)
def test_before_fit(name: str) -> None:
    codes = np.zeros((1, 4, 9, 10))
    tasks = [
        lambda one: one.transform(images()), lambda one: one.score(images()),
        lambda one: one.inverse_transform(codes), lambda one: one.to_state(), lambda one: one.plot_components(),
    ]  # fmt: skip
    for task in tasks:
        with pytest.raises(NotFittedError):
            task(LEARNERS[name]())


@pytest.mark.parametrize("name", LEARNERS)
def test_random_state_decides_to_the_bit(name: str) -> None:
    one, again, other = (LEARNERS[name](random_state=seed, crop=9).fit(images()) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.components_, again.components_)
    assert not np.array_equal(one.components_, other.components_)
    one.fit(images())
    np.testing.assert_array_equal(one.components_, again.components_)


@pytest.mark.parametrize("name", LEARNERS)
def test_grid_search(name: str) -> None:
    for given in (images(), list(images())):
        search = GridSearchCV(LEARNERS[name](sparsity=0.5), {"n_components": [1, 6]}, cv=2).fit(given)
        assert search.best_params_ == {"n_components": 6}
        assert search.score(given) == search.best_estimator_.score(given)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_notebook_shows_filters_that_have_colors(name: str) -> None:
    assert "<img" not in LEARNERS[name]()._repr_html_()
    assert "<img" in LEARNERS[name]().fit(images())._repr_html_()
    maps = np.random.default_rng(2).standard_normal((6, 5, 12, 13))  # of a first stage
    assert "<img" not in LEARNERS[name]().fit(maps)._repr_html_()
