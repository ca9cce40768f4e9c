"""Encoders of one product and one shrinkage: exact zeros, as sparse codes have, in one pass."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.prepared_dictionary import PreparedDictionary
from striate.encoders._encoder import TrainableEncoder, as_parameters, as_prepared, as_weights
from striate.encoders._shrink import compile_shrink
from striate.errors import UsageError
from striate.parameters import Real, checked

__all__ = ["ShrinkageEncoder", "SmoothShrinkageEncoder", "first_step"]

_MARGIN = 1.001  # above the largest eigenvalue, for what rounding does to it


def first_step(
    components: ArrayLike | PreparedDictionary, sparsity: float | ArrayLike
) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Filters D/L and thresholds sparsity/L of an ISTA step, in the dictionary's dtype, and the curvature L."""
    prepared = as_prepared(components)
    curvature = _MARGIN * prepared.largest_eigenvalue
    if not curvature < np.inf:
        raise UsageError("the dictionary's numbers are too large to be squared: scale them")
    if not curvature > 0:
        raise UsageError("the dictionary holds zeros alone: learn it, or draw it at random, before an encoder is made")
    weights = as_weights(sparsity, prepared.n_components)
    filters = prepared.components.astype(np.float64) / curvature
    return filters.astype(prepared.dtype), (weights / curvature).astype(prepared.dtype), curvature


class ShrinkageEncoder(TrainableEncoder):
    """Predicts codes as ``shrink(filters·y, thresholds)``, where shrink(v, θ) = sign(v)·max(|v| − θ, 0).

    Parameters
    ----------
    filters : float (n_components, n_features)
    thresholds : float (n_components,)
        Above 0. All arrays are float32 if both are, float64 otherwise; they are kept and must not be changed.

    Raises
    ------
    UsageError
        If the shapes do not fit each other, an array holds NaN or infinity, or a threshold is not above 0.

    References
    ----------
    Gregor, LeCun, "Learning fast approximations of sparse coding", ICML 2010, equation 4 for one step.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.encoders import ShrinkageEncoder
    >>> ShrinkageEncoder(np.eye(3), np.ones(3)).encode(np.array([2.0, 0.5, -3.0]))
    array([ 1.,  0., -2.])
    """

    kind: ClassVar[str] = "shrinkage"
    names: ClassVar[tuple[str, ...]] = ("filters", "thresholds")
    positive: ClassVar[tuple[str, ...]] = ("thresholds",)

    def __init__(self, filters: ArrayLike, thresholds: ArrayLike) -> None:
        self.filters, self.thresholds = as_parameters(filters=filters, thresholds=thresholds)
        if self.filters.ndim != 2 or 0 in self.filters.shape or self.thresholds.shape != (len(self.filters),):
            raise UsageError(
                f"a shrinkage encoder needs filters (n_components, n_features) with one threshold each; "
                f"got the shapes {self.filters.shape} and {self.thresholds.shape}"
            )
        if not (self.thresholds > 0).all():
            raise UsageError("thresholds must be above 0: start from those of from_dictionary")

    @classmethod
    def from_dictionary(cls, components: ArrayLike | PreparedDictionary, sparsity: float | ArrayLike) -> Self:
        """The first step of ISTA from 0, a start for `fit`.

        Parameters
        ----------
        components : float (n_components, n_features) or PreparedDictionary
            A unit a row, of any norm.
        sparsity : float or (n_components,)
            Weight of the L1 term beside ½‖y − zD‖²; above 0.
        """
        filters, thresholds, _ = first_step(components, sparsity)
        return cls(filters, thresholds)

    def _encode_block(self, signals: NDArray[Any], codes: NDArray[Any]) -> None:
        np.matmul(signals, self.filters.T, out=codes)
        compile_shrink(self.dtype)(codes, self.thresholds)


class SmoothShrinkageEncoder(TrainableEncoder):
    """Predicts codes as ``sh(filters·y)``, sh(s) = sign(s)·(log(exp(βb) + exp(β|s|) − 1)/β − b).

    A shrinkage by b whose kink is rounded: its slope is exp(−βb) at 0 and nears 1 beyond b, so that units at rest
    have a gradient, and codes no exact zeros. With large β it is the soft shrinkage.

    Parameters
    ----------
    filters : float (n_components, n_features)
    beta : float (n_components,)
        Sharpness of the kinks, above 0.
    bias : float (n_components,)
        Where the kinks are, above 0. The dtype is float32 if all three are, float64 otherwise.

    Raises
    ------
    UsageError
        If the shapes do not fit each other, an array holds NaN or infinity, or `beta` or `bias` is not above 0.

    References
    ----------
    Kavukcuoglu, Sermanet, Boureau, Gregor, Mathieu, LeCun, "Learning convolutional feature hierarchies for visual
    recognition", NIPS 2010, equation 7.
    """

    kind: ClassVar[str] = "smooth shrinkage"
    names: ClassVar[tuple[str, ...]] = ("filters", "beta", "bias")
    positive: ClassVar[tuple[str, ...]] = ("beta", "bias")

    def __init__(self, filters: ArrayLike, beta: ArrayLike, bias: ArrayLike) -> None:
        self.filters, self.beta, self.bias = as_parameters(filters=filters, beta=beta, bias=bias)
        n = (len(self.filters),) if self.filters.ndim else ()
        if self.filters.ndim != 2 or 0 in self.filters.shape or self.beta.shape != n or self.bias.shape != n:
            raise UsageError(
                f"a smooth shrinkage encoder needs filters (n_components, n_features) with one beta and one bias "
                f"each; got the shapes {self.filters.shape}, {self.beta.shape} and {self.bias.shape}"
            )
        if not ((self.beta > 0).all() and (self.bias > 0).all()):
            raise UsageError("beta and bias must be above 0: start from those of from_dictionary")

    @classmethod
    def from_dictionary(
        cls, components: ArrayLike | PreparedDictionary, sparsity: float | ArrayLike, *, sharpness: float = 5.0
    ) -> Self:
        """The first step of ISTA from 0 with its kinks rounded, a start for `fit`.

        Parameters
        ----------
        components : float (n_components, n_features) or PreparedDictionary
            A unit a row, of any norm.
        sparsity : float or (n_components,)
            Weight of the L1 term beside ½‖y − zD‖²; above 0.
        sharpness : float, default 5
            β·b of every unit. With 5 the slope at rest is exp(−5) = 0.7 %, enough for a gradient, and far from a code.
        """
        sharpness = checked("sharpness", sharpness, Real(above=0))
        filters, thresholds, _ = first_step(components, sparsity)
        return cls(filters, (sharpness / thresholds).astype(filters.dtype), thresholds)

    def _encode_block(self, signals: NDArray[Any], codes: NDArray[Any]) -> None:
        np.matmul(signals, self.filters.T, out=codes)
        corner = self.beta * self.bias
        scaled = np.abs(codes)
        scaled *= self.beta
        # log(exp(c) + exp(x) − 1) − c = max(x − c, 0) + log(1 + exp(−|x − c|)·(1 − exp(−min(x, c)))): no overflow,
        # and no cancellation near 0.
        beyond = scaled - corner
        np.minimum(scaled, corner, out=scaled)
        np.negative(scaled, out=scaled)
        np.expm1(scaled, out=scaled)
        rest = np.abs(beyond)
        np.negative(rest, out=rest)
        np.exp(rest, out=rest)
        rest *= scaled
        np.negative(rest, out=rest)
        np.log1p(rest, out=rest)
        rest += np.maximum(beyond, 0, out=beyond)
        rest /= self.beta
        np.copysign(rest, codes, out=codes)
