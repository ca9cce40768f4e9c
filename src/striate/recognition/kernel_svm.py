"""Support vectors from a kernel matrix, one class against all others."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from striate.errors import UsageError
from striate.progress import Progress
from striate.threads import map_ordered

__all__ = ["KernelSVM"]


class KernelSVM(ClassifierMixin, BaseEstimator):
    """One support-vector machine a class, against all others, on inner products that are already there.

    Parameters
    ----------
    C : float, default 10.0
        Weight of errors, for a kernel whose diagonal is 1 on average: almost every training sample is then on
        its side of the margin, which is best where there are some 30 of each class.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    shares_ : float64 (n_train, n_classes)
        Of training samples in each class's normal.
    intercept_ : float64 (n_classes,)
    scale_ : float
        What kernels are divided by: the mean of the training kernel's diagonal.
    """

    def __init__(self, C: float = 10.0) -> None:
        self.C = C

    def fit(self, kernel: NDArray, y: ArrayLike, *, progress: Progress | None = None) -> Self:
        """Fit on inner products of the training samples (n_train, n_train) and their classes (n_train,)."""
        from sklearn.svm import SVC

        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes_) < 2:
            raise UsageError("a classifier needs samples of at least two classes")
        if kernel.shape != (len(codes), len(codes)):
            raise UsageError(f"the kernel of {len(codes)} samples is square, not of shape {kernel.shape}")
        self.scale_ = float(np.trace(kernel)) / len(codes) or 1.0
        scaled = kernel.astype(np.float64) / self.scale_

        def one_against_all(number: int) -> tuple[NDArray[np.float64], float]:
            machine = SVC(C=self.C, kernel="precomputed", cache_size=50).fit(scaled, codes == number)
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
        """How far on each class's side, (n, n_classes), from inner products with the training samples (n, n_train)."""
        check_is_fitted(self)
        return kernel / self.scale_ @ self.shares_ + self.intercept_

    def predict(self, kernel: NDArray) -> NDArray:
        """The most likely class of each, (n,)."""
        return self.classes_[self.decision_function(kernel).argmax(axis=1)]
