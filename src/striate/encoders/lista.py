"""LISTA: a few steps of ISTA with learned matrices, in place of many steps of ISTA."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.prepared_dictionary import PreparedDictionary, as_prepared
from striate.encoders._shrink import compile_add_and_shrink, compile_shrink
from striate.encoders._sparse_inhibition import SIGNALS, SparseInhibition
from striate.encoders._trainable import TrainableEncoder
from striate.encoders.shrinkage import first_step
from striate.errors import UsageError
from striate.kernels.simd import padded
from striate.parameters import Boolean, Integer, Real, Rule, checked, parameter

__all__ = ["LISTA"]

SPARSE_BELOW = 0.2  # density of the inhibition above which BLAS is as fast as the sparse kernel, or faster; measured


class LISTA(TrainableEncoder):
    """Predicts codes by `steps` shrinkages, between which units inhibit each other.

    With We, S and θ for filters, inhibition and thresholds::

        z(1) = shrink(We y, θ)
        z(t + 1) = shrink(We y + S z(t), θ)

    and z(steps) is the code. One step is a `ShrinkageEncoder`; After `start` the codes are exactly
    those of ISTA from 0 after this number of steps; `fit` improves them.

    Parameters
    ----------
    steps : int, default 3
        Number of shrinkages, at least 1.
    untied : bool, default False
        Whether each step has separate arrays. The paper shares them between steps; separate ones fit better, and need
        more samples and memory.

    Attributes
    ----------
    filters : ndarray (n_components, n_features)
    inhibition : ndarray (n_components, n_components)
        S[i, j] times the code of unit j is added to the drive of unit i.
    thresholds : ndarray (n_components,)
        Above 0.

    Notes
    -----
    Untied arrays have an axis of steps before the others: filters (steps, n_components, n_features), thresholds
    (steps, n_components), and inhibition (steps − 1, n_components, n_components), as the first shrinkage has no code
    before it.

    An inhibition with at most a fifth of its entries not zero is applied by a kernel for sparse matrices, a denser one
    by BLAS. At a fifth both take the same time, within the noise, for 144 to 512 units in either dtype, on one core;
    at a tenth, three steps of 512 units take half of it.

    References
    ----------
    Gregor, LeCun, "Learning fast approximations of sparse coding", ICML 2010, equations 3 and 4 (algorithm 1 trains
    it), and its partial mutual inhibition for `prune`. Equation 4's z(0) is z(1) here.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.encoders import LISTA
    >>> encoder = LISTA(steps=2).start(np.eye(3), sparsity=1.0)
    >>> encoder.encode(np.array([2.0, 0.5, -3.0])).round(2)
    array([ 1.,  0., -2.])
    """

    kind: ClassVar[str] = "lista"
    names: ClassVar[tuple[str, ...]] = ("filters", "inhibition", "thresholds")
    positive: ClassVar[tuple[str, ...]] = ("thresholds",)
    mutual: ClassVar[tuple[str, ...]] = ("inhibition",)
    prunable: ClassVar[tuple[str, ...]] = ("inhibition",)
    _rules: ClassVar[Mapping[str, Rule]] = {"steps": Integer(low=1), "untied": Boolean()}

    inhibition: NDArray[Any]
    thresholds: NDArray[Any]

    def __init__(self, steps: int = 3, *, untied: bool = False) -> None:
        self.steps = steps
        self.untied = untied

    def start(self, components: ArrayLike | PreparedDictionary, sparsity: float | ArrayLike) -> Self:
        """ISTA from 0: filters D/L, inhibition I − DDᵀ/L, thresholds sparsity/L.

        Parameters
        ----------
        components : float (n_components, n_features) or PreparedDictionary
            One unit per row, of any norm. L is 1.001 times the largest eigenvalue of DDᵀ.
        sparsity : float or (n_components,)
            Weight of the L1 term beside ½‖y − zD‖²; above 0.
        """
        prepared = as_prepared(components)
        steps = parameter(self, "steps")
        filters, thresholds, curvature = first_step(prepared, sparsity)
        units = prepared.components.astype(np.float64)
        inhibition = (np.eye(len(units)) - units @ units.T / curvature).astype(filters.dtype)
        arrays = {"filters": filters, "inhibition": inhibition, "thresholds": thresholds}
        return self.set_arrays(**_for_each_step(arrays, steps) if parameter(self, "untied") else arrays)

    def _check_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        filters, inhibition, thresholds = (array.shape for array in arrays.values())
        n = filters[-2] if len(filters) >= 2 else 0
        axes = ((self.steps,), (self.steps - 1,), (self.steps,)) if self.untied else ((), (), ())
        expected = ((*axes[0], n, *filters[-1:]), (*axes[1], n, n), (*axes[2], n))
        if (filters, inhibition, thresholds) != expected or 0 in filters:
            raise UsageError(
                f"LISTA needs filters (n_components, n_features), inhibition (n_components, n_components) and "
                f"thresholds (n_components,), all three with an axis of steps before them if untied=True (for "
                f"inhibition, steps − 1); got the shapes {filters}, {inhibition} and {thresholds} for "
                f"{self.steps} steps, untied={self.untied}"
            )

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`; earlier versions did not write whether steps are untied."""
        return super().from_state(arrays, {"untied": getattr(arrays["filters"], "ndim", 2) == 3, **header})

    def untie(self) -> Self:
        """An untied encoder with the same codes, with a copy of the arrays for each step; itself if it is untied."""
        if self.untied:
            return self
        return type(self)(self.steps, untied=True).set_arrays(**_for_each_step(self.arrays(), int(self.steps)))

    @cached_property
    def density(self) -> float:
        """Fraction of nonzeros in the inhibition; 0 for a single untied step, which has no inhibition."""
        return float(np.count_nonzero(self.inhibition) / max(self.inhibition.size, 1))

    def prune(self, fraction: float) -> Self:
        """A new encoder with only the largest ``|S|``; the rest of the inhibition is set to zero.

        Train it afterwards; `fit` leaves zeros as they are.

        Parameters
        ----------
        fraction : float
            Fraction of the entries of S that is kept, above 0 and at most 1, counted over all steps together if they
            are untied. Below 0.2 encoding is also faster.

        References
        ----------
        Gregor, LeCun, "Learning fast approximations of sparse coding", ICML 2010, on partial mutual inhibition.
        """
        fraction = checked("fraction", fraction, Real(above=0, high=1))
        n_removed = self.inhibition.size - round(fraction * self.inhibition.size)
        pruned = self.inhibition.copy()
        if n_removed:
            weakest = np.argpartition(np.abs(pruned), n_removed - 1, axis=None)[:n_removed]
            pruned.reshape(-1)[weakest] = 0
        return self.with_arrays({**self.arrays(), "inhibition": pruned})

    @property
    def products(self) -> int:
        """Approximate number of multiplications per signal."""
        drives = self.steps if self.untied else 1
        inhibited = (self.steps - 1) * self.density * self.n_components
        return int(self.n_components * (drives * self.n_features + inhibited))

    @cached_property
    def _sparse(self) -> list[SparseInhibition]:
        """The inhibition before each shrinkage but the first; empty where BLAS is faster."""
        if self.steps == 1 or self.density > SPARSE_BELOW:
            return []
        if not self.untied:
            return [SparseInhibition(self.inhibition)] * (self.steps - 1)
        return [SparseInhibition(matrix) for matrix in self.inhibition]

    def _encode_block(self, signals: NDArray[Any], codes: NDArray[Any]) -> None:
        if self._sparse:
            size = SIGNALS[self.dtype]
            for first in range(0, len(signals), size):
                self._encode_transposed(signals[first : first + size], codes[first : first + size])
        else:
            self._encode_dense(signals, codes)

    def _at(self, name: str, step: int) -> NDArray[Any]:
        array: NDArray[Any] = getattr(self, name)
        return array[step] if self.untied else array

    def _encode_dense(self, signals: NDArray[Any], codes: NDArray[Any]) -> None:
        np.matmul(signals, self._at("filters", 0).T, out=codes)
        if self.steps == 1:
            compile_shrink(self.dtype)(codes, self._at("thresholds", 0))
            return
        linear, product = codes.copy(), np.empty_like(codes)
        compile_shrink(self.dtype)(codes, self._at("thresholds", 0))
        add_and_shrink = compile_add_and_shrink(self.dtype)
        for step in range(1, self.steps):
            if self.untied:
                np.matmul(signals, self.filters[step].T, out=linear)
            np.matmul(codes, self._at("inhibition", step - 1).T, out=product)
            add_and_shrink(product, linear, self._at("thresholds", step), codes)

    def _encode_transposed(self, signals: NDArray[Any], codes: NDArray[Any]) -> None:
        """The same with one row per unit, and the signals padded to whole vectors."""
        columns = np.zeros((self.n_features, padded(len(signals))), self.dtype)
        columns[:, : len(signals)] = signals.T
        linear = self._at("filters", 0) @ columns
        now, following = linear.copy(), np.empty_like(linear)
        # One threshold per row: `compile_shrink` takes one per column, and would need the transpose.
        thresholds = self._at("thresholds", 0)[:, np.newaxis]
        now -= np.clip(linear, -thresholds, thresholds, out=following)
        for step, inhibition in enumerate(self._sparse, start=1):
            if self.untied:
                np.matmul(self.filters[step], columns, out=linear)
            inhibition.step(linear, now, self._at("thresholds", step), following)
            now, following = following, now
        codes[:] = now[:, : len(signals)].T


def _for_each_step(arrays: dict[str, NDArray[Any]], steps: int) -> dict[str, NDArray[Any]]:
    n = {"filters": steps, "inhibition": steps - 1, "thresholds": steps}
    return {name: np.repeat(array[np.newaxis], n[name], axis=0) for name, array in arrays.items()}
