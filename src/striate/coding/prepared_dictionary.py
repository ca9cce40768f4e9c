"""A dictionary with its Gram matrix and norms, computed once for all solvers."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.eigenvalue import largest_eigenvalue
from striate.errors import UsageError
from striate.samples import float_type, is_sparse, kernel_array
from striate.threads import in_threads

__all__ = ["Arrays", "PreparedDictionary", "as_prepared"]


def as_prepared(dictionary: ArrayLike | PreparedDictionary) -> PreparedDictionary:
    """The dictionary, prepared if it is not yet."""
    return dictionary if isinstance(dictionary, PreparedDictionary) else PreparedDictionary(dictionary)


class PreparedDictionary:
    """A dictionary whose Gram matrix, norms and largest eigenvalue are computed at first use and kept.

    `infer` takes it in place of an array. Prepare a dictionary when it codes more than one batch of signals: for
    signals that come one by one, most of the time would otherwise go into its Gram matrix.

    Parameters
    ----------
    components : float (n_components, n_features)
        One unit per row, of any norm. Integers become float64, float16 float32. It is copied and never changes.

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
        if is_sparse(components):
            raise UsageError(
                "the dictionary is a sparse matrix, and a dense array is needed: give dictionary.toarray()"
            )
        try:
            array = np.asarray(components)
        except ValueError:
            raise UsageError("the dictionary is no table of numbers: give rows of one length") from None
        if array.ndim != 2 or 0 in array.shape:
            raise UsageError(f"a dictionary is an array (n_components, n_features), not one of shape {array.shape}")
        if array.dtype.kind not in "fiub":
            raise UsageError(f"a dictionary holds real numbers, not {array.dtype}")
        array = np.array(array, dtype=float_type(array.dtype), order="C", subok=False)
        if not np.isfinite(array).all():
            unit = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
            raise UsageError(f"the dictionary holds NaN or infinity, first in unit {unit}")
        array.flags.writeable = False
        self.components: NDArray[Any] = array
        self.n_components, self.n_features = array.shape
        self._arrays: dict[tuple[np.dtype, float], Arrays] = {}

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self.components.dtype

    @cached_property
    def squared_norms(self) -> NDArray[np.float64]:
        """Squared norms of the units, (n_components,)."""
        return np.einsum("ij,ij->i", self.components, self.components, dtype=np.float64)

    @cached_property
    def magnitudes(self) -> NDArray[np.float64]:
        """The largest magnitude in each unit, (n_components,)."""
        return np.asarray(np.abs(self.components).max(axis=1), np.float64)

    @cached_property
    def extent(self) -> tuple[float, float]:
        """The smallest magnitude of a unit that is not 0, and the largest; 1 and 1 where all units are 0."""
        some = self.magnitudes[self.magnitudes > 0]
        return (float(some.min()), float(some.max())) if len(some) else (1.0, 1.0)

    @property
    def gram(self) -> NDArray[Any]:
        """Products of the units with each other, (n_components, n_components), in the dictionary's dtype."""
        return self.arrays(self.dtype).gram

    @cached_property
    def largest_eigenvalue(self) -> float:
        """The largest eigenvalue of the Gram matrix: the curvature that limits the step of a gradient method."""
        # D Dᵀ and Dᵀ D have the same one; the smaller matrix is used.
        if self.n_features < self.n_components:
            wide = self.components.astype(np.float64)
            return largest_eigenvalue(wide.T @ wide)
        return largest_eigenvalue(self.gram)

    def arrays(self, dtype: np.dtype, l2: float = 0.0) -> Arrays:
        """The arrays that solvers compute with, in float32 or float64; `l2` is added to the Gram matrix's diagonal."""
        found = self._arrays.get((dtype, l2))
        if found is None:
            found = self._arrays[dtype, l2] = Arrays(self.components.astype(dtype, copy=False), l2)
        return found

    def __repr__(self) -> str:
        return f"PreparedDictionary({self.n_components} units of {self.n_features} features, {self.dtype})"


class Arrays:
    """A dictionary's arrays in one dtype; one number, or one per unit, is added to the Gram matrix's diagonal."""

    def __init__(self, components: NDArray[Any], l2: float | NDArray[np.float64] = 0.0) -> None:
        self.components = kernel_array(components)
        self.dtype = components.dtype
        self.l2 = l2

    @property
    def capacity(self) -> int:
        """The largest number of units that can be active together, which is that of independent units."""
        n_units, n_features = self.components.shape
        return min(n_units, n_features) if np.max(self.l2) == 0 else n_units

    @cached_property
    def gram(self) -> NDArray[Any]:
        """(n_components, n_components), C-contiguous."""
        return np.ascontiguousarray(self.padded_gram[:, : len(self.components)])

    @cached_property
    def padded_gram(self) -> NDArray[Any]:
        """The Gram matrix with zeros to whole vectors, (n_components, multiple of 16)."""
        from striate.kernels.simd import padded

        n_units = len(self.components)
        gram = np.ascontiguousarray(self._products(self.components)[:, : padded(n_units)])
        if np.max(self.l2) > 0:
            gram.reshape(-1)[:: gram.shape[1] + 1] += np.broadcast_to(self.l2, n_units).astype(self.dtype)
        return gram

    def correlations(self, signals: NDArray[Any]) -> NDArray[Any]:
        """Signals (n, n_features) times all units, (n, n_components): the same bits with any number of threads."""
        return np.ascontiguousarray(self._products(signals)[:, : len(self.components)])

    def _products(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Rows times all units, padded with zeros; the product of the units themselves is symmetric to the bit."""
        from striate.kernels.products import compile_products

        n, n_features = rows.shape
        n_panels, _, width = self.panels.shape
        products = np.empty((n, n_panels * width), self.dtype)
        multiply = compile_products(self.dtype)
        rows, panels = kernel_array(rows), kernel_array(self.panels)
        in_threads(lambda first, last: multiply(first, last, rows, panels, products), n, n_panels * width * n_features)
        return products

    @cached_property
    def squared_norms(self) -> NDArray[Any]:
        """The diagonal of the Gram matrix, (n_components,)."""
        return np.array(self.padded_gram.diagonal())

    @cached_property
    def panels(self) -> NDArray[Any]:
        """The dictionary in the product kernel's layout, (n_panels, n_features, units per panel), zero-padded."""
        from striate.kernels.products import as_panels

        return as_panels(self.components)
