"""Which paths of a hierarchy suit a collection, by its own labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.progress import Progress
from striate.randomness import RandomState, generator_from
from striate.recognition.feature_space import Standardization
from striate.recognition.gaussian_kernel import GaussianKernel
from striate.recognition.kernel_choice import SQUARES_PRIOR
from striate.recognition.least_squares import calibrated_losses, solve_least_squares
from striate.recognition.metrics import exceeds_its_error
from striate.recognition.sample_space import standardized_products
from striate.recognition.splits import hold_out_fraction

__all__ = ["PathChoice", "choose_paths"]

_MOST = 1500  # samples that are compared; their inner products take seconds


class PathChoice(NamedTuple):
    """The paths that are kept.

    Attributes
    ----------
    kept : tuple of int
        In ascending order.
    reason : str
        One sentence, for a report.
    results : list of dict
        Of each set of paths that was compared: ``paths`` (their names), ``accuracy`` and ``log_loss`` of each sample by
        the classifier without it.
    """

    kept: tuple[int, ...]
    reason: str
    results: list[dict[str, Any]]


def choose_paths(
    features: NDArray[Any],
    columns: Sequence[slice],
    labels: NDArray[np.integer],
    names: Sequence[str],
    *,
    random_state: RandomState = None,
    progress: Progress | None = None,
) -> PathChoice:
    """Compare sets of paths by the scores of each sample without it (`solve_least_squares`).

    The sets are all paths, all but one, and each alone: more sets would find one that is better by chance.

    All paths together are kept unless another set has a cross-entropy that is lower by more than a standard error
    of the paired difference: of equally good sets, the largest is the safest for images that are not seen yet.

    Parameters
    ----------
    features : (n, n_features)
        Of the labeled samples; 1,500 of them are compared where there are more.
    columns : sequence of slice
        Those of each path.
    labels : integer (n,)
        In 0 … n_classes − 1.
    names : sequence of str
        Of the paths, for the reason.
    random_state : int, Generator or None
    progress : Progress, optional
    """
    everything = tuple(range(len(columns)))
    counts = np.bincount(labels)
    if len(columns) == 1 or counts[counts > 0].max() < 2:
        return PathChoice(
            everything, "with one label per class, there is nothing to compare the paths by: all are used", []
        )
    rows = np.arange(len(labels))
    if len(rows) > _MOST:
        _, rows = hold_out_fraction(labels, _MOST / len(rows), random_state=generator_from(random_state))
    sizes = sorted({len(columns), max(1, len(columns) - 1), 1}, reverse=True)
    sets = [some for size in sizes for some in combinations(everything, size)]
    codes = np.unique(labels[rows], return_inverse=True)[1]
    results: list[dict[str, Any]] = []
    losses = []
    with (progress or Progress()).phase("comparison of paths", len(columns) + len(sets), "products") as phase:
        products = []
        for each in columns:
            own = np.asarray(features[:, each])[rows]
            products.append(standardized_products(Standardization(own, scale=False), own))
            phase.advance()
        for some in sets:
            found, accuracy = _judged(np.sum([products[number] for number in some], axis=0), codes)
            losses.append(found)
            results.append(
                {
                    "paths": [names[number] for number in some],
                    "accuracy": accuracy,
                    "log_loss": float(found.mean()),
                }
            )
            phase.advance()
    best = int(np.argmin([loss.mean() for loss in losses]))
    kept = best if exceeds_its_error(losses[0] - losses[best]) else 0
    other = max(results[1:], key=lambda result: result["accuracy"]) if kept == 0 else results[0]
    reason = (
        f"{_named(results[kept])}: {results[kept]['accuracy']:.1%} of {len(rows):,} labeled images are right by all "
        f"others, {other['accuracy']:.1%} with {_named(other)}"
    )
    return PathChoice(sets[kept], reason, results)


def _named(result: dict[str, Any]) -> str:
    *first, last = result["paths"]
    return f"{', '.join(first)} and {last}" if first else f"{last} alone"


def _judged(products: NDArray, labels: NDArray[np.integer]) -> tuple[NDArray[np.float64], float]:
    """Losses and accuracy of the better of a linear and a Gaussian kernel."""
    squares = products.diagonal().copy()
    gaussian = GaussianKernel.of_samples(products, squares, 1.0).of(products.copy(), squares, squares)
    targets = np.eye(int(labels.max()) + 1)[labels]
    found = []
    for kernel in (products, gaussian):
        held_out = solve_least_squares(kernel, targets, SQUARES_PRIOR).held_out
        losses, _ = calibrated_losses(held_out, labels)
        found.append((losses, float(np.mean(held_out.argmax(axis=1) == labels))))
    return min(found, key=lambda each: each[0].mean())
