"""Whether mirror images of a collection are other views of the same classes, decided from the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.randomness import RandomState, generator_from
from striate.recognition.feature_space import Standardization
from striate.recognition.kernel_choice import SQUARES_PRIOR
from striate.recognition.least_squares import solve_least_squares
from striate.recognition.sample_space import standardized_products
from striate.recognition.splits import hold_out_fraction
from striate.samples import check_finite

__all__ = ["MirrorDecision", "decide_mirror"]

# Of photographs of faces, airplanes, scenes and mixed classes it is at most 0.14, of digits, letters, tiles that are
# photographed from one side and turntables at least 0.23.
_FAR = 0.2
_FEWEST, _MOST = 20, 2000  # images that are compared
_LABELS = 5  # of each class, to compare accuracies


@dataclass(frozen=True)
class MirrorDecision:
    """Whether to take mirror images as other views of the same class.

    Attributes
    ----------
    mirror : bool
    reason : str
        One sentence, for a report.
    farther : float or None
        How much farther from other images the mirror images are than the images themselves: 0 for equally near, 1 for
        as far as images that have nothing in common. None if there are too few images.
    accuracy, accuracy_mirrored : float or None
        Share of labeled images that are classified correctly by all others, without and with mirror images; None
        without enough labels.
    """

    mirror: bool
    reason: str
    farther: float | None = None
    accuracy: float | None = None
    accuracy_mirrored: float | None = None


def decide_mirror(
    features: NDArray[Any],
    mirrored: NDArray[Any],
    labels: Sequence[Any] | None = None,
    *,
    random_state: RandomState = None,
) -> MirrorDecision:
    """Decide whether mirror images are other views of the same class.

    The evidence that needs no labels: the mirror image of a photograph is about as near to other photographs as the
    photograph itself, that of a digit is not. With a the distance of an image from its nearest neighbor, b that of its
    mirror image from its nearest neighbor other than the image itself, and c the median distance of the image from all
    others, the median of log(b/a) is divided by that of log(c/a); it must not exceed 0.2.

    The evidence of labels, where each class has at least five: the accuracy of each image by a linear classifier of all
    others must not fall by more than two standard errors when the features of image and mirror image are averaged. It
    finds classes that are mirror images of each other. (Means of pixels lose more than those of features of filters.)

    Parameters
    ----------
    features : (n, ...)
        Of images: small pixels, about 32 × 32, for which 0.2 was found, or other features.
    mirrored : (n, ...)
        Those of the mirror images, left and right exchanged, in the same order.
    labels : sequence (n,), optional
        None or "" for images without a label.
    random_state : int, Generator or None
        Of the 2,000 images that are compared where there are more, and of folds.

    Raises
    ------
    UsageError
        If the features differ in shape, or are not finite, or there is not one label for each.
    """
    features, mirrored = np.asarray(features), np.asarray(mirrored)
    if features.shape != mirrored.shape or features.ndim < 2:
        raise UsageError(
            f"features of shape {features.shape} and of mirror images of shape {mirrored.shape} do not fit: give those "
            "of the same images in the same order"
        )
    if labels is not None and len(labels) != len(features):
        raise UsageError(f"there are {len(labels)} labels for {len(features)} images: give one each, None if unknown")
    generator = generator_from(random_state)
    if len(features) < _FEWEST:
        return MirrorDecision(False, f"mirror images are not used: {len(features)} images are too few to tell")
    chosen = np.sort(generator.permutation(len(features))[:_MOST])
    farther = _farther(_directions(features[chosen]), _directions(mirrored[chosen]))
    if farther > _FAR:
        return MirrorDecision(
            False,
            f"mirror images are not used: they resemble other images less than the images themselves do ({farther:.0%} "
            f"of the way to an unrelated image, above {_FAR:.0%})",
            farther,
        )
    near = f"they resemble other images as the images themselves do ({farther:.0%} of the way to an unrelated image)"
    known = [] if labels is None else [index for index, label in enumerate(labels) if label is not None and label != ""]
    names = np.array([str(labels[index]) for index in known] if labels is not None else [], dtype=str)
    counts = np.unique(names, return_counts=True)[1]
    if len(counts) < 2 or counts.min() < _LABELS:
        return MirrorDecision(True, f"mirror images are used as well: {near}", farther)
    rows = np.array(known)
    if len(rows) > _MOST:
        _, kept = hold_out_fraction(names, _MOST / len(rows), random_state=generator)
        rows, names = rows[kept], names[kept]
    before, after = _judged(features[rows], mirrored[rows], names)
    difference = after.astype(float) - before
    accuracies = float(before.mean()), float(after.mean())
    if difference.mean() < -2 * difference.std() / np.sqrt(len(difference)):
        reason = (
            "mirror images are not used: with them, the accuracy on labeled images that are left out falls from "
            f"{accuracies[0]:.1%} to {accuracies[1]:.1%}"
        )
        return MirrorDecision(False, reason, farther, *accuracies)
    reason = (
        f"mirror images are used as well: {near}, and the accuracy on labeled images that are left out goes from "
        f"{accuracies[0]:.1%} to {accuracies[1]:.1%}"
    )
    return MirrorDecision(True, reason, farther, *accuracies)


def _directions(features: NDArray[Any]) -> NDArray[np.float64]:
    """Each image without its mean and contrast, so that light does not count."""
    rows = features.reshape(len(features), -1).astype(np.float64)
    check_finite(rows, "features")
    rows -= rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


def _farther(rows: NDArray[np.float64], mirrored: NDArray[np.float64]) -> float:
    """See `decide_mirror`; 0 if all images have an exact copy or mirror copy."""
    distances = _distances(rows, rows)
    typical = np.median(distances, axis=1)
    np.fill_diagonal(distances, np.inf)
    own = distances.min(axis=1)
    distances = _distances(mirrored, rows)
    np.fill_diagonal(distances, np.inf)
    other = distances.min(axis=1)
    # Below it, distances are rounding errors of copies, which say nothing.
    used = (own > 1e-6) & (other > 1e-6) & (typical > own)
    if not used.any():
        return 0.0
    own, other, typical = own[used], other[used], typical[used]
    return float(np.median(np.log(other / own)) / np.median(np.log(typical / own)))


def _distances(some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = np.einsum("ij,ij->i", some, some)[:, None] + np.einsum("ij,ij->i", others, others)
    return np.sqrt(np.maximum(squares - 2 * some @ others.T, 0))


def _judged(
    features: NDArray[Any], mirrored: NDArray[Any], names: NDArray[np.str_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which images are classified correctly by all others, by their features and by the means with mirror images."""
    codes = np.unique(names, return_inverse=True)[1]
    targets = np.eye(int(codes.max()) + 1)[codes]
    rows, copies = (values.reshape(len(values), -1).astype(np.float32) for values in (features, mirrored))
    correct = []
    for samples in (rows, (rows + copies) / 2):
        kernel = standardized_products(Standardization(samples, scale="together"), samples)
        held_out = solve_least_squares(kernel, targets, SQUARES_PRIOR).held_out
        correct.append(held_out.argmax(axis=1) == codes)
    return correct[0], correct[1]
