"""What `auto` does with the labels: it chooses among paths and kernels, and spreads labels, where this helps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.progress import Progress
from striate.randomness import generator_from
from striate.recognition.label_spreading import SPREAD_DECAY, spread_where_it_helps
from striate.recognition.path_choice import choose_paths
from striate.recognition.softmax_classifier import SoftmaxClassifier

__all__ = ["MOST_UNLABELED", "AutoFit", "fit_auto", "take_columns", "uses_unlabeled"]

MOST_UNLABELED = 4000
"""Unlabeled images that labels are spread to; time grows with the cube of their number."""

_MOST_LABELED, _MOST_PER_CLASS = 2000, 100  # more labels leave little to gain from unlabeled images


class AutoFit(NamedTuple):
    """A classifier of some paths.

    Attributes
    ----------
    classifier : SoftmaxClassifier
        Of the features of the paths that are kept.
    kept : tuple of int
        These paths, in ascending order.
    reasons : list of str
        One sentence for each decision.
    """

    classifier: SoftmaxClassifier
    kept: tuple[int, ...]
    reasons: list[str]


def fit_auto(
    features: NDArray[Any],
    labels: NDArray[Any],
    unlabeled: NDArray[Any] | None,
    columns: Sequence[slice],
    names: Sequence[str],
    *,
    weight_decay: float | Literal["auto"] = "auto",
    random_state: int | None = None,
    progress: Progress | None = None,
) -> AutoFit:
    """Choose paths by the labels, and fit a classifier, from unlabeled images too if it gains by them.

    Parameters
    ----------
    features : (n, n_features)
        Of labeled images, path after path.
    labels : (n,)
        Of at least two classes.
    unlabeled : (n_unlabeled, n_features) or None
        Features of unlabeled images; at most 4,000 of them are used.
    columns : sequence of slice
        Those of each path.
    names : sequence of str
        Of the paths, for the reasons.
    weight_decay, random_state
        As in `SoftmaxClassifier`; a weight decay that is given also counts for spread labels.
    progress : Progress, optional
    """
    classes, codes = np.unique(labels, return_inverse=True)
    choice = choose_paths(features, columns, codes, names, random_state=random_state, progress=progress)
    reasons = [choice.reason]
    own = take_columns(features, [columns[number] for number in choice.kept])
    options: dict[str, Any] = {"standardize": "together", "random_state": random_state}
    if unlabeled is not None and len(unlabeled) and uses_unlabeled(len(codes), len(classes)):
        generator = generator_from(random_state)
        some = np.sort(generator.permutation(len(unlabeled))[:MOST_UNLABELED])
        others = take_columns(unlabeled, [columns[number] for number in choice.kept])[some]
        everything = np.concatenate([own, others])
        known = np.concatenate([codes, np.full(len(others), -1)])
        spread, reason = spread_where_it_helps(
            everything, known, len(classes), random_state=random_state, progress=progress
        )
        reasons.append(reason)
        if spread is not None:
            decay = SPREAD_DECAY if weight_decay == "auto" else weight_decay
            classifier = SoftmaxClassifier(loss="squares", weight_decay=decay, **options)
            classifier.fit(everything, classes[spread.classes], progress=progress)
            if spread.temperature is not None:
                classifier.temperature_ = spread.temperature
            return AutoFit(classifier, choice.kept, reasons)
    classifier = SoftmaxClassifier(loss="auto", kernel="auto", weight_decay=weight_decay, **options)
    classifier.fit(own, labels, progress=progress)
    reasons.append(f"the classifier: a {'Gaussian' if classifier.kernel_ == 'gaussian' else 'linear'} kernel")
    return AutoFit(classifier, choice.kept, reasons)


def uses_unlabeled(n_labeled: int, n_classes: int) -> bool:
    """Whether labels are so few that spreading them is tried."""
    return n_labeled <= min(_MOST_LABELED, _MOST_PER_CLASS * n_classes)


def take_columns(features: NDArray[Any], columns: Sequence[slice]) -> NDArray[Any]:
    """Some columns; a view where they are adjacent."""
    if all(first.stop == second.start for first, second in pairwise(columns)):
        return features[:, columns[0].start : columns[-1].stop]
    return np.concatenate([features[:, each] for each in columns], axis=1)
