"""Optimal codes as a scikit-learn transformer, for a dictionary that is given."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from striate.coding._estimator import CodeEstimator
from striate.coding.infer import Method, infer
from striate.coding.prepared_dictionary import PreparedDictionary

__all__ = ["SparseCoder"]


class SparseCoder(CodeEstimator):
    """Codes of signals in a given dictionary; takes the place of `sklearn.decomposition.SparseCoder`.

    Parameters
    ----------
    dictionary : float (n_components, n_features), optional
        A unit a row, of any norm. Without one, `fit` takes the samples themselves, at unit norm: signals are then
        written as combinations of examples (Wright et al., PAMI 2009).
    sparsity : float or (n_components,), default 1.0
        Weight of the L1 term beside ½‖y − zD‖²; scikit-learn's `transform_alpha`.
    method : str, default "active_set"
        A solver of `infer`; all find the same codes.
    positive : bool, default False
        Codes must not be negative; scikit-learn's `positive_code`.
    tolerance : float, optional
        Of the duality gap, relative to ½‖y‖²; 1e-4 for float32 and 1e-6 for float64 by default.
    max_iterations : int, optional
    sparse_output : bool, default False
        Return codes as a `scipy.sparse.csr_array`.

    Attributes
    ----------
    components_ : ndarray (n_components, n_features)
    n_components_, n_features_in_ : int

    Examples
    --------
    >>> import numpy as np
    >>> from striate import SparseCoder
    >>> dictionary = np.eye(4)[:3]
    >>> SparseCoder(dictionary, sparsity=1.0).fit_transform(np.array([[3.0, -2.0, 0.5, 9.0]]))
    array([[ 2., -1.,  0.]])
    """

    def __init__(
        self,
        dictionary: ArrayLike | None = None,
        *,
        sparsity: float | NDArray[Any] = 1.0,
        method: Method = "active_set",
        positive: bool = False,
        tolerance: float | None = None,
        max_iterations: int | None = None,
        sparse_output: bool = False,
    ) -> None:
        self.dictionary = dictionary
        self.sparsity = sparsity
        self.method = method
        self.positive = positive
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.sparse_output = sparse_output

    def fit(self, X: NDArray[Any], y: object = None) -> Self:
        """Prepare the dictionary.

        Parameters
        ----------
        X : float (n_samples, n_features)
            Signals; they are learned from only when no dictionary was given.
        y : ignored
        """
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        if self.dictionary is None:
            norms = np.linalg.norm(X, axis=1, keepdims=True)
            self._prepared = PreparedDictionary(X / np.where(norms > 0, norms, 1))
        else:
            self._prepared = PreparedDictionary(self.dictionary)
        self.components_ = self._prepared.components
        self.n_components_ = len(self.components_)
        return self

    def transform(self, X: NDArray[Any], y: object = None) -> Any:
        """Optimal codes, (n_samples, n_components): float32 for float32 signals, else float64."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False, ensure_all_finite=False)
        return infer(
            X,
            self._prepared,
            self.sparsity,
            method=self.method,
            positive=self.positive,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
            sparse_output=self.sparse_output,
        )
