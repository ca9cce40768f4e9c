"""LCoD: some steps of greedy coordinate descent whose matrices are learned."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.prepared_dictionary import PreparedDictionary
from striate.encoders._encoder import TrainableEncoder, as_parameters, as_prepared, as_weights
from striate.encoders._learned_descent import compile_learned_descent
from striate.errors import UsageError
from striate.kernels.simd import padded
from striate.parameters import Boolean, Integer, checked

__all__ = ["LCoD"]

_UNIT_NORM = 1e-3  # tolerance of the dictionary's norms


class LCoD(TrainableEncoder):
    """Predicts codes by `steps` updates of one unit each, the one that would change most.

    With We, S and θ for filters, inhibition and thresholds, from B = We y and z = 0, each step::

        e = shrink(B, θ) − z,  k = argmax |e|
        B ← B + S[:, k]·e[k],  z[k] ← z[k] + e[k]

    and shrink(B, θ) is the code. A step costs n_components products, where one of `LISTA` costs their square.

    Parameters
    ----------
    filters : float (n_components, n_features)
    inhibition : float (n_components, n_components)
        S[i, k] is what a change of unit k adds to the drive of unit i.
    thresholds : float (n_components,)
        Above 0. All arrays are float32 if all three are, float64 otherwise; they are kept and must not be changed.
    steps : int
        Updates, at least 1; about as many as a code has active units.
    final_shrinkage : bool, default True
        Give shrink(B, θ), as the paper does, in which units that were never chosen may be active. Otherwise give z,
        of which at most `steps` are: untrained, its energy is lower.

    Raises
    ------
    UsageError
        If the shapes do not fit each other, an array holds NaN or infinity, a threshold is not above 0, or `steps`
        is below 1.

    References
    ----------
    Gregor, LeCun, "Learning fast approximations of sparse coding", ICML 2010, algorithm 3; untrained, algorithm 2.
    The paper's T counts the final shrinkage, so that T − 1 is `steps`.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.encoders import LCoD
    >>> encoder = LCoD.from_dictionary(np.eye(3), sparsity=1.0, steps=2)
    >>> encoder.encode(np.array([2.0, 0.5, -3.0]))
    array([ 1.,  0., -2.])
    """

    kind: ClassVar[str] = "lcod"
    names: ClassVar[tuple[str, ...]] = ("filters", "inhibition", "thresholds")
    positive: ClassVar[tuple[str, ...]] = ("thresholds",)

    def __init__(
        self,
        filters: ArrayLike,
        inhibition: ArrayLike,
        thresholds: ArrayLike,
        steps: int,
        *,
        final_shrinkage: bool = True,
    ) -> None:
        self.filters, self.inhibition, self.thresholds = as_parameters(
            filters=filters, inhibition=inhibition, thresholds=thresholds
        )
        shapes = [array.shape for array in (self.filters, self.inhibition, self.thresholds)]
        n = shapes[0][:1]
        if self.filters.ndim != 2 or 0 in shapes[0] or shapes[1:] != [(*n, *n), n]:
            raise UsageError(
                f"LCoD needs filters (n_components, n_features), inhibition (n_components, n_components) and "
                f"thresholds (n_components,); got the shapes {shapes[0]}, {shapes[1]} and {shapes[2]}"
            )
        if not (self.thresholds > 0).all():
            raise UsageError("thresholds must be above 0: start from those of from_dictionary")
        self.steps = checked("steps", steps, Integer(low=1))
        self.final_shrinkage = checked("final_shrinkage", final_shrinkage, Boolean())

    @classmethod
    def from_dictionary(
        cls,
        components: ArrayLike | PreparedDictionary,
        sparsity: float | ArrayLike,
        steps: int,
        *,
        final_shrinkage: bool = True,
    ) -> Self:
        """Greedy coordinate descent from 0: filters D, inhibition I − DDᵀ, thresholds sparsity.

        Parameters
        ----------
        components : float (n_components, n_features) or PreparedDictionary
            A unit a row, of norm 1.
        sparsity : float or (n_components,)
            Weight of the L1 term beside ½‖y − zD‖²; above 0.
        steps : int
            Updates of one unit, at least 1.
        final_shrinkage : bool, default True
            As in the class.

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
        return cls(
            prepared.components.copy(),
            (np.eye(len(units)) - units @ units.T).astype(prepared.dtype),
            as_weights(sparsity, prepared.n_components).astype(prepared.dtype),
            steps,
            final_shrinkage=final_shrinkage,
        )

    def options(self) -> dict[str, Any]:
        """``{"steps": ..., "final_shrinkage": ...}``."""
        return {"steps": self.steps, "final_shrinkage": self.final_shrinkage}

    @property
    def products(self) -> int:
        """Products of numbers that the code of a signal takes, roughly; a step's passes count as eight."""
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
        compile_learned_descent(self.dtype)(codes, influence, thresholds, self.steps, self.final_shrinkage, almost)
