"""A linear classifier in the form in which gradient descent refines it: weights of standardized features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.recognition.feature_space import Standardization
from striate.recognition.softmax_classifier import SoftmaxClassifier

__all__ = ["LinearHead"]


@dataclass(frozen=True)
class LinearHead:
    """Logits ``z @ weights.T + intercept`` of ``z = (features − mean) / scale``, or with `split` of max(±z, 0).

    Standardized features have one scale, so that one step size suits all of their weights; those of raw features, which
    `SoftmaxClassifier` keeps, differ by as much as the features do.

    Parameters
    ----------
    mean, scale : float32 (n_features,)
    split : bool
        Two columns per feature, for values above its mean and below; see `SoftmaxClassifier`.
    weights : float32 (n_classes, n_features) or (n_classes, 2 n_features)
    intercept : float32 (n_classes,)
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    split: bool
    weights: NDArray[np.float32]
    intercept: NDArray[np.float32]

    @classmethod
    def of(cls, classifier: SoftmaxClassifier, features: NDArray[Any]) -> LinearHead:
        """The head that gives the calibrated logits of a fitted linear classifier.

        Parameters
        ----------
        classifier : SoftmaxClassifier
            Its logits are divided by its temperature: where they are scores of least squares, the cross-entropy of
            uncalibrated ones would be far from its minimum.
        features : (n_samples, n_features)
            Its training samples, which give mean and scale.

        Raises
        ------
        UsageError
            If its kernel is not linear.
        """
        if classifier.kernel_ != "linear":
            raise UsageError("a classifier with a Gaussian kernel cannot be refined: fit one with a linear kernel")
        found = Standardization(features, scale=classifier.standardize)
        split = classifier.knots_ is not None
        mean = found.mean if classifier.knots_ is None else classifier.knots_.astype(np.float64)
        parts = classifier.coef_.astype(np.float64).reshape(len(classifier.classes_), -1, len(mean))
        intercept = classifier.intercept_.astype(np.float64)
        if not split:
            intercept = intercept + parts[:, 0] @ mean
        weights = (parts * found.scale).reshape(len(parts), -1) / classifier.temperature_
        intercept = intercept / classifier.temperature_
        arrays = (np.ascontiguousarray(each, np.float32) for each in (mean, found.scale, weights, intercept))
        mean32, scale32, weights32, intercept32 = arrays
        return cls(mean32, scale32, split, weights32, intercept32)

    def to_classifier(self, template: SoftmaxClassifier, *, temperature: float, n_steps: int) -> SoftmaxClassifier:
        """The same logits as an ordinary classifier of raw features.

        Parameters
        ----------
        template : SoftmaxClassifier
            The fitted one that refinement began with: its classes, parameters and cross-validation are kept.
        temperature : float
        n_steps : int
            Steps of the refinement, in place of the solver's iterations.
        """
        parts = self.weights.astype(np.float64).reshape(len(self.weights), -1, len(self.mean)) / self.scale
        intercept = self.intercept.astype(np.float64)
        if not self.split:
            intercept = intercept - parts[:, 0] @ self.mean
        arrays = {
            "coefficients": parts.reshape(len(parts), -1).astype(np.float32),
            "intercept": intercept.astype(np.float32),
        }
        if self.split:
            arrays["knots"] = self.mean
        _, header = template.to_state()
        return SoftmaxClassifier.from_state(
            arrays, {**header, "temperature": temperature, "n_iterations": max(n_steps, 1)}
        )
