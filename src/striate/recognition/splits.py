"""Stratified draws, splits and folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Integer, Real, checked
from striate.randomness import RandomState, generator_from
from striate.recognition.labels import label_array

__all__ = [
    "draw_fraction",
    "draw_per_class",
    "hold_out_fraction",
    "stratified_draws",
    "stratified_folds",
    "train_test_split_per_class",
]

Labels = Sequence | NDArray
Indices = NDArray[np.int64]


def draw_per_class(labels: Labels, n_per_class: int, *, random_state: RandomState = None) -> Indices:
    """Draw the same number of samples from every class.

    Parameters
    ----------
    labels : (n_samples,)
    n_per_class : int
    random_state : int, Generator or None

    Returns
    -------
    drawn : int64 (n_classes · n_per_class,)
        Indices, ascending.

    Raises
    ------
    UsageError
        For a class with fewer samples.
    """
    members, names = _shuffled_classes(labels, random_state)
    _require(members, names, n_per_class, "to draw")
    return np.sort(np.concatenate([indices[:n_per_class] for indices in members]))


def stratified_draws(labels: Labels, n_labels: int, n_draws: int, *, random_state: RandomState = None) -> list[Indices]:
    """Draw `n_labels` samples several times, each time as evenly over the classes as possible.

    Parameters
    ----------
    labels : (n_samples,)
    n_labels : int
        Total number of samples per draw. If it is not a multiple of the number of classes, some classes, chosen at
        random, get one more; if a class has too few samples, the other classes get more.
    n_draws : int
        Number of draws, which are independent: a sample may be in several.
    random_state : int, Generator or None

    Returns
    -------
    draws : list of int64 (n_labels,)
        Indices, ascending.

    Raises
    ------
    UsageError
        For fewer labels than classes, or more than samples.
    """
    generator = generator_from(random_state)
    n_samples, n_classes = len(labels), len(np.unique(label_array(labels)))
    n_labels, n_draws = checked("n_labels", n_labels, Integer()), checked("n_draws", n_draws, Integer(low=1))
    if not n_classes <= n_labels <= n_samples:
        raise UsageError(
            f"cannot draw {n_labels} labels: there are {n_classes} classes and {n_samples} samples; "
            f"choose a number from {n_classes} to {n_samples}"
        )
    draws = []
    for _ in range(n_draws):
        members, _ = _shuffled_classes(labels, generator)
        counts = _even_counts(np.array([len(indices) for indices in members]), n_labels, generator)
        chosen = [indices[:count] for indices, count in zip(members, counts, strict=True)]
        draws.append(np.sort(np.concatenate(chosen)))
    return draws


def train_test_split_per_class(
    labels: Labels, n_train_per_class: int, *, n_test_per_class: int | None = None, random_state: RandomState = None
) -> tuple[Indices, Indices]:
    """The protocol of Caltech-101: a fixed number of training images per class, and the rest for testing.

    Parameters
    ----------
    labels : (n_samples,)
    n_train_per_class : int
        Usually 30 or 15.
    n_test_per_class : int, optional
        Maximum number of test images per class; by default all that are not used for training.
    random_state : int, Generator or None

    Returns
    -------
    train, test : int64
        Indices, ascending.

    Raises
    ------
    UsageError
        For a class without a sample left to test.
    """
    members, names = _shuffled_classes(labels, random_state)
    _require(members, names, n_train_per_class, "to train with", extra=1)
    n_test_per_class = checked("n_test_per_class", n_test_per_class, Integer() | None)
    if n_test_per_class is not None and n_test_per_class < 1:
        raise UsageError(f"the number of samples to test with must be at least 1 per class, not {n_test_per_class}")
    stop = None if n_test_per_class is None else n_train_per_class + n_test_per_class
    train = np.concatenate([indices[:n_train_per_class] for indices in members])
    test = np.concatenate([indices[n_train_per_class:stop] for indices in members])
    return np.sort(train), np.sort(test)


def draw_fraction(labels: Labels, fraction: float, *, random_state: RandomState = None) -> tuple[Indices, Indices]:
    """Draw a fraction of each class.

    Parameters
    ----------
    labels : (n_samples,)
    fraction : float
        In (0, 1]. At least one sample is drawn from every class; numbers are rounded so that the total is exact, except
        for classes that are raised to one sample.
    random_state : int, Generator or None

    Returns
    -------
    drawn, rest : int64
        Indices, ascending, that together are all.
    """
    fraction = checked("a fraction", fraction, Real(above=0, high=1))
    generator = generator_from(random_state)
    members, _ = _shuffled_classes(labels, generator)
    # Rounding the cumulative sum, with classes in random order, keeps the total exact and prefers no class.
    drawn, rest = [], []
    total, taken = 0.0, 0
    for position in generator.permutation(len(members)):
        indices = members[position]
        total += fraction * len(indices)
        count = min(max(round(total) - taken, 1), len(indices))
        taken += count
        drawn.append(indices[:count])
        rest.append(indices[count:])
    return np.sort(np.concatenate(drawn)), np.sort(np.concatenate(rest))


def hold_out_fraction(labels: Labels, fraction: float, *, random_state: RandomState = None) -> tuple[Indices, Indices]:
    """Hold out a fraction of each class, but keep at least one sample of every class.

    Parameters
    ----------
    labels : (n_samples,)
    fraction : float
        Fraction of the samples that is held out, in [0, 1).
    random_state : int, Generator or None

    Returns
    -------
    kept, held_out : int64
        Indices, ascending, that together are all.
    """
    fraction = checked("a fraction that is held out", fraction, Real(low=0, below=1))
    return draw_fraction(labels, 1 - fraction, random_state=random_state)


def stratified_folds(labels: Labels, n_folds: int, *, random_state: RandomState = None) -> NDArray[np.int64]:
    """The fold in which each sample is held out.

    Parameters
    ----------
    labels : (n_samples,)
    n_folds : int
        At least 2.
    random_state : int, Generator or None

    Returns
    -------
    folds : int64 (n_samples,)
        In 0 … n_folds − 1. Fold sizes, in total and per class, differ by at most one. The only sample of a class has
        fold −1: it is never held out, so that all classes are in every training set.
    """
    n_folds = checked("n_folds", n_folds, Integer())
    if n_folds < 2:
        raise UsageError(f"cross-validation needs at least 2 folds, not {n_folds}")
    members, _ = _shuffled_classes(labels, random_state)
    folds = np.full(len(labels), -1, np.int64)
    next_fold = 0
    for indices in members:
        if len(indices) > 1:
            folds[indices] = (next_fold + np.arange(len(indices))) % n_folds
            next_fold += len(indices)
    return folds


def _shuffled_classes(labels: Labels, random_state: RandomState) -> tuple[list[Indices], NDArray]:
    """Indices of each class in random order, and the names of the classes."""
    generator = generator_from(random_state)
    names, codes = np.unique(label_array(labels), return_inverse=True)
    if len(names) == 0:
        raise UsageError("there are no labels to draw from")
    order = generator.permutation(len(codes)).astype(np.int64)
    return [order[codes[order] == code] for code in range(len(names))], names


def _require(members: list[Indices], names: NDArray, n: int, purpose: str, extra: int = 0) -> None:
    n = checked(f"the number of samples {purpose}", n, Integer())
    if n < 1:
        raise UsageError(f"the number of samples {purpose} must be at least 1 per class, not {n}")
    small = [
        (len(indices), str(name)) for indices, name in zip(members, names, strict=True) if len(indices) < n + extra
    ]
    if small:
        size, name = min(small)
        more = f" (and {len(small) - 1} more classes)" if len(small) > 1 else ""
        spare = " and one to test" if extra else ""
        raise UsageError(
            f"class {name!r}{more} has {size} samples, too few for {n} {purpose}{spare}; "
            "ask for fewer per class, or leave the class out"
        )


def _even_counts(sizes: NDArray[np.integer], total: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Numbers per class with the sum `total`, as equal as possible, and none above the size of its class."""
    level = int(total // len(sizes))
    while np.minimum(sizes, level + 1).sum() <= total:
        level += 1
        if level >= sizes.max():
            break
    counts = np.minimum(sizes, level).astype(np.int64)
    larger = generator.permutation(np.flatnonzero(sizes > level))
    counts[larger[: total - int(counts.sum())]] += 1
    return counts
