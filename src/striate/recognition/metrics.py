"""Metrics of predictions, and their standard errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Integer, checked
from striate.recognition.labels import label_array
from striate.samples import as_samples

__all__ = [
    "accuracy",
    "area_under_roc",
    "confusion_matrix",
    "exceeds_its_error",
    "expected_calibration_error",
    "mean_class_accuracy",
    "standard_error",
    "standard_error_of_accuracy",
]

Labels = Sequence | NDArray


def accuracy(labels: Labels, predicted: Labels) -> float:
    """Fraction of the samples whose class is predicted correctly.

    Parameters
    ----------
    labels, predicted : (n_samples,)
    """
    labels, predicted = _same_length(labels, predicted)
    return float(np.mean(labels == predicted))


def mean_class_accuracy(labels: Labels, predicted: Labels) -> float:
    """Mean over the classes of `labels` of the accuracy in each class: all classes have the same weight.

    Parameters
    ----------
    labels, predicted : (n_samples,)
    """
    labels, predicted = _same_length(labels, predicted)
    return float(np.mean([np.mean(predicted[labels == name] == name) for name in np.unique(labels)]))


def confusion_matrix(labels: Labels, predicted: Labels, classes: Labels | None = None) -> NDArray[np.int64]:
    """Numbers of samples for each pair of true and predicted class.

    Parameters
    ----------
    labels, predicted : (n_samples,)
    classes : (n_classes,), optional
        Order of rows and columns; by default all classes that occur, sorted.

    Returns
    -------
    counts : int64 (n_classes, n_classes)
        True classes in rows, predicted ones in columns.

    Raises
    ------
    UsageError
        For a label that is not among `classes`.
    """
    labels, predicted = (label_array(each) if len(each) else np.asarray(each) for each in (labels, predicted))
    if len(labels) != len(predicted):
        raise UsageError(f"there are {len(labels)} labels but {len(predicted)} predictions; give one for each")
    names = np.unique(np.concatenate([labels, predicted])) if classes is None else np.asarray(classes)
    order = np.argsort(names, kind="stable")

    def positions(values: NDArray) -> NDArray[np.int64]:
        if not len(values):
            return np.zeros(0, np.int64)
        if not len(names):
            raise UsageError(f"label {str(values[0])!r} is not among the 0 classes")
        place = np.searchsorted(names[order], values).clip(max=len(names) - 1)
        unknown = names[order][place] != values
        if unknown.any():
            raise UsageError(f"label {str(values[unknown][0])!r} is not among the {len(names)} classes")
        return order[place]

    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (positions(labels), positions(predicted)), 1)
    return counts


def expected_calibration_error(probabilities: NDArray, labels: NDArray[np.integer], *, n_bins: int = 15) -> float:
    """Mean difference between the confidence and the accuracy of predictions.

    Parameters
    ----------
    probabilities : float (n_samples, n_classes)
    labels : integer (n_samples,)
        Columns of `probabilities`.
    n_bins : int
        Number of bins of equal width in the largest probability; 15 as in the reference.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On calibration of modern neural networks, ICML 2017, equation 3.
    """
    n_bins = checked("n_bins", n_bins, Integer(low=1))
    probabilities = as_samples(probabilities, name="probabilities")
    predicted = probabilities.argmax(axis=1)
    labels, predicted = _same_length(labels, predicted)
    confidence = probabilities.max(axis=1).astype(np.float64)
    bins = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    gap = np.bincount(bins, weights=(labels == predicted) - confidence, minlength=n_bins)
    return float(np.abs(gap).sum() / len(labels))


def area_under_roc(positive: NDArray, negative: NDArray) -> float:
    """Probability that a positive sample scores higher than a negative one; ties count half.

    Parameters
    ----------
    positive, negative : float (n_positive,), (n_negative,)
        Scores; to evaluate "unknown", those of foreign samples are positive and those of known samples negative.

    Notes
    -----
    Computed as the Mann–Whitney statistic, from ranks, in O(n log n).
    """
    positive, negative = np.asarray(positive, np.float64), np.asarray(negative, np.float64)
    if positive.ndim != 1 or negative.ndim != 1 or np.isnan(positive).any() or np.isnan(negative).any():
        raise UsageError("scores must be numbers (n_samples,), without NaN")
    if not len(positive) or not len(negative):
        raise UsageError("the area under a ROC curve needs at least one positive and one negative score")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).mean() / (2 * len(negative)))


def standard_error(values: Sequence[float] | NDArray) -> float:
    """Standard error of a mean over draws or seeds, from their spread; NaN for a single value."""
    values = np.asarray(values, np.float64)
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def exceeds_its_error(gains: Sequence[float] | NDArray) -> bool:
    """Whether a mean gain is positive and larger than its standard error: the rule by which simpler ways are left.

    Parameters
    ----------
    gains : (n_samples,)
        Paired differences, one for each sample; of none or one of them, there is no spread, and the gain need only be
        positive.
    """
    values = np.asarray(gains, np.float64)
    return len(values) > 0 and bool(values.mean() > (standard_error(values) if len(values) > 1 else 0.0))


def standard_error_of_accuracy(fraction: float, n_samples: int) -> float:
    """Standard error of an accuracy that was measured on `n_samples` test samples.

    Parameters
    ----------
    fraction : float
        The accuracy.
    n_samples : int

    Notes
    -----
    √(p(1 − p)/n) with p = (r + 1)/(n + 2) for r correct samples (Laplace's rule), so that the error is not 0 when all
    are correct.
    """
    estimate = (fraction * n_samples + 1) / (n_samples + 2)
    return float(np.sqrt(estimate * (1 - estimate) / n_samples))


def _same_length(labels: Labels, predicted: Labels) -> tuple[NDArray, NDArray]:
    labels, predicted = (label_array(each) if len(each) else np.asarray(each) for each in (labels, predicted))
    if labels.shape != predicted.shape or not len(labels):
        raise UsageError(
            f"there are {len(labels)} labels and {len(predicted)} predictions; "
            "give one prediction for each label, and at least one"
        )
    if _is_text(labels) != _is_text(predicted):
        raise UsageError(
            f"labels such as {labels.tolist()[0]!r} are compared with predictions such as {predicted.tolist()[0]!r}: "
            "give both as text, or both as numbers"
        )
    return labels, predicted


def _is_text(labels: NDArray) -> bool:
    return labels.dtype.kind in "UO"
