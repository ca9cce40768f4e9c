"""A support-vector machine whose kernel and constant are chosen by cross-validation, for few labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from striate.recognition.kernel_svm import KernelSVM

__all__ = ["Scaling", "TunedSVM"]

Rows = NDArray[np.float32]

WIDTHS = (0.7, 0.5, 1.4, None)
"""Widths of Gaussian kernels, relative to the median distance of the training samples; None for a linear kernel."""
CONSTANTS = (10.0, 1.0)
"""Weights of margin violations, for kernels whose diagonal is 1; 0.1 was worse everywhere, 100 as good as 10."""
ENOUGH = 10
"""Samples per class from which on kernel and constant are chosen by cross-validation; with 5 it chose worse ones."""


class Scaling:
    """Features of mean 0 over samples that need no label, then a norm of 1 for each sample.

    Parameters
    ----------
    rows : float32 (n, n_features)
    each : bool
        Also divide each feature by its standard deviation. Those that never vary are then 0.
    """

    def __init__(self, rows: Rows, *, each: bool) -> None:
        self._mean = rows.mean(axis=0)
        self._factor = np.ones_like(self._mean)
        if each:
            deviation = rows.std(axis=0)
            varies = deviation > 1e-6
            self._factor = np.where(varies, 1 / np.where(varies, deviation, 1), 0)

    def __call__(self, rows: Rows) -> Rows:
        """Return the features (n, n_features), scaled; a sample without any stays 0."""
        scaled = (rows - self._mean) * self._factor
        norms = np.linalg.norm(scaled, axis=1, keepdims=True)
        scaled /= np.where(norms > 0, norms, 1)
        return np.asarray(scaled, np.float32)


class Setting(NamedTuple):
    """A kernel, linear without a width, and the weight of margin violations."""

    width: float | None
    constant: float


FEW = Setting(WIDTHS[0], CONSTANTS[0])
"""What too few samples to choose by are fitted with: almost all of them are then support vectors."""


class TunedSVM:
    """Support vectors, each class against the rest, with a linear or a Gaussian kernel.

    With fewer than ten samples per class the kernel and the constant are `few`; otherwise cross-validation chooses
    among all of them, and takes the first of those that are equally good. One class against another, as in
    scikit-learn's `SVC`, was up to 10 points less accurate for 1 and 5 labels per class.

    Parameters
    ----------
    few : Setting
    random_state : int
        Seed of the folds.

    Attributes
    ----------
    setting_ : Setting
    """

    def __init__(self, *, few: Setting = FEW, random_state: int = 0) -> None:
        self.few = few
        self.random_state = random_state

    def fit(self, rows: Rows, labels: NDArray[np.int64]) -> TunedSVM:
        """Choose the setting, and fit with it on features (n, n_features) and classes (n,)."""
        self._rows = rows
        distances = _squared_distances(rows, rows)
        self._unit = float(np.median(distances[np.triu_indices(len(rows), 1)])) or 1.0
        sizes = np.unique(labels, return_counts=True)[1]
        self.setting_ = self.few if sizes.min() < ENOUGH else self._chosen(labels)
        self._machine = KernelSVM(C=self.setting_.constant).fit(self._kernel(rows, self.setting_.width), labels)
        return self

    def predict(self, rows: Rows) -> NDArray[np.int64]:
        """Return the class of each row of features (n, n_features)."""
        return np.asarray(self._machine.predict(self._kernel(rows, self.setting_.width)))

    def _chosen(self, labels: NDArray[np.int64]) -> Setting:
        """The setting with which the most of the held-out samples are right."""
        n_folds = 5 if len(labels) < 200 else 3
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=self.random_state)
        parts = list(folds.split(labels, labels))
        best, most = self.few, -1
        for width in WIDTHS:
            kernel = self._kernel(self._rows, width)
            for constant in CONSTANTS:
                right = 0
                for train, held_out in parts:
                    machine = KernelSVM(C=constant).fit(kernel[np.ix_(train, train)], labels[train])
                    right += int(np.sum(machine.predict(kernel[np.ix_(held_out, train)]) == labels[held_out]))
                if right > most:
                    best, most = Setting(width, constant), right
        return best

    def _kernel(self, rows: Rows, width: float | None) -> NDArray[np.float64]:
        if width is None:
            return np.asarray(rows @ self._rows.T, np.float64)
        return np.asarray(np.exp(_squared_distances(rows, self._rows) / (-2 * width**2 * self._unit)))


def _squared_distances(first: Rows, second: Rows) -> NDArray[np.float64]:
    norms = [np.einsum("ij,ij->i", rows, rows).astype(np.float64) for rows in (first, second)]
    return np.asarray(np.maximum(norms[0][:, np.newaxis] + norms[1] - 2 * (first @ second.T), 0))
