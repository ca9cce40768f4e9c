"""A support-vector machine whose kernel and constant are chosen by cross-validation, for few labels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

__all__ = ["Standardized", "TunedSVM"]

Rows = NDArray[np.float32]

WIDTHS = (0.5, 1.0, 2.0)
"""Widths of Gaussian kernels, relative to the median distance of the training samples."""
CONSTANTS = (0.1, 1.0, 10.0, 100.0)
"""Weights of margin violations, for kernels whose diagonal is 1 on average."""
ENOUGH = 5
"""Samples per class from which on kernel and constant are chosen by cross-validation."""


class Standardized:
    """Features of mean 0 and variance 1 over samples that need no label, with a mean squared norm of 1."""

    def __init__(self, rows: Rows) -> None:
        self._mean = rows.mean(axis=0)
        deviation = rows.std(axis=0)
        varies = deviation > 1e-6
        self._factor = np.where(varies, 1 / np.where(varies, deviation, 1), 0) / np.sqrt(max(1, varies.sum()))

    def __call__(self, rows: Rows) -> Rows:
        """Return the features (n, n_features), standardized; those that never vary are 0."""
        return np.asarray((rows - self._mean) * self._factor, np.float32)


class Setting(NamedTuple):
    """A kernel, linear without a width, and the weight of margin violations."""

    width: float | None
    constant: float


FEW = Setting(None, 10.0)
"""What too few samples to choose by are fitted with: almost all of them are support vectors."""


@dataclass(frozen=True)
class _Kernels:
    """The kernels of training samples with themselves, and of others with them, from inner products and distances."""

    products: NDArray[np.float64]
    distances: NDArray[np.float64]
    unit: float  # median squared distance of training samples

    def of(self, width: float | None) -> NDArray[np.float64]:
        if width is None:
            return self.products
        return np.asarray(np.exp(self.distances / (-2 * width**2 * self.unit)))


class TunedSVM:
    """Support vectors, one class against another, with a linear or a Gaussian kernel.

    With fewer than five samples per class the kernel and the constant are `few`; otherwise cross-validation chooses
    among all of them, and prefers the first of those that are equally good.

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
        products = np.asarray(rows @ rows.T, np.float64)
        distances = _distances(products, np.diag(products), np.diag(products))
        above = distances[np.triu_indices(len(rows), 1)]
        self._unit = float(np.median(above)) or 1.0
        kernels = _Kernels(products, distances, self._unit)
        self.setting_ = self.few if np.bincount(labels).min() < ENOUGH else self._chosen(kernels, labels)
        with warnings.catch_warnings():
            # One sample of each class is what is asked for here, not a sign of a regression.
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            self._machine = _machine(self.setting_).fit(kernels.of(self.setting_.width), labels)
        return self

    def predict(self, rows: Rows) -> NDArray[np.int64]:
        """Return the class of each row of features (n, n_features)."""
        products = np.asarray(rows @ self._rows.T, np.float64)
        norms = (np.einsum("ij,ij->i", part, part).astype(np.float64) for part in (rows, self._rows))
        kernels = _Kernels(products, _distances(products, *norms), self._unit)
        return np.asarray(self._machine.predict(kernels.of(self.setting_.width)))

    def _chosen(self, kernels: _Kernels, labels: NDArray[np.int64]) -> Setting:
        n_folds = 5 if len(labels) < 500 else 3
        folds = list(StratifiedKFold(n_folds, shuffle=True, random_state=self.random_state).split(labels, labels))
        best, most = self.few, -1
        for width, constants in _grid():
            kernel = kernels.of(width)
            for constant in constants:
                right = 0
                for train, held_out in folds:
                    machine = _machine(Setting(width, constant)).fit(kernel[np.ix_(train, train)], labels[train])
                    right += int(np.sum(machine.predict(kernel[np.ix_(held_out, train)]) == labels[held_out]))
                if right > most:
                    best, most = Setting(width, constant), right
        return best


def _grid() -> Iterator[tuple[float | None, tuple[float, ...]]]:
    for width in (None, *WIDTHS):
        yield width, CONSTANTS


def _machine(setting: Setting) -> SVC:
    return SVC(C=setting.constant, kernel="precomputed", break_ties=True, cache_size=100)


def _distances(
    products: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Squared distances, from inner products and squared norms."""
    return np.maximum(first[:, np.newaxis] + second - 2 * products, 0)
