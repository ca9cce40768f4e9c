"""LCoD: a few steps of greedy coordinate descent with learned matrices."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.prepared_dictionary import PreparedDictionary, as_prepared
from striate.encoders._checks import as_weights
from striate.encoders._learned_descent import compile_learned_descent
from striate.encoders._trainable import TrainableEncoder
from striate.errors import UsageError
from striate.kernels.simd import padded
from striate.parameters import Boolean, Integer, Rule

__all__ = ["LCoD"]

_UNIT_NORM = 1e-3  # tolerance of the dictionary's norms


class LCoD(TrainableEncoder):
    """Predicts codes by `steps` updates of one unit each, the one that would change most.

    With We, S and θ for filters, inhibition and thresholds, from B = We y and z = 0, each step::

        e = shrink(B, θ) − z,  k = argmax |e|
        B ← B + S[:, k]·e[k],  z[k] ← z[k] + e[k]

    and shrink(B, θ) is the code. A step costs n_components multiplications, a step of `LISTA` n_components².

    Parameters
    ----------
    steps : int, default 3
        Number of updates, at least 1; about the number of active units of a code.
    final_shrinkage : bool, default True
        Return shrink(B, θ), as the paper does, in which units that were never chosen may be active. Otherwise return z,
        which has at most `steps` active units, and a lower energy without training.

    Attributes
    ----------
    filters : ndarray (n_components, n_features)
    inhibition : ndarray (n_components, n_components)
        A change of unit k, times S[i, k], is added to the drive of unit i.
    thresholds : ndarray (n_components,)
        Above 0.

    References
    ----------
    Gregor, LeCun, "Learning fast approximations of sparse coding", ICML 2010, algorithm 3; untrained, algorithm 2.
    The paper's T counts the final shrinkage, so that T − 1 is `steps`.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.encoders import LCoD
    >>> encoder = LCoD(steps=2).start(np.eye(3), sparsity=1.0)
    >>> encoder.encode(np.array([2.0, 0.5, -3.0]))
    array([ 1.,  0., -2.])
    """

    kind: ClassVar[str] = "lcod"
    names: ClassVar[tuple[str, ...]] = ("filters", "inhibition", "thresholds")
    positive: ClassVar[tuple[str, ...]] = ("thresholds",)
    mutual: ClassVar[tuple[str, ...]] = ("inhibition",)
    _rules: ClassVar[Mapping[str, Rule]] = {"steps": Integer(low=1), "final_shrinkage": Boolean()}

    inhibition: NDArray[Any]
    thresholds: NDArray[Any]

    def __init__(self, steps: int = 3, *, final_shrinkage: bool = True) -> None:
        self.steps = steps
        self.final_shrinkage = final_shrinkage

    def start(self, components: ArrayLike | PreparedDictionary, sparsity: float | ArrayLike) -> Self:
        """Greedy coordinate descent from 0: filters D, inhibition I − DDᵀ, thresholds sparsity.

        Parameters
        ----------
        components : float (n_components, n_features) or PreparedDictionary
            One unit per row, of norm 1.
        sparsity : float or (n_components,)
            Weight of the L1 term beside ½‖y − zD‖²; above 0.

        Raises
        ------
        UsageError
            If a unit's norm is not 1.
        """
        prepared = as_prepared(components)
        off = np.abs(np.sqrt(prepared.squared_norms) - 1)
        if off.max() > _UNIT_NORM:
            unit = int(off.argmax())
            norm = float(np.sqrt(prepared.squared_norms[unit]))
            raise UsageError(f"LCoD needs units of norm 1, but unit {unit} has {norm:.4g}: divide each row by its norm")
        units = prepared.components.astype(np.float64)
        return self.set_arrays(
            filters=prepared.components.copy(),
            inhibition=(np.eye(len(units)) - units @ units.T).astype(prepared.dtype),
            thresholds=as_weights(sparsity, prepared.n_components).astype(prepared.dtype),
        )

    def _check_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        filters, inhibition, thresholds = (array.shape for array in arrays.values())
        n = filters[:1]
        if len(filters) != 2 or 0 in filters or inhibition != (*n, *n) or thresholds != n:
            raise UsageError(
                f"LCoD needs filters (n_components, n_features), inhibition (n_components, n_components) and "
                f"thresholds (n_components,); got the shapes {filters}, {inhibition} and {thresholds}"
            )

    @property
    def products(self) -> int:
        """Approximate number of multiplications per signal; a step counts eight per unit."""
        return self.n_components * (self.n_features + 8 * self.steps)

    @cached_property
    def _kernel_arrays(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The inhibition transposed, and the thresholds, padded to whole vectors."""
        n = self.n_components
        width = padded(n)
        influence, thresholds = np.zeros((n, width), self.dtype), np.ones(width, self.dtype)
        influence[:, :n], thresholds[:n] = self.inhibition.T, self.thresholds
        return influence, thresholds

    def _encode_block(self, signals: NDArray[Any], codes: NDArray[Any]) -> None:
        np.matmul(signals, self.filters.T, out=codes)
        influence, thresholds = self._kernel_arrays
        almost = self.dtype.type(1 - 4 * np.finfo(self.dtype).eps)
        descend = compile_learned_descent(self.dtype)
        descend(codes, influence, thresholds, int(self.steps), bool(self.final_shrinkage), almost)
