"""A dictionary and what all solvers ask of it, computed once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.eigenvalue import largest_eigenvalue
from striate.errors import UsageError
from striate.threads import in_threads

__all__ = ["PreparedDictionary"]


class PreparedDictionary:
    """A dictionary whose Gram matrix, norms and largest eigenvalue are computed when first asked for, and kept.

    `infer` takes it in place of an array. Prepare a dictionary when it codes more than one batch of signals: for
    signals that come one by one, most of the time would otherwise go into its Gram matrix.

    Parameters
    ----------
    components : float (n_components, n_features)
        A unit a row, of any norm. Integers become float64; float16 becomes float32. It is copied, and never changes.

    Attributes
    ----------
    components : ndarray (n_components, n_features), read-only
    n_components, n_features : int

    Raises
    ------
    UsageError
        For an array that is not two-dimensional, is empty, or holds NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import PreparedDictionary, infer
    >>> dictionary = PreparedDictionary(np.eye(3))
    >>> infer(np.array([[2.0, 0.5, -3.0]]), dictionary, sparsity=1.0)
    array([[ 1.,  0., -2.]])
    """

    def __init__(self, components: ArrayLike) -> None:
        array = np.asarray(components)
        if array.ndim != 2 or 0 in array.shape:
            raise UsageError(f"a dictionary is an array (n_components, n_features), not one of shape {array.shape}")
        if array.dtype.kind not in "fiub":
            raise UsageError(f"a dictionary holds real numbers, not {array.dtype}")
        dtype = np.dtype(np.float32 if array.dtype in (np.float16, np.float32) else np.float64)
        array = np.array(array, dtype=dtype, order="C")
        if not np.isfinite(array).all():
            unit = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
            raise UsageError(f"the dictionary holds NaN or infinity, first in unit {unit}")
        array.flags.writeable = False
        self.components: NDArray[Any] = array
        self.n_components, self.n_features = array.shape
        self._of_dtype: dict[np.dtype, _Arrays] = {}

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self.components.dtype

    @cached_property
    def squared_norms(self) -> NDArray[np.float64]:
        """Of the units, (n_components,)."""
        return np.einsum("ij,ij->i", self.components, self.components, dtype=np.float64)

    @cached_property
    def magnitude(self) -> float:
        """Of the largest number in it."""
        return float(np.abs(self.components).max())

    @property
    def gram(self) -> NDArray[Any]:
        """Products of the units with each other, (n_components, n_components), in the dictionary's dtype."""
        return self.arrays(self.dtype).gram

    @cached_property
    def largest_eigenvalue(self) -> float:
        """Of the Gram matrix: the curvature that limits the step of a gradient method."""
        # The smaller of D Dᵀ and Dᵀ D has the same.
        if self.n_features < self.n_components:
            wide = self.components.astype(np.float64)
            return largest_eigenvalue(wide.T @ wide)
        return largest_eigenvalue(self.gram)

    def arrays(self, dtype: np.dtype) -> _Arrays:
        """What the solvers compute with, in float32 or float64."""
        found = self._of_dtype.get(dtype)
        if found is None:
            found = self._of_dtype[dtype] = _Arrays(self.components.astype(dtype, copy=False))
        return found

    def __repr__(self) -> str:
        return f"PreparedDictionary({self.n_components} units of {self.n_features} features, {self.dtype})"


class _Arrays:
    """A dictionary's arrays in one dtype."""

    def __init__(self, components: NDArray[Any]) -> None:
        self.components = components
        self.dtype = components.dtype

    @cached_property
    def gram(self) -> NDArray[Any]:
        """(n_components, n_components), C-contiguous."""
        return np.ascontiguousarray(self.padded_gram[:, : len(self.components)])

    @cached_property
    def padded_gram(self) -> NDArray[Any]:
        """The Gram matrix with zeros to whole vectors, (n_components, multiple of 16)."""
        from striate.coding._simd import padded

        return np.ascontiguousarray(self._products(self.components)[:, : padded(len(self.components))])

    def correlations(self, signals: NDArray[Any]) -> NDArray[Any]:
        """Signals (n, n_features) times all units, (n, n_components): the same bits with any number of threads."""
        return np.ascontiguousarray(self._products(signals)[:, : len(self.components)])

    def _products(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Rows times all units, zeros behind; of the units themselves symmetric to the bit."""
        from striate.coding._products import compile_products

        n, n_features = rows.shape
        n_panels, _, width = self.panels.shape
        products = np.empty((n, n_panels * width), self.dtype)
        multiply = compile_products(self.dtype)
        rows = np.array(rows)  # the kernel is compiled for contiguous arrays that may be written to
        in_threads(
            lambda first, last: multiply(first, last, rows, self.panels, products), n, n_panels * width * n_features
        )
        return products

    @cached_property
    def squared_norms(self) -> NDArray[Any]:
        return np.array(self.padded_gram.diagonal())

    @cached_property
    def panels(self) -> NDArray[Any]:
        """The dictionary as the product kernel reads it, (n_panels, n_features, units a panel), padded with zeros."""
        from striate.coding._products import as_panels

        return as_panels(self.components)
