from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.errors import UsageError
from striate.recognition.splits import (
    draw_fraction,
    draw_per_class,
    hold_out_fraction,
    stratified_draws,
    stratified_folds,
    train_test_split_per_class,
)

sizes_of_classes = st.lists(st.integers(1, 30), min_size=1, max_size=8)
seeds = st.integers(0, 2**32 - 1)
quickly = settings(max_examples=60, deadline=None)


def shuffled_labels(sizes: list[int], seed: int = 0) -> np.ndarray:
    """Labels of classes of these sizes, in random order."""
    labels = np.repeat([f"class {n}" for n in range(len(sizes))], sizes)
    return np.random.default_rng(seed).permutation(labels)


def counts(labels: np.ndarray, indices: np.ndarray, n_classes: int) -> np.ndarray:
    """How many of each class; and that the indices are ascending, which makes them distinct."""
    assert indices.dtype == np.int64
    assert (np.diff(indices) > 0).all()
    return np.array([(labels[indices] == f"class {n}").sum() for n in range(n_classes)])


def assert_partition(n_samples: int, *parts: np.ndarray) -> None:
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n_samples))


@quickly
@given(sizes=sizes_of_classes, n=st.integers(1, 30), seed=seeds)
def test_as_many_of_every_class_or_a_refusal(sizes: list[int], n: int, seed: int) -> None:
    labels = shuffled_labels(sizes)
    if n > min(sizes):
        with pytest.raises(UsageError, match=f"class 'class .*has {min(sizes)} samples, too few for {n} to draw"):
            draw_per_class(labels, n)
    else:
        assert (counts(labels, draw_per_class(labels, n, random_state=seed), len(sizes)) == n).all()


@quickly
@given(sizes=sizes_of_classes, share=st.floats(0, 1), seed=seeds)
def test_draws_are_as_even_as_the_sizes_allow(sizes: list[int], share: float, seed: int) -> None:
    labels = shuffled_labels(sizes)
    n_labels = len(sizes) + round(share * (sum(sizes) - len(sizes)))
    for drawn in stratified_draws(labels, n_labels, 2, random_state=seed):
        of_class = counts(labels, drawn, len(sizes))
        assert of_class.sum() == n_labels
        # A class has fewer than another, by more than one, only where it has no more to give.
        assert (of_class[of_class < of_class.max() - 1] == np.array(sizes)[of_class < of_class.max() - 1]).all()


def test_draws_are_uniform_and_so_are_the_classes_that_get_one_more() -> None:
    labels = shuffled_labels([6, 6, 6])
    draws = stratified_draws(labels, 7, 6000, random_state=0)
    np.testing.assert_allclose(np.bincount(np.concatenate(draws)), 6000 * 7 / 18, rtol=0.06)
    more = [counts(labels, drawn, 3).argmax() for drawn in draws]
    np.testing.assert_allclose(np.bincount(more), 2000, rtol=0.08)


@quickly
@given(sizes=sizes_of_classes, n=st.integers(1, 10), at_most=st.none() | st.integers(1, 10), seed=seeds)
def test_so_many_of_a_class_train_and_the_rest_test(sizes: list[int], n: int, at_most: int | None, seed: int) -> None:
    sizes = [size + n for size in sizes]
    labels = shuffled_labels(sizes)
    train, test = train_test_split_per_class(labels, n, n_test_per_class=at_most, random_state=seed)
    assert (counts(labels, train, len(sizes)) == n).all()
    rest = np.array(sizes) - n
    np.testing.assert_array_equal(counts(labels, test, len(sizes)), rest if at_most is None else rest.clip(max=at_most))
    assert not np.intersect1d(train, test).size
    if at_most is None:
        assert_partition(len(labels), train, test)


@quickly
@given(sizes=sizes_of_classes, fraction=st.floats(0.001, 1), seed=seeds)
def test_a_fraction_of_each_class_is_drawn(sizes: list[int], fraction: float, seed: int) -> None:
    labels = shuffled_labels(sizes)
    drawn, rest = draw_fraction(labels, fraction, random_state=seed)
    assert_partition(len(labels), drawn, rest)
    of_class, share = counts(labels, drawn, len(sizes)), fraction * np.array(sizes)
    assert (of_class >= 1).all()
    n_single = int((share < 1).sum())  # of these classes one sample may be more than their share
    assert abs(of_class.sum() - share.sum()) <= 0.5 + n_single + 1e-9
    if not n_single:
        assert (np.abs(of_class - share) <= 1 + 1e-9).all()


