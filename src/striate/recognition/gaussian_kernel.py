"""The Gaussian kernel of standardized features, and its values between new samples and those of training.

    k(x, y) = scale · exp(−‖x − y‖² / (2 · variance))

where the distance is that of standardized features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from striate.model_file import ModelFileError
from striate.parameters import Real
from striate.recognition.feature_space import Standardization, non_finite, row_blocks
from striate.stored import array, field

__all__ = ["GaussianKernel", "GaussianMap", "n_axes_of_map"]

# Numbers that a map holds at most: 40 MB in half precision in a file, and 80 MB in memory, which a prediction reads in
# about 10 ms.
_LARGEST = 20_000_000
_MEDIAN_OF = 1_000  # samples, evenly spread, whose distances give the median


def n_axes_of_map(n_samples: int, n_features: int) -> int | None:
    """The number of principal axes that samples have to be projected to for a `GaussianMap`; None if they fit."""
    return None if n_samples * n_features <= _LARGEST else max(1, _LARGEST // (n_samples + n_features))


@dataclass(frozen=True)
class GaussianKernel:
    """A Gaussian kernel.

    Attributes
    ----------
    variance : float
        The square of the width.
    scale : float
        The value at distance 0.
    """

    variance: float
    scale: float

    @classmethod
    def of_samples(cls, products: NDArray, squares: NDArray, width: float) -> Self:
        """The kernel whose width is `width` times the median distance of samples.

        They are given by their inner products (n, n) and squared norms (n,).

        Its scale is the mean squared norm of the samples about their mean, so that one weight decay suits both this
        kernel and the linear one, which it approaches for large widths, up to the factor scale/variance.
        """
        some = slice(None, None, -(-len(products) // _MEDIAN_OF))
        distances = squares[some, None] + squares[some] - 2 * products[some, some]
        distances = distances[np.triu_indices(len(distances), 1)]
        # Where most samples are the same, the median of the others' distances is what counts.
        distances = distances[distances > 1e-6 * squares.max(initial=0)]
        median = float(np.median(distances)) if len(distances) else 1.0
        scale = float(squares.mean(dtype=np.float64) - products.mean(dtype=np.float64))
        return cls(width**2 * median, max(scale, 0.0))

    def of(self, products: NDArray, own: NDArray, others: NDArray) -> NDArray:
        """The kernel of samples, from their inner products (n_others, n_own) and squared norms.

        The array is overwritten.
        """
        kind = products.dtype.type
        products *= 2
        products -= others[:, None]
        products -= own
        np.minimum(products, 0, out=products)  # minus the squared distance, where rounding may have left the sign
        products *= kind(1 / (2 * self.variance))
        np.exp(products, out=products)
        products *= kind(self.scale)
        return products


class GaussianMap:
    """The kernel of new samples with the training samples.

    Standardized training samples are kept as they are up to 40 MB, else in half precision. More than 20 million numbers
    are projected to so many principal axes that axes and samples are 20 million numbers. Squared norms are those before
    the projection, so that only inner products lose what is outside the axes. The fit uses the same projections, which
    therefore cost accuracy, but no calibration.

    Parameters
    ----------
    kernel : GaussianKernel
    arrays : dict of str to ndarray
        ``mean`` and ``factor`` (n_features,), by which features are standardized; ``samples``
        (n_samples, n_features), and ``squares`` (n_samples,), their squared norms; with projection ``axes``
        (n_features, n_axes) and ``samples`` (n_samples, n_axes).
    """

    def __init__(self, kernel: GaussianKernel, arrays: dict[str, NDArray]) -> None:
        self.kernel = kernel
        self.arrays = arrays
        self._cast: dict[np.dtype, dict[str, NDArray]] = {}

    @classmethod
    def of_samples(
        cls,
        kernel: GaussianKernel,
        features: NDArray,
        standardization: Standardization,
        axes: NDArray | None = None,
    ) -> Self:
        """The map of some training samples.

        Parameters
        ----------
        kernel : GaussianKernel
        features : (n_samples, n_features)
        standardization : Standardization
        axes : (n_features, n_axes), optional
            Orthonormal axes that standardized samples are projected to.
        """
        n_samples, n_features = features.shape
        dtype = standardization.dtype
        arrays = {"mean": standardization.mean.astype(dtype), "factor": (1 / standardization.scale).astype(dtype)}
        squares = np.empty(n_samples, dtype)
        is_small = n_samples * n_features * dtype.itemsize <= 2 * _LARGEST
        if axes is not None:
            arrays["axes"] = axes.astype(np.float16)
            axes, is_small = arrays["axes"].astype(dtype), False
        samples = np.empty(
            (n_samples, n_features if axes is None else axes.shape[1]), dtype if is_small else np.float16
        )
        for rows in row_blocks(n_samples, n_features):
            standardized = standardization.apply(features[rows])
            samples[rows] = standardized if axes is None else standardized @ axes
            exact = samples[rows].astype(dtype, copy=False) if axes is None else standardized
            squares[rows] = np.einsum("ij,ij->i", exact, exact)
        return cls(kernel, arrays | {"samples": samples, "squares": squares})

    @property
    def n_samples(self) -> int:
        """Number of training samples."""
        return len(self.arrays["samples"])

    @property
    def n_features(self) -> int:
        """Number of raw features."""
        return len(self.arrays["mean"])

    def product(self, features: Any, weights: NDArray) -> NDArray:
        """The kernel of samples (n, n_features) with those of training, times weights (n_samples, k), (n, k)."""
        result = np.empty((features.shape[0], weights.shape[1]), weights.dtype)
        for rows in row_blocks(features.shape[0], max(self.n_features, self.n_samples)):
            np.matmul(self.values(features[rows], weights.dtype, first_row=rows.start), weights, out=result[rows])
        return result

    def values(self, features: Any, dtype: np.dtype, *, first_row: int = 0) -> NDArray:
        """The kernel of samples (n, n_features) with those of training, (n, n_samples), all at once.

        Parameters
        ----------
        features : (n, n_features)
        dtype : numpy.dtype
            Of the computation.
        first_row : int
            The number of the first sample, for an error.
        """
        parts = self._in(dtype)
        block = np.asarray(features)
        with np.errstate(invalid="ignore", over="ignore"):  # refused just below
            standardized = block.astype(dtype, copy=False) - parts["mean"]
            standardized *= parts["factor"]
            squares = np.einsum("ij,ij->i", standardized, standardized)
        if not np.isfinite(squares).all():
            raise non_finite(first_row, block)
        if "axes" in parts:
            standardized = standardized @ parts["axes"]
        return self.kernel.of(standardized @ parts["samples"].T, parts["squares"], squares)

    def _in(self, dtype: np.dtype) -> dict[str, NDArray]:
        """The arrays in the precision of the computation, cast once."""
        if dtype not in self._cast:
            self._cast[dtype] = {name: part.astype(dtype, copy=False) for name, part in self.arrays.items()}
        return self._cast[dtype]

    def to_state(self) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Arrays and a JSON header, from which `from_state` makes an equal map."""
        return dict(self.arrays), {"variance": self.kernel.variance, "scale": self.kernel.scale}

    @classmethod
    def from_state(cls, arrays: Any, header: Any) -> Self:
        """The inverse of `to_state`."""
        kernel = GaussianKernel(field(header, "variance", Real(above=0)), field(header, "scale", Real(low=0)))
        types = ("float16", "float32", "float64")
        mean = array(arrays, "mean", (None,))
        found = {"mean": mean, "factor": array(arrays, "factor", (len(mean),))}
        n_columns = len(mean)
        if "axes" in arrays:
            found["axes"] = array(arrays, "axes", (len(mean), None), *types)
            n_columns = found["axes"].shape[1]
        found["samples"] = array(arrays, "samples", (None, n_columns), *types)
        found["squares"] = array(arrays, "squares", (len(found["samples"]),))
        if (found["squares"] < 0).any():
            raise ModelFileError("squares are squared norms of samples; none of them is negative")
        return cls(kernel, found)
