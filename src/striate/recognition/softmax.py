"""Probabilities from logits, their cross-entropy, and the temperature that calibrates them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["softmax", "cross_entropy", "fit_temperature"]

# Bounds of the bisection; temperatures of useful classifiers lie well between them.
_SMALLEST_INVERSE, _LARGEST_INVERSE = 1e-3, 1e3


def softmax(logits: NDArray) -> NDArray:
    """Probabilities of the classes.

    Parameters
    ----------
    logits : float32 or float64 (n_samples, n_classes)

    Returns
    -------
    probabilities : (n_samples, n_classes), dtype of `logits`
        Rows sum to 1.
    """
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials


def cross_entropy(logits: NDArray, labels: NDArray[np.integer]) -> NDArray:
    """Cross-entropy of each sample, −log p(its label), in nats.

    Parameters
    ----------
    logits : float32 or float64 (n_samples, n_classes)
    labels : integer (n_samples,)
        Columns of `logits`.

    Returns
    -------
    losses : (n_samples,), dtype of `logits`
    """
    index = np.arange(len(labels))
    largest = logits.max(axis=1)
    exponentials = np.exp(logits - largest[:, None])
    of_label = exponentials[index, labels]
    exponentials[index, labels] = 0
    return losses_of(of_label, exponentials.sum(axis=1), largest - logits[index, labels])


def losses_of(of_label: NDArray, of_others: NDArray, distance: NDArray) -> NDArray:
    """Cross-entropy of each sample from exp(logit − largest logit of the sample).

    Parameters
    ----------
    of_label : float32 or float64 (n_samples,)
        The exponential of the label's logit.
    of_others : (n_samples,)
        The sum of the exponentials of all other classes.
    distance : (n_samples,)
        The largest logit minus the label's logit.
    """
    # A loss far below 1 is computed from the other classes' share, since 1 + share would lose its digits.
    of_likely = np.log1p(of_others / np.maximum(of_label, 0.5))
    of_unlikely = np.log(of_others + of_label) + distance
    return np.where(of_label > 0.5, of_likely, of_unlikely)


def fit_temperature(logits: NDArray, labels: NDArray[np.integer]) -> float:
    """The temperature T for which softmax(logits / T) has the smallest cross-entropy.

    The logits must come from samples that the classifier was not fitted to. As in Platt's scaling the target
    probability of the label is (n + 1)/(n + 2) instead of 1, and the other classes share the rest. T then stays
    positive when all samples are classified correctly.

    Parameters
    ----------
    logits : float32 or float64 (n_samples, n_classes)
    labels : integer (n_samples,)
        Columns of `logits`.

    Returns
    -------
    temperature : float
        In [0.001, 1000]; 1 if there is no sample.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On calibration of modern neural networks, ICML 2017, equation 9.
    J. Platt, Probabilistic outputs for support vector machines, 1999, section 2.2: the targets.
    """
    n_samples, n_classes = logits.shape
    if n_samples == 0 or n_classes < 2:
        return 1.0
    logits = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    of_label = logits[np.arange(n_samples), labels]
    missing = 1 / (n_samples + 2)
    of_others = (logits.sum(axis=1) - of_label) / (n_classes - 1)
    target = float(np.mean((1 - missing) * of_label + missing * of_others))

    def slope(inverse: float) -> float:  # of the cross-entropy in 1/T, where it is convex
        return float(np.mean(np.sum(softmax(inverse * logits) * logits, axis=1))) - target

    low, high = _SMALLEST_INVERSE, _LARGEST_INVERSE
    while high / low > 1 + 1e-4:
        middle = float(np.sqrt(low * high))
        if slope(middle) < 0:
            low = middle
        else:
            high = middle
    return float(1 / np.sqrt(low * high))