@quickly
@given(sizes=sizes_of_classes, fraction=st.floats(0, 0.999), seed=seeds)
def test_what_is_held_out_leaves_one_of_every_class(sizes: list[int], fraction: float, seed: int) -> None:
    labels = shuffled_labels(sizes)
    kept, held_out = hold_out_fraction(labels, fraction, random_state=seed)
    assert_partition(len(labels), kept, held_out)
    assert (counts(labels, kept, len(sizes)) >= 1).all()
    assert len(held_out) <= fraction * len(labels) + 0.5 + 1e-9


@quickly
@given(sizes=sizes_of_classes, n_folds=st.integers(2, 10), seed=seeds)
def test_folds_are_even_in_all_and_in_each_class(sizes: list[int], n_folds: int, seed: int) -> None:
    labels = shuffled_labels(sizes)
    folds = stratified_folds(labels, n_folds, random_state=seed)
    for n, size in enumerate(sizes):
        of_class = folds[labels == f"class {n}"]
        if size == 1:
            assert of_class == -1  # never held out
        else:
            assert np.ptp(np.bincount(of_class, minlength=n_folds)) <= 1
            assert len(np.unique(of_class)) > 1  # whichever fold is held out, the class is trained
    assert np.ptp(np.bincount(folds[folds >= 0], minlength=n_folds)) <= 1


@pytest.mark.parametrize(
    "split",
    [
        lambda labels, seed: draw_per_class(labels, 5, random_state=seed),
        lambda labels, seed: np.concatenate(stratified_draws(labels, 20, 3, random_state=seed)),
        lambda labels, seed: train_test_split_per_class(labels, 5, random_state=seed)[0],
        lambda labels, seed: draw_fraction(labels, 0.4, random_state=seed)[0],
        lambda labels, seed: hold_out_fraction(labels, 0.4, random_state=seed)[1],
        lambda labels, seed: stratified_folds(labels, 5, random_state=seed),
    ],
)
def test_the_same_seed_splits_the_same(split: Callable[[Any, Any], np.ndarray]) -> None:
    labels = shuffled_labels([20, 30, 40])
    once = split(labels, 3)
    np.testing.assert_array_equal(split(list(labels), 3), once)
    np.testing.assert_array_equal(split(labels, np.random.default_rng(3)), once)
    assert not np.array_equal(split(labels, 4), once)


def test_impossible_requests_are_refused_in_one_sentence() -> None:
    labels = shuffled_labels([2, 3, 9])
    with pytest.raises(UsageError, match=r"^class 'class 0' \(and 1 more classes\) has 2 samples, too few for 4 to dr"):
        draw_per_class(labels, 4)
    with pytest.raises(UsageError, match="'class 0' has 2 samples, too few for 2 to train with and one to test"):
        train_test_split_per_class(labels, 2)
    for n_labels in (2, 15):
        with pytest.raises(UsageError, match=f"cannot draw {n_labels} labels.*choose a number from 3 to 14"):
            stratified_draws(labels, n_labels, 1)
    for n, n_test in ((0, None), (1, 0)):
        with pytest.raises(UsageError, match=r"at least 1 per class, not 0"):
            train_test_split_per_class(labels, n, n_test_per_class=n_test)
    for fraction in (0.0, 1.1, float("nan")):
        with pytest.raises(UsageError, match=f"a fraction is {fraction}; it must be a number above 0 and at most 1"):
            draw_fraction(labels, fraction)
    for fraction in (1.0, -0.5):
        with pytest.raises(UsageError, match=f"held out is {fraction}; it must be a number of at least 0 and below 1"):
            hold_out_fraction(labels, fraction)
    with pytest.raises(UsageError, match="at least 2 folds, not 1"):
        stratified_folds(labels, 1)
    with pytest.raises(UsageError, match="no labels"):
        draw_fraction([], 0.5)
