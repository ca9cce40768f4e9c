"""Logistic regression in the span of the samples, for more features than samples.

The optimal weights are combinations of the samples: W = Xᵀ A. With K = X Xᵀ and its Cholesky factorization K = P Pᵀ,
the rows of P (n × n) are coordinates of the samples in an orthonormal basis of their span. Penalty and logits are the
same in these coordinates as for the d features. The n × d features are read once, to compute K; the kernel of a subset
of the samples is a submatrix of K.

The factorization is pivoted: each new column belongs to the sample that is farthest from the span of those before it.
The first columns therefore hold most of the variance. They are rotated to their principal axes, in which XᵀX is
diagonal, so that the solver's preconditioner is a division.
"""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.recognition.feature_space import Standardization
from striate.recognition.gaussian_kernel import GaussianKernel

__all__ = ["SampleCoordinates", "SampleSpace", "squared_norms", "standardized_products"]

_COLUMNS = 4096  # of features that are standardized at a time
_AXES = 1_500  # columns that are rotated to principal axes at most, which takes some 10 r³ flops
_LEADING = 1_000  # columns that folds use at least, and else so many that
_LEFT_OUT = 0.05  # no sample loses more than this share of the mean squared norm
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


def squared_norms(standardization: Standardization, samples: NDArray) -> NDArray:
    """Squared norms of standardized samples, (n_samples,), in blocks of columns like `standardized_products`."""
    squares = np.zeros(len(samples), standardization.dtype)
    for start in range(0, samples.shape[1], _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        block = standardization.apply(samples[:, columns], columns)
        squares += np.einsum("ij,ij->i", block, block)
    return squares


class SampleSpace:
    """Inner products of samples, from which problems on any subset of them are solved exactly.

    Parameters
    ----------
    features : float16, float32 or float64 (n_samples, n_features)
        An array or a memory map, read in blocks of columns.
    standardization : Standardization, optional
        By default that of all `features`. A problem on a subset, such as a fold of cross-validation, is standardized
        with the statistics of all samples. These do not use labels, and only means and scales of features are shared.
    width : float, optional
        Problems are then those of a Gaussian kernel of this width, relative to the median distance of their samples.

    Attributes
    ----------
    kernel : (n_samples, n_samples), float32, or float64 for float64 features
        Inner products of the standardized samples.
    squares : (n_samples,)
        Their squared norms.
    axes : float16 (n_features, n_axes) or None
        Of samples that were `projected`.

    Notes
    -----
    The kernel takes n² d flops and a factorization n³/3. For 3,060 samples of 43,264 features these are 405 Gflop, and
    37 MB of memory instead of 530 MB. Memory: the kernel, and the coordinates of the samples in use.
    """

    def __init__(
        self, features: NDArray, standardization: Standardization | None = None, *, width: float | None = None
    ) -> None:
        self.width = width
        self.standardization = standardization or Standardization(features)
        self.dtype = self.standardization.dtype
        self.n_samples, self.n_features = features.shape
        self._features = features
        self.kernel = self.kernel_with(None)
        self.squares = self.kernel.diagonal().copy()
        self.axes: NDArray | None = None

    def kernel_with(self, features: NDArray | None) -> NDArray:
        """Inner products with other samples, (n_others, n_samples); with None, of the samples with themselves."""
        if features is not None and features.shape[1] != self.n_features:
            raise UsageError(f"features have {features.shape[1]} columns, but those of training had {self.n_features}")
        return standardized_products(self.standardization, self._features, features)

    def with_width(self, width: float | None) -> SampleSpace:
        """The same samples with a Gaussian kernel of another width, or the linear one; inner products are shared."""
        result = copy(self)
        result.width = width
        return result

    def kernel_of(self, rows: NDArray[np.integer]) -> tuple[NDArray, GaussianKernel | None]:
        """The kernel of the samples `rows`, a new array, and its Gaussian kernel unless it is the linear one."""
        kernel = self.kernel[np.ix_(rows, rows)]
        if self.width is None:
            return kernel, None
        squares = self.squares[rows]
        gaussian = GaussianKernel.of_samples(kernel, squares, self.width)
        return gaussian.of(kernel, squares, squares), gaussian

    def coordinates(self, rows: NDArray[np.integer]) -> SampleCoordinates:
        """The samples `rows`, in coordinates of their span."""
        return SampleCoordinates(*self.kernel_of(rows))

    def projected(self, n_axes: int) -> SampleSpace:
        """The same samples, whose inner products are those of their projections to the first principal axes.

        Squared norms are kept: the distance of two samples is then that of their projections and of what is left of
        each, as if the rests were orthogonal.
        """
        of_samples = self.with_width(None).coordinates(np.arange(self.n_samples))
        n_axes = min(n_axes, of_samples.n_columns)
        coefficients = np.eye(of_samples.n_columns + 1, n_axes, dtype=self.dtype)
        coefficients[-1] = 0
        result = copy(self)
        result.axes = self.to_features(of_samples.combination(coefficients))[:-1].astype(np.float16)
        projections = np.zeros((self.n_samples, n_axes), self.dtype)
        for start in range(0, self.n_features, _COLUMNS):
            columns = slice(start, min(start + _COLUMNS, self.n_features))
            standardized = self.standardization.apply(self._features[:, columns], columns)
            projections += standardized @ result.axes[columns].astype(self.dtype)
        result.kernel = projections @ projections.T
        return result

    def to_features(self, combination: NDArray) -> NDArray:
        """W and the intercept of standardized features, (n_columns + 1, n_classes).

        Parameters
        ----------
        combination : (n_samples + 1, n_classes)
            The matrix A of W = Xᵀ A, and the intercept in the last row.
        """
        result = np.empty((self.standardization.n_columns + 1, combination.shape[1]), self.dtype)
        of_features = result[:-1].reshape(
            -1, self.n_features, combination.shape[1]
        )  # one part, or two where they are split
        for start in range(0, self.n_features, _COLUMNS):
            columns = slice(start, min(start + _COLUMNS, self.n_features))
            weights = self.standardization.apply(self._features[:, columns], columns).T @ combination[:-1]
            of_features[:, columns] = weights.reshape(len(of_features), -1, combination.shape[1])
        result[-1] = combination[-1]
        return result


class SampleCoordinates:
    """Samples in an orthonormal basis of their span, about their mean; a `Space` for `cross_validate` and `solve`.

    Centering only shifts the logits by a constant, which the unpenalized intercept adds again: the optimum is the same.
    Samples that are linearly dependent on others (duplicates, few features) add no coordinate.

    Parameters
    ----------
    kernel : float32 or float64 (n_samples, n_samples)
        Inner products of the samples, or a Gaussian kernel; the array is overwritten.
    gaussian : GaussianKernel, optional
        The kernel, unless it is the linear one.

    Notes
    -----
    A design of all samples has all columns: its optimum is that of the features. A design of a part of the samples,
    as in cross-validation, has the first 1,000 columns, or so many that no sample loses more than 5 % of the mean
    squared norm. Features of 4,000 digits keep half of the columns, and held-out losses change by 1 to 2 %. A bound on
    the mean loss of all samples would not do: where samples are nearly orthogonal, it leaves out all of some samples.
    """

    def __init__(self, kernel: NDArray, gaussian: GaussianKernel | None = None) -> None:
        from scipy.linalg.lapack import get_lapack_funcs

        self.gaussian = gaussian
        self.n_samples = len(kernel)
        self.dtype = kernel.dtype
        self._row_means = kernel.mean(axis=1, dtype=np.float64)
        self._mean = self._row_means.mean()
        kernel -= (self._row_means[:, None] + self._row_means - self._mean).astype(self.dtype)
        largest = float(kernel.diagonal().max())
        if largest <= 0:  # all samples are the same
            self._pivots, factor = np.zeros(0, np.intp), np.zeros((self.n_samples, 0), self.dtype)
        else:
            (pivoted_cholesky,) = get_lapack_funcs(("pstrf",), (kernel,))
            tolerance = _RANK_TOLERANCE * np.finfo(self.dtype).eps * largest
            factor, order, rank, _ = pivoted_cholesky(kernel.T, tol=tolerance, lower=True, overwrite_a=True)
            self._pivots = order[:rank] - 1
            lower = np.tril(np.ascontiguousarray(factor[:, :rank]))
            factor = np.empty((self.n_samples, rank), self.dtype)
            factor[order - 1] = lower
        self.n_columns = factor.shape[1]
        self._factor = factor[self._pivots]
        self._rotate(factor)

    def _rotate(self, factor: NDArray) -> None:
        from scipy.linalg import eigh

        # A pivot is the distance of its sample, then the farthest, from the span of those before it.
        squares = np.einsum("ij,ij->i", factor, factor, dtype=np.float64)
        n_needed = int(np.sum(self._factor.diagonal() ** 2 > _LEFT_OUT * squares.mean()))
        self._n_leading = min(self.n_columns, max(n_needed, _LEADING))
        n_axes = min(self._n_leading, _AXES)
        self._axes = np.zeros((0, 0), self.dtype)
        if n_axes:
            first = np.ascontiguousarray(factor[:, :n_axes])
            _, axes = eigh(first.T @ first, driver="evd", overwrite_a=True, check_finite=False)
            self._axes = np.ascontiguousarray(axes[:, ::-1])
            factor[:, :n_axes] = first @ self._axes
        self._coordinates = factor
        self._gram = np.einsum("ij,ij->j", factor, factor) / self.dtype.type(self.n_samples)

    def design(self, rows: NDArray[np.integer]) -> _Rows:
        """Some of the samples; all of them in the space's order."""
        if len(rows) == self.n_samples:
            return _Rows(self._coordinates, np.arange(self.n_samples), self._gram)
        n = self._n_leading
        return _Rows(self._coordinates[rows, :n], rows, self._gram[:n])

    def logits(self, design: _Rows, coefficients: NDArray, rows: NDArray[np.integer]) -> NDArray:
        """Logits of other samples, (len(rows), n_classes)."""
        return self._coordinates[rows, : design.n_columns] @ coefficients[:-1] + coefficients[-1]

    def spread(self, design: _Rows, coefficients: NDArray) -> NDArray:
        """Coefficients for all columns, (n_columns + 1, n_classes)."""
        result = np.zeros((self.n_columns + 1, coefficients.shape[1]), self.dtype)
        result[: design.n_columns] = coefficients[:-1]
        result[-1] = coefficients[-1]
        return result

    def gather(self, design: _Rows, spread: NDArray) -> NDArray:
        """Coefficients for the columns of a design."""
        return np.vstack([spread[: design.n_columns], spread[-1:]])

    def combination(self, coefficients: NDArray) -> NDArray:
        """The matrix A of W = Xᵀ A, whose columns sum to zero, and the intercept, (n_samples + 1, n_classes).

        Parameters
        ----------
        coefficients : (n_columns + 1, n_classes)
        """
        from scipy.linalg import solve_triangular

        shares = np.zeros((self.n_samples, coefficients.shape[1]), self.dtype)
        if self.n_columns:
            n_axes = len(self._axes)
            unrotated = np.vstack([self._axes @ coefficients[:n_axes], coefficients[n_axes:-1]])
            shares[self._pivots] = solve_triangular(self._factor.T, unrotated, lower=False, check_finite=False)
        shares -= shares.mean(axis=0)
        # The logits of centered samples leave out what the mean contributes.
        intercept = coefficients[-1] - (self._row_means @ shares).astype(self.dtype)
        return np.vstack([shares, intercept])


class _Rows:
    """Rows of the coordinates: a `Design` whose Gram matrix is nearly diagonal."""

    def __init__(self, coordinates: NDArray, rows: NDArray[np.integer], gram: NDArray) -> None:
        self.rows = rows
        self.n_columns = coordinates.shape[1]
        self.dtype = coordinates.dtype
        self.weights = np.full(len(rows), 1 / len(rows))
        self._coordinates = np.ascontiguousarray(coordinates)
        self._gram = gram

    def product(self, coefficients: NDArray) -> NDArray:
        return self._coordinates @ coefficients

    def transposed_product(self, residuals: NDArray) -> NDArray:
        return self._coordinates.T @ residuals

    def gram(self) -> NDArray:
        """The diagonal of XᵀX / n over all samples of the space."""
        return self._gram
