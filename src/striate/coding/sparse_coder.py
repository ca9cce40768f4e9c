"""Optimal codes as a scikit-learn transformer, for a dictionary that is given."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from striate.coding.estimator import CodeEstimator, validated
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.coding.solving import METHODS, Method
from striate.coding.transform import CODE_RULES, PURSUITS, transform
from striate.coding.until import UntilMethod
from striate.errors import UsageError
from striate.parameters import Anything, Choice, Integer, Real, Rule, check_parameters
from striate.samples import is_sparse

__all__ = ["SparseCoder"]


class SparseCoder(CodeEstimator):
    """Codes of signals in a given dictionary; a replacement for `sklearn.decomposition.SparseCoder`.

    With a dictionary it is stateless: `transform` works without `fit`, which only checks the number of features.

    Parameters
    ----------
    dictionary : float (n_components, n_features) or PreparedDictionary, optional
        One unit per row, of any norm. `fit` prepares an array once; without `fit`, every call of `transform` does. A
        `PreparedDictionary` is used as it is. Without a dictionary, `fit` takes the samples themselves, at unit norm:
        signals are then written as combinations of examples (Wright et al., PAMI 2009).
    sparsity : float or (n_components,), default 1.0
        Weight of the L1 term beside ½‖y − zD‖²; scikit-learn's `transform_alpha`.
    method : str, default "active_set"
        A solver of `infer`; all find the same codes, except "threshold", which shrinks the correlations with the units.
        With `max_nonzero` or `residual`, it may also be "omp" or "orthogonal_least_squares", the pursuits of
        `infer_until`; all others then stand for its homotopy.
    positive : bool, default False
        Codes must not be negative; scikit-learn's `positive_code`.
    l2 : float, default 0
        Weight of ½‖z‖²; above 0 this is the elastic net.
    max_nonzero : int, optional
        In place of `sparsity`: each signal gets the optimal code of the sparsity at which this many units are active
        (`infer_until`); scikit-learn's `transform_n_nonzero_coefs`. An array of sparsities then weighs the units; the
        pursuits do not take one.
    residual : float, optional
        In place of `sparsity`, or beside `max_nonzero`: the largest error ‖y − zD‖ (`infer_until`); with
        `l2`, the largest √(‖y − zD‖² + l2·‖z‖²).
    refit : bool, default False
        Replace the values of the active units by the least-squares solution, without the shrinkage of the L1 term.
    split_sign : bool, default False
        Give the positive parts of all units, then the negative parts: twice as many columns, none negative.
    tolerance : float, optional
        Tolerance of the duality gap, relative to ½‖y‖²; 1e-4 for float32 and 1e-6 for float64 by default.
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
        dictionary: ArrayLike | PreparedDictionary | None = None,
        *,
        sparsity: float | NDArray[Any] = 1.0,
        method: Method | UntilMethod = "active_set",
        positive: bool = False,
        l2: float = 0.0,
        max_nonzero: int | None = None,
        residual: float | None = None,
        refit: bool = False,
        split_sign: bool = False,
        tolerance: float | None = None,
        max_iterations: int | None = None,
        sparse_output: bool = False,
    ) -> None:
        self.dictionary = dictionary
        self.sparsity = sparsity
        self.method = method
        self.positive = positive
        self.l2 = l2
        self.max_nonzero = max_nonzero
        self.residual = residual
        self.refit = refit
        self.split_sign = split_sign
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.sparse_output = sparse_output

    def fit(self, X: Any, y: object = None) -> Self:
        """Check the signals, and prepare the dictionary.

        Parameters
        ----------
        X : float (n_samples, n_features)
            Signals, as an array or a SciPy sparse matrix; they become the dictionary if none was given.
        y : ignored

        Raises
        ------
        UsageError
            If the signals and the dictionary differ in the number of features, or a parameter is out of range.
        """
        self._check_parameters()
        X = validated(self, X, reset=True, accept_sparse="csr")
        self._prepared_of = self.dictionary
        if self.dictionary is None:
            examples = X.toarray() if is_sparse(X) else X
            norms = np.linalg.norm(examples, axis=1, keepdims=True)
            self._prepared = PreparedDictionary(examples / np.where(norms > 0, norms, 1))
        else:
            self._prepared = self._given()
            self._check_width(X, self._prepared)
        return self

    def transform(self, X: Any, y: object = None, *, mask: ArrayLike | None = None) -> Any:
        """Optimal codes, (n_samples, n_components): float32 for float32 signals, else float64.

        Parameters
        ----------
        X : float (n_samples, n_features)
            An array, or a SciPy sparse matrix.
        y : ignored
        mask : bool (n_samples, n_features) or (n_features,), optional
            True where signals were observed; elsewhere they may be NaN.
        """
        check_is_fitted(self)
        self._check_parameters()
        prepared = self._units()
        is_fitted = hasattr(self, "n_features_in_")
        X = validated(self, X, reset=False, finite=False, accept_sparse="csr") if is_fitted else _unfitted(X)
        self._check_width(X, prepared)
        return transform(
            X,
            prepared,
            self.sparsity,
            method=self.method,
            positive=self.positive,
            l2=self.l2,
            mask=mask,
            max_nonzero=self.max_nonzero,
            residual=self.residual,
            refit=self.refit,
            split_sign=self.split_sign,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
            sparse_output=self.sparse_output,
        )

    @property
    def components_(self) -> NDArray[Any]:  # type: ignore[override]
        """The dictionary, (n_components, n_features)."""
        return self._units().components

    @property
    def n_components_(self) -> int:
        """The number of units."""
        return self._units().n_components

    def _units(self) -> PreparedDictionary:
        """The dictionary that `fit` prepared, or the one that was given."""
        if "_prepared" in self.__dict__ and self._prepared_of is self.dictionary:
            return self._prepared
        if self.dictionary is None:
            raise AttributeError("a SparseCoder without a dictionary has units only after fit")
        return self._given()

    def _given(self) -> PreparedDictionary:
        given = self.dictionary
        return given if isinstance(given, PreparedDictionary) else PreparedDictionary(given)  # type: ignore[arg-type]

    def _check_width(self, X: Any, prepared: PreparedDictionary) -> None:
        if X.shape[1] != prepared.n_features:
            raise UsageError(f"X has {X.shape[1]} features, but the dictionary is for {prepared.n_features}")

    def _check_parameters(self) -> None:
        check_parameters(self, _RULES)
        # An array is checked later, when the number of units is known.
        given: Any = self.sparsity
        if not isinstance(given, list | tuple) and np.ndim(given) == 0:
            check_parameters(self, {"sparsity": Real(above=0)})

    def __sklearn_is_fitted__(self) -> bool:
        return self.dictionary is not None or "_prepared" in self.__dict__

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = self.dictionary is None
        tags.input_tags.sparse = True
        return tags


_RULES: dict[str, Rule] = CODE_RULES | {
    "sparsity": Anything(),
    "method": Choice(*METHODS, "threshold", *PURSUITS),
    "residual": Real(above=0) | None,
    "tolerance": Real(above=0) | None,
    "max_iterations": Integer(low=1) | None,
}


def _unfitted(X: Any) -> Any:
    """Signals for a coder that was not fitted, which `transform` must not change."""
    return validated(SparseCoder(), X, reset=True, finite=False, accept_sparse="csr")
