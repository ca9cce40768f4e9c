"""Logistic regression in the span of the samples, for more features than samples.

The optimal weights are combinations of the samples: W = Xᵀ A. With K = X Xᵀ and its Cholesky factorization K = P Pᵀ,
the rows of P (n × n) are coordinates of the samples in an orthonormal basis of their span. Penalty and logits are the
same in these coordinates as for the d features. The n × d features are read once, to compute K; the kernel of a subset
of the samples is a submatrix of K.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.recognition.feature_space import Standardization

__all__ = ["SampleSpace", "standardized_products"]

_COLUMNS = 4096  # of features that are standardized at a time
_RANK_TOLERANCE = 64  # rounding units; below it a sample's squared norm outside the span of the others counts as 0


def standardized_products(standardization: Standardization, samples: NDArray, others: NDArray | None = None) -> NDArray:
    """Inner products of standardized features, in blocks of columns, which may come from memory maps.

    Parameters
    ----------
    standardization : Standardization
    samples : (n_samples, n_features)
    others : (n_others, n_features), optional
        By default the samples themselves; this takes half as long, and the result is exactly symmetric.

    Returns
    -------
    (n_others, n_samples), dtype of the standardization
    """
    products = np.zeros((len(samples if others is None else others), len(samples)), standardization.dtype)
    for start in range(0, samples.shape[1], _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        own = standardization.apply(samples[:, columns], columns)
        products += (own if others is None else standardization.apply(others[:, columns], columns)) @ own.T
    return products


class SampleSpace:
    """Inner products of samples, from which problems on any subset of them are solved exactly.

    Parameters
    ----------
    features : float16, float32 or float64 (n_samples, n_features)
        An array or a memory map, read in blocks of columns.
    standardization : Standardization, optional
        By default that of all `features`. A problem on a subset, such as a fold of cross-validation, is standardized
        with the statistics of all samples. These do not use labels, and only means and scales of features are shared.

    Attributes
    ----------
    kernel : (n_samples, n_samples), float32, or float64 for float64 features
        Inner products of the standardized samples.

    Notes
    -----
    The kernel takes n² d flops and a factorization n³/3. For 3,060 samples of 43,264 features these are 405 Gflop, and
    37 MB of memory instead of 530 MB. Memory: the kernel, a subset's kernel and its coordinates.
    """

    def __init__(self, features: NDArray, standardization: Standardization | None = None) -> None:
        self.standardization = standardization or Standardization(features)
        self.dtype = self.standardization.dtype
        self.n_samples, self.n_features = features.shape
        self._features = features
        self.kernel = self.kernel_with(None)

    def kernel_with(self, features: NDArray | None) -> NDArray:
        """Inner products with other samples, (n_others, n_samples); with None, of the samples with themselves."""
        if features is not None and features.shape[1] != self.n_features:
            raise UsageError(f"features have {features.shape[1]} columns, but those of training had {self.n_features}")
        return standardized_products(self.standardization, self._features, features)

    def design(self, rows: NDArray[np.integer]) -> _Coordinates:
        """The training samples `rows`, in coordinates of their span."""
        return _Coordinates(self.kernel[np.ix_(rows, rows)], rows)

    def logits(self, design: _Coordinates, coefficients: NDArray, rows: NDArray[np.integer]) -> NDArray:
        """Logits of samples of this space, (len(rows), n_classes)."""
        return design.logits(self.kernel[np.ix_(rows, design.rows)], coefficients)

    def spread(self, design: _Coordinates, coefficients: NDArray) -> NDArray:
        """Coefficients in coordinates that all subsets share, (n_samples + 1, n_classes).

        The matrix A of W = Xᵀ A, and the intercept in the last row; `gather` is the inverse.
        """
        result = np.zeros((self.n_samples + 1, coefficients.shape[1]), self.dtype)
        shares = design.combination(coefficients)
        result[design.rows] = shares
        result[-1] = coefficients[-1] - design.mean_logits(shares)
        return result

    def gather(self, design: _Coordinates, spread: NDArray) -> NDArray:
        """Coefficients in the coordinates of a design; components outside the span of its samples are dropped."""
        shares = spread[:-1][design.rows]
        return np.vstack([design.transposed_product(shares), spread[-1:] + design.mean_logits(shares)])

    def to_features(self, spread: NDArray) -> NDArray:
        """W and the intercept of standardized features, (n_columns + 1, n_classes)."""
        result = np.empty((self.standardization.n_columns + 1, spread.shape[1]), self.dtype)
        of_features = result[:-1].reshape(-1, self.n_features, spread.shape[1])  # one part, or two where they are split
        for start in range(0, self.n_features, _COLUMNS):
            columns = slice(start, min(start + _COLUMNS, self.n_features))
            weights = self.standardization.apply(self._features[:, columns], columns).T @ spread[:-1]
            of_features[:, columns] = weights.reshape(len(of_features), -1, spread.shape[1])
        result[-1] = spread[-1]
        return result


class _Coordinates:
    """Samples in an orthonormal basis of their span, about their mean.

    Centering only shifts the logits by a constant, which the unpenalized intercept adds again: the optimum is the same.
    The factorization is pivoted, so that samples that are linearly dependent on others (duplicates, few features) add
    no coordinate.
    """

    def __init__(self, kernel: NDArray, rows: NDArray[np.integer]) -> None:
        from scipy.linalg.lapack import get_lapack_funcs

        self.rows = rows
        self.dtype = kernel.dtype
        self.weights = np.full(len(rows), 1 / len(rows))
        self._row_means = kernel.mean(axis=1, dtype=np.float64)
        self._mean = self._row_means.mean()
        kernel = self._centered(kernel)
        diagonal = kernel.diagonal()
        tolerance = _RANK_TOLERANCE * np.finfo(self.dtype).eps * max(float(diagonal.max()), 0.0)
        if diagonal.max() <= 0:  # all samples are the same
            pivots, factor = np.zeros(0, np.intp), np.zeros((0, 0), self.dtype)
        else:
            (pivoted_cholesky,) = get_lapack_funcs(("pstrf",), (kernel,))
            factor, order, rank, _ = pivoted_cholesky(kernel.T, tol=tolerance, lower=True)
            pivots, factor = order[:rank] - 1, np.tril(factor[:rank, :rank])
        self._pivots = pivots
        self._factor = np.asfortranarray(factor)
        self.n_columns = len(pivots)
        self._coordinates = self._to_coordinates(kernel)

    def _centered(self, kernel: NDArray) -> NDArray:
        """Inner products with the subset's samples, both sides about the subset's mean."""
        means = kernel.mean(axis=1, dtype=np.float64)[:, None] + self._row_means - self._mean
        return kernel - means.astype(self.dtype)

    def _to_coordinates(self, centered: NDArray) -> NDArray:
        from scipy.linalg import solve_triangular

        if self.n_columns == 0:
            return np.zeros((len(centered), 0), self.dtype)
        solved = solve_triangular(self._factor, centered[:, self._pivots].T, lower=True, check_finite=False)
        return np.ascontiguousarray(solved.T)

    def product(self, coefficients: NDArray) -> NDArray:
        return self._coordinates @ coefficients

    def transposed_product(self, residuals: NDArray) -> NDArray:
        return self._coordinates.T @ residuals

    def gram(self) -> NDArray:
        return (self._coordinates.T @ self._coordinates) / self.dtype.type(len(self.rows))

    def combination(self, coefficients: NDArray) -> NDArray:
        """The matrix A of W = Xᵀ A, (n_rows, n_classes); its columns sum to zero."""
        from scipy.linalg import solve_triangular

        shares = np.zeros((len(self.rows), coefficients.shape[1]), self.dtype)
        if self.n_columns:
            shares[self._pivots] = solve_triangular(
                self._factor, coefficients[:-1], lower=True, trans="T", check_finite=False
            )
        return shares - shares.mean(axis=0)

    def mean_logits(self, shares: NDArray) -> NDArray:
        """Contribution of the samples' mean to the logits, (n_classes,), which centered coordinates leave out."""
        return (self._row_means @ shares).astype(self.dtype)

    def logits(self, kernel: NDArray, coefficients: NDArray) -> NDArray:
        """Logits of samples with these inner products with `rows`, (n_others, len(rows))."""
        return self._centered(kernel) @ self.combination(coefficients) + coefficients[-1]
