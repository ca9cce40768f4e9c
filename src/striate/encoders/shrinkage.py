"""Encoders of one matrix product and one shrinkage, which gives exact zeros in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.prepared_dictionary import PreparedDictionary, as_prepared
from striate.encoders._checks import as_weights
from striate.encoders._encoder import EncoderLearner
from striate.encoders._relative_learner import RelativeLearner
from striate.encoders._shrink import compile_shrink
from striate.encoders._trainable import TrainableEncoder
from striate.errors import UsageError
from striate.parameters import Real, Rule, parameter

__all__ = ["ShrinkageEncoder", "SmoothShrinkageEncoder", "first_step"]

_MARGIN = 1.001  # factor on the largest eigenvalue, a margin for rounding


def first_step(
    components: ArrayLike | PreparedDictionary, sparsity: float | ArrayLike
) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Filters D/L and thresholds sparsity/L of an ISTA step, in the dictionary's dtype, and the curvature L."""
    prepared = as_prepared(components)
    curvature = _MARGIN * prepared.largest_eigenvalue
    if not curvature < np.inf:
        raise UsageError("the dictionary's numbers are too large to be squared: scale them")
    if not curvature > 0:
        raise UsageError("the dictionary holds zeros alone: learn it, or draw it at random, before making an encoder")
    weights = as_weights(sparsity, prepared.n_components)
    filters = prepared.components.astype(np.float64) / curvature
    return filters.astype(prepared.dtype), (weights / curvature).astype(prepared.dtype), curvature


class ShrinkageEncoder(TrainableEncoder):
    """Predicts codes as ``shrink(filters·y, thresholds)``, where ``shrink(v, θ) = sign(v)·max(|v| − θ, 0)``.

    Attributes
    ----------
    filters : ndarray (n_components, n_features)
    thresholds : ndarray (n_components,)
        Above 0.

    References
    ----------
    Gregor, LeCun, "Learning fast approximations of sparse coding", ICML 2010, equation 4 for one step.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.encoders import ShrinkageEncoder
    >>> ShrinkageEncoder().set_arrays(filters=np.eye(3), thresholds=np.ones(3)).encode(np.array([2.0, 0.5, -3.0]))
    array([ 1.,  0., -2.])
    """

    kind: ClassVar[str] = "shrinkage"
    names: ClassVar[tuple[str, ...]] = ("filters", "thresholds")
    positive: ClassVar[tuple[str, ...]] = ("thresholds",)

    thresholds: NDArray[Any]

    def start(self, components: ArrayLike | PreparedDictionary, sparsity: float | ArrayLike) -> Self:
        """The first step of ISTA from 0.

        Parameters
        ----------
        components : float (n_components, n_features) or PreparedDictionary
            One unit per row, of any norm.
        sparsity : float or (n_components,)
            Weight of the L1 term beside ½‖y − zD‖²; above 0.
        """
        filters, thresholds, _ = first_step(components, sparsity)
        return self.set_arrays(filters=filters, thresholds=thresholds)

    def _check_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        filters, thresholds = arrays.values()
        if filters.ndim != 2 or 0 in filters.shape or thresholds.shape != (len(filters),):
            raise UsageError(
                f"a shrinkage encoder needs filters (n_components, n_features) with one threshold each; "
                f"got the shapes {filters.shape} and {thresholds.shape}"
            )

    def convolution(self) -> dict[str, NDArray[Any]]:
        """Its filters and thresholds, with bias 0 and gain 1."""
        return _without_bias(self.filters, threshold=self.thresholds)

    def _encode_block(self, signals: NDArray[Any], codes: NDArray[Any]) -> None:
        np.matmul(signals, self.filters.T, out=codes)
        compile_shrink(self.dtype)(codes, self.thresholds)


