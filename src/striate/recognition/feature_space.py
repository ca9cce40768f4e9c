"""Standardized features, and logistic regression on them when there are more samples than features."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.samples import is_sparse

__all__ = ["DenseBlocks", "FeatureSpace", "Standardization"]

_BLOCK_BYTES = 32 * 2**20  # of standardized features in memory at a time; enough for fast matrix products
_RESIDENT_BYTES = 256 * 2**20  # features up to this size are standardized once and kept
_LARGEST_GRAM = 10_000  # columns; above, 400 MB for the Gram matrix and another 400 MB for its factor are too much


class DenseBlocks:
    """A sparse matrix whose rows or columns are returned as dense arrays, like a memory map of the dense matrix.

    Parameters
    ----------
    matrix : SciPy sparse matrix or array (n_rows, n_columns)
    """

    def __init__(self, matrix: Any) -> None:
        self._rows = matrix.tocsr()
        self._columns: Any = None
        self.shape: tuple[int, int] = matrix.shape
        self.dtype: np.dtype = matrix.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray:
        """Rows, or all rows and some columns, as a dense array."""
        if isinstance(index, tuple):
            if self._columns is None:
                self._columns = self._rows.tocsc()
            return np.ascontiguousarray(self._columns[:, index[1]].toarray())
        return np.ascontiguousarray(self._rows[index].toarray())


def as_features(features: Any, name: str) -> Any:
    """Features in a form for `Standardization`: an array or memory map of float16, float32 or float64, or DenseBlocks.

    Raises
    ------
    UsageError
        For anything that is not a table of real numbers.
    """
    if isinstance(features, DenseBlocks):
        return features
    array = features if is_sparse(features) else np.asarray(features)
    if len(array.shape) != 2 or array.dtype.kind not in "fiub":
        raise UsageError(
            f"{name} are {array.dtype} of shape {array.shape}, but real numbers (n_samples, n_features) are needed"
        )
    if array.dtype.newbyteorder("=") not in (np.float16, np.float32, np.float64):
        array = array.astype(np.float64)
    return DenseBlocks(array) if is_sparse(array) else array


class Standardization:
    """Mean and standard deviation of each feature; blocks of standardized features z, or of max(z, 0) and max(−z, 0).

    Parameters
    ----------
    features : float16, float32 or float64 (n_samples, n_features)
        An array or a memory map; it is read in blocks of rows.
    scale : bool or "together"
        True: divide each feature by its standard deviation. "together": divide all features by one number, the root
        of the mean variance. False: only center, which does not change the optimum and helps the solver.
    split : bool
        Two columns per feature: how far it is above its mean, and how far below.

    Attributes
    ----------
    mean, scale : float64 (n_features,)
        A feature that is constant up to rounding, or to the smallest normal number, has scale 1 and gets no weight.
    n_columns : int
        Number of columns after standardization: the number of features, or twice that with `split`.
    dtype : float32, or float64 for float64 features

    Raises
    ------
    UsageError
        If a feature is NaN or infinite; if features are so large that their differences overflow, or, without division,
        their squares; and if all features are subnormal numbers.
    """

    def __init__(self, features: NDArray, *, scale: bool | Literal["together"] = True, split: bool = False) -> None:
        n_samples, n_features = features.shape
        self.split = split
        self.n_columns = 2 * n_features if split else n_features
        self.dtype = np.dtype(np.float64 if features.dtype == np.float64 else np.float32)
        self.mean = np.zeros(n_features)
        squares = np.zeros(n_features)
        seen = 0
        for rows in row_blocks(n_samples, n_features):
            block = features[rows].astype(self.dtype, copy=False)
            n_new = len(block)
            with np.errstate(invalid="ignore", over="ignore"):  # an error is raised below
                mean = block.mean(axis=0, dtype=np.float64)
            if not np.isfinite(mean).all():
                raise non_finite(int(rows.start), block)
            # Chan, Golub, LeVeque: merge the moments of two groups without cancellation.
            shift = mean - self.mean
            with np.errstate(over="ignore", invalid="ignore"):
                centered = block - mean.astype(self.dtype)
                squares += np.einsum("ij,ij->j", centered, centered)
                squares += shift**2 * (seen * n_new / (seen + n_new))
            self.mean += shift * (n_new / (seen + n_new))
            seen += n_new
        deviation = np.sqrt(squares / n_samples)
        limits = np.finfo(self.dtype.type)
        extreme = np.flatnonzero(~((float(limits.tiny / limits.eps) < squares) & (squares < np.inf)))
        if len(extreme):
            deviation[extreme] = self._rescaled_deviation(features, extreme)
        # The mean of n equal values is off by as much as n roundings in double precision.
        rounding = 10 * float(np.finfo(self.dtype.type).eps) + n_samples * float(np.finfo(np.float64).eps)
        varies = deviation > rounding * np.abs(self.mean)
        if varies.any() and not deviation[varies].max() > limits.tiny:
            raise UsageError(f"features X are so small that {self.dtype} holds few digits of them; scale them up")
        varies &= deviation > limits.tiny  # weights of other features would be infinite
        if scale == "together":
            exponent = int(np.frexp(deviation[varies].max(initial=0))[1])  # scaling by a power of two is exact
            mean_square = np.mean(np.ldexp(deviation[varies], -exponent) ** 2) if varies.any() else 1.0
            deviation = np.full(n_features, np.ldexp(np.sqrt(mean_square), exponent))
        self.scale = np.where(varies, deviation, 1.0) if scale else np.ones(n_features)
        if not scale and not float(deviation.max(initial=0)) < float(np.sqrt(limits.max / n_samples)):
            raise UsageError("features X are so large that their squares are infinity; scale them down, or standardize")

    def _rescaled_deviation(self, features: NDArray, columns: NDArray[np.integer]) -> NDArray[np.float64]:
        """The standard deviations of features whose squares overflow or vanish; 0 for constant ones."""
        blocks = [(rows, self.mean[columns]) for rows in row_blocks(*features.shape)]
        largest = np.zeros(len(columns))
        for rows, mean in blocks:
            largest = np.maximum(largest, np.abs(features[rows][:, columns].astype(np.float64) - mean).max(axis=0))
        if not (largest < np.finfo(self.dtype.type).max).all():
            raise UsageError("features X are so large that their differences are infinity; scale them down")
        of_columns = np.frexp(largest)[1]
        squares = np.zeros(len(columns))
        for rows, mean in blocks:
            scaled = np.ldexp(features[rows][:, columns].astype(np.float64) - mean, -of_columns)
            squares += np.einsum("ij,ij->j", scaled, scaled)
        return np.asarray(np.ldexp(np.sqrt(squares / len(features)), of_columns))

    def apply(self, features: NDArray, columns: slice = slice(None)) -> NDArray:
        """Standardized features, a new array of `dtype`; `features` holds only the columns `columns`.

        With `split`, the columns for values above the mean come first, then those for values below.
        """
        result = np.subtract(features, self.mean[columns].astype(self.dtype), dtype=self.dtype)
        result /= self.scale[columns].astype(self.dtype)
        return split_signs(result) if self.split else result


def split_signs(centered: NDArray) -> NDArray:
    """max(z, 0) and max(−z, 0), (n, 2 d), of z (n, d)."""
    n_features = centered.shape[1]
    result = np.empty((len(centered), 2 * n_features), centered.dtype)
    np.maximum(centered, 0, out=result[:, :n_features])
    np.subtract(result[:, :n_features], centered, out=result[:, n_features:])
    return result


def row_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices that together cover all rows, each of about 32 MB in single precision."""
    size = max(1, _BLOCK_BYTES // (4 * max(n_columns, 1)))
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def non_finite(first_row: int, block: NDArray) -> UsageError:
    """The error that names the first sample with NaN or infinity; also raised in prediction."""
    rows, columns = np.nonzero(~np.isfinite(block))
    if len(rows) == 0:  # only the sum has overflowed
        return UsageError("features X are so large that their sum is infinity; scale them down")
    kind = "NaN" if np.isnan(block[rows[0], columns[0]]) else "infinity"
    return UsageError(
        f"features X contain {kind} (sample {first_row + rows[0]}, feature {columns[0]}); remove the sample"
    )


class FeatureSpace:
    """Problems whose coordinates are the standardized features themselves.

    Features of at most 256 MB are standardized once; larger ones are read again for every product.

    Parameters
    ----------
    features : float16, float32 or float64 (n_samples, n_features)
    standardization : Standardization
    """

    def __init__(self, features: NDArray, standardization: Standardization) -> None:
        self.standardization = standardization
        self.dtype = standardization.dtype
        self.n_samples, self.n_columns = len(features), standardization.n_columns
        self._features = features
        self._resident: NDArray | None = None
        if self.n_samples * self.n_columns * self.dtype.itemsize <= _RESIDENT_BYTES:
            self._resident = standardization.apply(features[:])
        self._gram: NDArray | None = None
        self._gram_lock = threading.Lock()  # folds run in threads

    def design(self, rows: NDArray[np.integer]) -> _Resident | _Streamed:
        """The training samples `rows`, in the form that the solver uses."""
        if self._resident is not None:
            return _Resident(self._resident, rows)
        return _Streamed(self, rows)

    def logits(self, design: object, coefficients: NDArray, rows: NDArray[np.integer]) -> NDArray:
        """Logits of other samples, (len(rows), n_classes); `design` is not needed here."""
        if self._resident is not None:
            return self._resident[rows] @ coefficients[:-1] + coefficients[-1]
        return (self.product(coefficients[:-1]) + coefficients[-1])[rows]

    def spread(self, design: object, coefficients: NDArray) -> NDArray:
        """Coefficients in coordinates that all subsets share; here they are unchanged."""
        return coefficients

    def gather(self, design: object, spread: NDArray) -> NDArray:
        """The inverse of `spread`."""
        return spread

    def blocks(self) -> Iterator[tuple[slice, NDArray]]:
        """Rows and their standardized features."""
        for rows in row_blocks(self.n_samples, self.n_columns):
            yield rows, self.standardization.apply(self._features[rows])

    def product(self, coefficients: NDArray) -> NDArray:
        """X W over all samples."""
        result = np.empty((self.n_samples, coefficients.shape[1]), self.dtype)
        for rows, block in self.blocks():
            np.matmul(block, coefficients, out=result[rows])
        return result

    def gram(self) -> NDArray | None:
        """XᵀX / n over all samples, computed once."""
        with self._gram_lock:
            if self._gram is None and self.n_columns <= _LARGEST_GRAM:
                self._gram = np.zeros((self.n_columns, self.n_columns), self.dtype)
                for _, block in self.blocks():
                    self._gram += block.T @ block
                self._gram /= self.n_samples
            return self._gram


class _Resident:
    """Rows of an array that is in memory."""

    def __init__(self, features: NDArray, rows: NDArray[np.integer]) -> None:
        self.rows = rows
        self._features = features[rows]
        self.n_columns = features.shape[1]
        self.dtype = features.dtype
        self.weights = np.full(len(rows), 1 / len(rows))

    def product(self, coefficients: NDArray) -> NDArray:
        return self._features @ coefficients

    def transposed_product(self, residuals: NDArray) -> NDArray:
        return self._features.T @ residuals

    def gram(self) -> NDArray | None:
        if self.n_columns > _LARGEST_GRAM:
            return None
        return (self._features.T @ self._features) / self.dtype.type(len(self.rows))


class _Streamed:
    """All samples in their order on disk; samples that are not trained on have weight 0."""

    def __init__(self, space: FeatureSpace, rows: NDArray[np.integer]) -> None:
        self._space = space
        self.rows = np.arange(space.n_samples)
        self.n_columns = space.n_columns
        self.dtype = space.dtype
        self.weights = np.zeros(space.n_samples)
        self.weights[rows] = 1 / len(rows)

    def product(self, coefficients: NDArray) -> NDArray:
        return self._space.product(coefficients)

    def transposed_product(self, residuals: NDArray) -> NDArray:
        result = np.zeros((self.n_columns, residuals.shape[1]), self.dtype)
        for rows, block in self._space.blocks():
            result += block.T @ residuals[rows]
        return result

    def gram(self) -> NDArray | None:
        # The Gram matrix of all samples, not only the training samples: a preconditioner that serves every split.
        return self._space.gram()
