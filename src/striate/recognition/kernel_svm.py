"""One-versus-rest support-vector machines on a precomputed kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from striate.errors import UsageError
from striate.parameters import Real, check_parameters, checked
from striate.progress import Progress
from striate.recognition.labels import check_targets, label_array
from striate.threads import map_ordered

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["KernelSVM"]


_RULES = {"C": Real(above=0)}


class KernelSVM(ClassifierMixin, BaseEstimator):
    """One support-vector machine per class (one versus rest) on a precomputed kernel.

    Parameters
    ----------
    C : float, default 10.0
        Weight of margin violations, for a kernel scaled so that its diagonal is 1 on average. With the default almost
        all training samples are outside the margin, which is best with about 30 samples per class.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    shares_ : float64 (n_train, n_classes)
        Dual coefficients: the weight of each training sample in the normal of each class.
    intercept_ : float64 (n_classes,)
    scale_ : float
        The number that kernels are divided by: the mean of the training kernel's diagonal.
    """

    def __init__(self, C: float = 10.0) -> None:
        self.C = C

    def fit(self, kernel: NDArray, y: ArrayLike, *, progress: Progress | None = None) -> Self:
        """Fit on inner products of the training samples (n_train, n_train) and their classes (n_train,).

        Raises
        ------
        UsageError
            For fewer than two classes, labels that are missing or not one for each sample, a kernel that is not square
            or holds NaN, and a parameter out of range.
        """
        from sklearn.svm import SVC

        check_parameters(self, _RULES)
        strength = checked("C", self.C, _RULES["C"])
        kernel = checked_features(self, kernel, reset=True)
        y = label_array(y, n_samples=len(kernel))
        check_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise UsageError(
                f"all {len(y)} samples are of one class, {str(self.classes_[0])!r}: a classifier needs samples of at "
                "least two classes"
            )
        if kernel.shape != (len(codes), len(codes)):
            raise UsageError(f"the kernel of {len(codes)} samples is square, not of shape {kernel.shape}")
        self.scale_ = float(np.trace(kernel)) / len(codes) or 1.0
        scaled = kernel.astype(np.float64) / self.scale_

        def one_against_all(number: int) -> tuple[NDArray[np.float64], float]:
            machine = SVC(C=strength, kernel="precomputed", cache_size=50).fit(scaled, codes == number)
            shares = np.zeros(len(codes))
            shares[machine.support_] = machine.dual_coef_[0]
            return shares, float(machine.intercept_[0])

        found = []
        with (progress or Progress()).phase("support vectors", len(self.classes_), "classes") as phase:
            for one in map_ordered(one_against_all, range(len(self.classes_))):
                found.append(one)
                phase.advance()
        self.shares_ = np.stack([shares for shares, _ in found], axis=1)
        self.intercept_ = np.array([intercept for _, intercept in found])
        return self

    def decision_function(self, kernel: NDArray) -> NDArray[np.float64]:
        """Decision values of each class, from inner products with the training samples (n, n_train).

        Returns
        -------
        float64 (n, n_classes)
            For two classes, as in scikit-learn, the value of the second class, (n,).
        """
        scores = self._scores(kernel)
        return scores[:, 1] if scores.shape[1] == 2 else scores

    def predict(self, kernel: NDArray) -> NDArray:
        """The class with the largest decision value, (n,)."""
        scores = self._scores(kernel)  # first, since it raises an error before fit
        return self.classes_[scores.argmax(axis=1)]

    def _scores(self, kernel: NDArray) -> NDArray[np.float64]:
        check_is_fitted(self)
        kernel = checked_features(self, kernel, reset=False)
        return np.asarray(kernel / self.scale_ @ self.shares_ + self.intercept_)

    def __sklearn_tags__(self) -> Tags:
        """Tags for scikit-learn: a subset of the samples is a subset of rows and of columns."""
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = True
        return tags


def checked_features(estimator: Any, X: Any, *, reset: bool) -> NDArray:
    """Finite real numbers as float; with `reset` the number of columns is stored, otherwise compared."""
    try:
        X = validate_data(
            estimator, X, reset=reset, dtype=[np.float64, np.float32], ensure_min_samples=2 if reset else 1
        )
    except ValueError as error:
        raise UsageError(" ".join(str(error).split())) from error
    return np.asarray(X)