class SmoothShrinkageEncoder(TrainableEncoder):
    """Predicts codes as ``sh(filters·y)``, ``sh(s) = sign(s)·(log(exp(βb) + exp(β|s|) − 1)/β − b)``.

    A shrinkage by b with a rounded kink: its slope is exp(−βb) at 0 and approaches 1 beyond b. Inactive units therefore
    have a gradient, and codes have no exact zeros. For large β it approaches the soft shrinkage.

    Parameters
    ----------
    sharpness : float, default 5
        Initial β·b of every unit. With 5 the slope at 0 is exp(−5) = 0.7 %: large enough for a gradient, and small
        compared with the slope of active units.

    Attributes
    ----------
    filters : ndarray (n_components, n_features)
    beta : ndarray (n_components,)
        Sharpness of the kinks, above 0.
    bias : ndarray (n_components,)
        Positions of the kinks, above 0.

    References
    ----------
    Kavukcuoglu, Sermanet, Boureau, Gregor, Mathieu, LeCun, "Learning convolutional feature hierarchies for visual
    recognition", NIPS 2010, equation 7.
    """

    kind: ClassVar[str] = "smooth shrinkage"
    names: ClassVar[tuple[str, ...]] = ("filters", "beta", "bias")
    positive: ClassVar[tuple[str, ...]] = ("beta", "bias")
    _rules: ClassVar[Mapping[str, Rule]] = {"sharpness": Real(above=0)}

    beta: NDArray[Any]
    bias: NDArray[Any]

    def __init__(self, sharpness: float = 5.0) -> None:
        self.sharpness = sharpness

    def start(self, components: ArrayLike | PreparedDictionary, sparsity: float | ArrayLike) -> Self:
        """The first step of ISTA from 0, with rounded kinks.

        Parameters
        ----------
        components : float (n_components, n_features) or PreparedDictionary
            One unit per row, of any norm.
        sparsity : float or (n_components,)
            Weight of the L1 term beside ½‖y − zD‖²; above 0.
        """
        filters, thresholds, _ = first_step(components, sparsity)
        beta = (parameter(self, "sharpness") / thresholds).astype(filters.dtype)
        return self.set_arrays(filters=filters, beta=beta, bias=thresholds)

    def _check_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        filters, beta, bias = arrays.values()
        n = (len(filters),) if filters.ndim else ()
        if filters.ndim != 2 or 0 in filters.shape or beta.shape != n or bias.shape != n:
            raise UsageError(
                f"a smooth shrinkage encoder needs filters (n_components, n_features) with one beta and one bias "
                f"each; got the shapes {filters.shape}, {beta.shape} and {bias.shape}"
            )

    def convolution(self) -> dict[str, NDArray[Any]]:
        """Its filters, the positions of the kinks as thresholds, and β, with bias 0 and gain 1."""
        return _without_bias(self.filters, threshold=self.bias, beta=self.beta)

    def learner(self, rate: float, sparsity: float) -> EncoderLearner:
        """The object that trains this encoder together with a dictionary, by its own derivatives, without torch."""
        return RelativeLearner(self, rate, sparsity)

    def _encode_block(self, signals: NDArray[Any], codes: NDArray[Any]) -> None:
        np.matmul(signals, self.filters.T, out=codes)
        self._shrink(codes)

    def _shrink(self, codes: NDArray[Any]) -> None:
        """Shrink the filters' products in place."""
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

    def forward(self, signals: NDArray[Any]) -> tuple[NDArray[Any], tuple[NDArray[Any], NDArray[Any]]]:
        """Codes, and the products with the filters from which they were shrunk."""
        products = signals @ self.filters.T
        codes = products.copy()
        self._shrink(codes)
        return codes, (products, codes)

    def gradients(
        self, signals: NDArray[Any], known: tuple[NDArray[Any], NDArray[Any]], codes: NDArray[Any]
    ) -> dict[str, NDArray[Any]]:
        """Derivatives of the mean of ½‖codes − encode(signals)‖² over the batch for filters, beta and bias.

        With ``p = exp(βb)/E`` and ``q = exp(β|s|)/E``, where ``E = exp(βb) + exp(β|s|) − 1``, the derivatives of
        ``|sh(s)|`` are q for ``|s|``, p − 1 for b and ``(b·p + |s|·q − |sh(s)| − b)/β`` for β.

        Parameters
        ----------
        signals : ndarray (n_samples, n_features), float
        known : tuple of ndarray (n_samples, n_components)
            What `forward` returned beside the codes.
        codes : ndarray (n_samples, n_components), float
            The codes to predict.
        """
        products, predicted = known
        error = predicted - codes
        error /= max(len(signals), 1)
        magnitude = np.abs(products)
        corner, scaled = self.beta * self.bias, self.beta * magnitude
        # exp of what is at most 0 only: the largest of the three exponents is taken out of all.
        highest = np.maximum(scaled, corner)
        of_bias, of_product = np.exp(corner - highest), np.exp(scaled - highest)
        whole = of_bias + of_product - np.exp(-highest)
        of_bias /= whole
        of_product /= whole
        signed = error * np.sign(products)
        for_beta = self.bias * (of_bias - 1) + magnitude * of_product - np.abs(predicted)
        return {
            "filters": (error * of_product).T @ signals,
            "beta": np.einsum("ij,ij->j", signed, for_beta) / self.beta,
            "bias": np.einsum("ij,ij->j", signed, of_bias - 1),
        }


def _without_bias(filters: NDArray[Any], **own: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """See `Encoder.convolution`."""
    zeros = np.zeros(len(filters), filters.dtype)
    return {"filters": filters, "bias": zeros, "gain": zeros + 1, **own}
