"""scikit-learn's dictionary learning, by its names and options, on top of striate: for scikit-learn's own tests.

Every class and function translates options and calls striate; what it computes itself is listed here: the default
number of active units, scikit-learn's messages, and when batch learning ends.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

import striate
from striate.errors import UsageError
from striate.learning import SparseCoding
from striate.learning._dictionary_update import update_dictionary

__all__ = [
    "DictionaryLearning",
    "MiniBatchDictionaryLearning",
    "SparseCoder",
    "_update_dict",
    "dict_learning",
    "dict_learning_online",
    "sparse_encode",
]

# `lars` and `omp` give a number of active units: the former those of the lasso's path.
METHODS = {"lasso_lars": "homotopy", "lasso_cd": "coordinate_descent", "threshold": "threshold"}
_STILL = 1e-7  # change of a dictionary after which batch learning ends


def _refuse_positive(algorithm: str, positive: bool) -> None:
    if positive and algorithm in ("lars", "omp"):
        raise ValueError(f"Positive constraint not supported for '{algorithm}' coding method.")


def sparse_encode(
    X: Any, dictionary: Any, *, algorithm: str = "lasso_lars", n_nonzero_coefs: int | None = None,
    alpha: float | None = None, max_iter: int = 1000, n_jobs: int | None = None, positive: bool = False,
) -> NDArray[Any]:  # fmt: skip
    _refuse_positive(algorithm, positive)
    coder = striate.SparseCoder(dictionary, positive=positive)
    if algorithm in METHODS:
        coder.set_params(sparsity=1.0 if alpha is None else alpha, method=METHODS[algorithm])
        if algorithm != "threshold":
            coder.set_params(tolerance=1e-10 if np.asarray(X).dtype == np.float64 else 1e-6)
        if algorithm == "lasso_cd":
            coder.set_params(tolerance=1e-6, max_iterations=max_iter)
    else:
        n_components, n_features = np.shape(dictionary)
        coder.set_params(max_nonzero=n_nonzero_coefs or int(min(max(n_features / 10, 1), n_components)))
        if algorithm == "omp":
            coder.set_params(method="omp")
    try:
        return np.asarray(coder.transform(X))
    except UsageError as error:
        if "but the dictionary is for" in str(error):
            raise ValueError(f"Dictionary and X have different numbers of features: {error}") from error
        raise


def _update_dict(dictionary: Any, Y: Any, code: Any, A: Any = None, B: Any = None) -> None:
    update_dictionary(
        dictionary,
        np.ascontiguousarray(code.T @ code if A is None else A),
        np.ascontiguousarray(code.T @ Y if B is None else B.T),
    )


class _Coding(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    transform_algorithm: str
    transform_n_nonzero_coefs: int | None
    transform_alpha: float | None
    transform_max_iter: int
    split_sign: bool
    positive_code: bool
    components_: NDArray[Any]

    def _encode(self, X: Any, dictionary: Any) -> NDArray[Any]:
        alpha = self.transform_alpha
        codes = sparse_encode(
            X, dictionary, algorithm=self.transform_algorithm, n_nonzero_coefs=self.transform_n_nonzero_coefs,
            alpha=getattr(self, "alpha", None) if alpha is None else alpha, max_iter=self.transform_max_iter,
            positive=self.positive_code,
        )  # fmt: skip
        return np.hstack([np.maximum(codes, 0), np.maximum(-codes, 0)]) if self.split_sign else codes

    def _decode(self, codes: Any, dictionary: Any) -> NDArray[Any]:
        coder = striate.SparseCoder(dictionary, split_sign=self.split_sign)
        try:
            return coder.inverse_transform(codes)
        except UsageError as error:
            wanted = len(dictionary) * (2 if self.split_sign else 1)
            raise ValueError(f"Expected {wanted}, got {np.shape(codes)[1]}.") from error

    def transform(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self)
        return self._encode(validate_data(self, X, reset=False), self.components_)

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self)
        return self._decode(X, self.components_)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class SparseCoder(_Coding):
    def __init__(
        self, dictionary: Any, *, transform_algorithm: str = "omp", transform_n_nonzero_coefs: int | None = None,
        transform_alpha: float | None = None, split_sign: bool = False, n_jobs: int | None = None,
        positive_code: bool = False, transform_max_iter: int = 1000,
    ) -> None:  # fmt: skip
        self.dictionary = dictionary
        self.transform_algorithm = transform_algorithm
        self.transform_n_nonzero_coefs = transform_n_nonzero_coefs
        self.transform_alpha = transform_alpha
        self.split_sign = split_sign
        self.n_jobs = n_jobs
        self.positive_code = positive_code
        self.transform_max_iter = transform_max_iter

    def fit(self, X: Any, y: object = None) -> Self:
        X = validate_data(self, X)
        try:
            striate.SparseCoder(self.dictionary).fit(X)
        except UsageError as error:
            raise ValueError(f"Dictionary and X have different numbers of features: {error}") from error
        self.n_components_ = len(self.dictionary)
        return self

    def transform(self, X: Any, y: object = None) -> NDArray[Any]:
        return self._encode(validate_data(self, X, reset=not hasattr(self, "n_features_in_")), self.dictionary)

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        return self._decode(X, self.dictionary)

    @property
    def _n_features_out(self) -> int:
        return len(self.dictionary)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags


class DictionaryLearning(_Coding):
    """All signals in every step, whose codes alone count: mini-batches of all, with statistics that fade at once."""

    def __init__(
        self, n_components: int | None = None, *, alpha: float = 1, max_iter: int = 1000, tol: float = 1e-8,
        fit_algorithm: str = "lars", transform_algorithm: str = "omp", transform_n_nonzero_coefs: int | None = None,
        transform_alpha: float | None = None, n_jobs: int | None = None, code_init: Any = None, dict_init: Any = None,
        callback: Any = None, verbose: bool = False, split_sign: bool = False, random_state: Any = None,
        positive_code: bool = False, positive_dict: bool = False, transform_max_iter: int = 1000,
    ) -> None:  # fmt: skip
        for name, value in locals().items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    def fit(self, X: Any, y: object = None) -> Self:
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: object = None, **options: Any) -> NDArray[Any]:
        learner = self._learner(X, np.shape(X)[0], self.max_iter, forgetting=1000.0, shuffle=False)
        before = np.zeros(0)
        self.error_: list[float] = []

        def look(learner: SparseCoding) -> bool:
            nonlocal before
            is_still = before.size > 0 and bool(np.abs(learner.components_ - before).max() < _STILL)
            before = learner.components_.copy()
            if self.callback is not None:
                self.callback({"dictionary": before})
            return is_still

        learner.fit(X, callback=look)
        self._keep(learner)
        self.error_ = [-learner.score(X) * len(X)]
        return np.asarray(learner.infer(X))

    def _learner(self, X: Any, batch_size: int, epochs: int, **options: Any) -> SparseCoding:
        _refuse_positive(self.fit_algorithm, self.positive_code)
        options = {
            "n_components": self.n_components or np.shape(X)[1], "sparsity": self.alpha, "batch_size": batch_size,
            "max_epochs": epochs, "max_batches": 100_000, "start": self.dict_init, "positive": self.positive_code,
            "positive_components": self.positive_dict, "validation_fraction": 0, "random_state": self.random_state,
            "method": METHODS[f"lasso_{self.fit_algorithm}"],
        } | options  # fmt: skip
        return SparseCoding(**options)

    def _keep(self, learner: SparseCoding) -> None:
        self._fitted = learner
        self.components_ = learner.components_
        self.n_features_in_ = learner.n_features_in_
        self.n_iter_, self.n_steps_ = learner.n_iter_, learner.n_steps_


class MiniBatchDictionaryLearning(DictionaryLearning):
    def __init__(
        self, n_components: int | None = None, *, alpha: float = 1, max_iter: int = 1000, fit_algorithm: str = "lars",
        n_jobs: int | None = None, batch_size: int = 256, shuffle: bool = True, dict_init: Any = None,
        transform_algorithm: str = "omp", transform_n_nonzero_coefs: int | None = None,
        transform_alpha: float | None = None, verbose: bool = False, split_sign: bool = False, random_state: Any = None,
        positive_code: bool = False, positive_dict: bool = False, transform_max_iter: int = 1000, callback: Any = None,
        tol: float = 1e-3, max_no_improvement: int | None = 10,
    ) -> None:  # fmt: skip
        for name, value in locals().items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    def fit_transform(self, X: Any, y: object = None, **options: Any) -> NDArray[Any]:
        return self.fit(X).transform(X)

    def fit(self, X: Any, y: object = None) -> Self:
        learner = self._learner(X, self.batch_size, self.max_iter, shuffle=self.shuffle)
        before = np.zeros(0)

        def look(learner: SparseCoding) -> bool:
            nonlocal before
            change = float(np.linalg.norm(learner.components_ - before)) if before.size else np.inf
            before = learner.components_.copy()
            if self.callback is not None:
                self.callback({"dictionary": before})
            return self.tol > 0 and change <= self.tol * len(before)

        self._keep(learner.fit(X, callback=look))
        return self

    def partial_fit(self, X: Any, y: object = None) -> Self:
        if not hasattr(self, "_fitted"):
            self._fitted = self._learner(X, self.batch_size, self.max_iter)
        self._keep(self._fitted.partial_fit(X))
        return self

    @property
    def _A(self) -> NDArray[Any]:
        return self._fitted._code_products

    @property
    def _B(self) -> NDArray[Any]:
        return self._fitted._signal_products.T


def dict_learning(
    X: Any, n_components: int, *, alpha: float, max_iter: int = 100, tol: float = 1e-8, method: str = "lars",
    n_jobs: int | None = None, dict_init: Any = None, code_init: Any = None, callback: Any = None,
    verbose: bool = False, random_state: Any = None, return_n_iter: bool = False, positive_dict: bool = False,
    positive_code: bool = False, method_max_iter: int = 1000,
) -> tuple[Any, ...]:  # fmt: skip
    learner = DictionaryLearning(
        n_components, alpha=alpha, max_iter=max_iter, fit_algorithm=method, dict_init=dict_init, callback=callback,
        random_state=random_state, positive_dict=positive_dict, positive_code=positive_code,
    )  # fmt: skip
    codes = learner.fit_transform(X)
    found = codes, learner.components_, learner.error_
    return (*found, learner.n_iter_) if return_n_iter else found


def dict_learning_online(
    X: Any, n_components: int = 2, *, alpha: float = 1, max_iter: int = 100, return_code: bool = True,
    dict_init: Any = None, callback: Any = None, batch_size: int = 256, verbose: bool = False, shuffle: bool = True,
    n_jobs: int | None = None, method: str = "lars", random_state: Any = None, positive_dict: bool = False,
    positive_code: bool = False, method_max_iter: int = 1000, tol: float = 1e-3, max_no_improvement: int | None = 10,
) -> Any:  # fmt: skip
    learner = MiniBatchDictionaryLearning(
        n_components, alpha=alpha, max_iter=max_iter, fit_algorithm=method, batch_size=batch_size, shuffle=shuffle,
        dict_init=dict_init, callback=callback, random_state=random_state, positive_dict=positive_dict,
        positive_code=positive_code, tol=tol, transform_algorithm=f"lasso_{method}", transform_alpha=alpha,
    ).fit(X)  # fmt: skip
    return (learner.transform(X), learner.components_) if return_code else learner.components_
