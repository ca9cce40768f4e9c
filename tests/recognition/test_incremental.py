"""Adding, moving and removing samples is exact; what is held out is what a fit without it says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from striate.errors import UsageError
from striate.recognition import EVERYTHING_ELSE, Answer, IncrementalClassifier
from striate.recognition._incremental_fit import fit_products, groups_of
from striate.recognition._inner_products import inner_products
from striate.recognition.least_squares import solve_least_squares

LABELS = ("cup", "key", "hand", EVERYTHING_ELSE)
N_FEATURES = 7
ROWS = np.random.default_rng(0).standard_normal((40, N_FEATURES)).astype(np.float32)
NEW = np.random.default_rng(1).standard_normal((5, N_FEATURES)).astype(np.float32)


def clusters(
    n: int, n_classes: int, *, spread: float = 0.3, seed: int = 0, n_features: int = 30
) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(100).standard_normal((n_classes, n_features))
    codes = np.arange(n) % n_classes
    rows = centers[codes] + spread * rng.standard_normal((n, n_features))
    return rows.astype(np.float32), [f"class {code}" for code in codes]


def everything_of(classifier: IncrementalClassifier) -> list[Any]:
    """All that a classifier says, as bits."""
    answers = [classifier.predict(row) for row in NEW]
    said = [(a.label, list(a.probabilities.items()), a.unknown, a.novelty) for a in answers]
    return [classifier.n_samples, classifier.classes, classifier.samples, classifier.held_out(), said]


@pytest.mark.kernels
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_sample_that_was_removed_leaves_no_trace(data: st.DataObject) -> None:
    classifier = IncrementalClassifier(unknown=0.3)
    kept: dict[int, tuple[int, str, int | None]] = {}
    removed: dict[int, tuple[int, str, int | None]] = {}
    for _ in range(data.draw(st.integers(0, 25))):
        todo = data.draw(st.sampled_from(["add", "add", "add many", "remove", "relabel", "undo", "ask"]))
        if todo == "add":
            what = (
                data.draw(st.integers(0, 39)),
                data.draw(st.sampled_from(LABELS)),
                data.draw(st.sampled_from([None, 1, 2])),
            )
            kept[classifier.add(ROWS[what[0]], what[1], burst=what[2])] = what
        elif todo == "add many":
            several = [(data.draw(st.integers(0, 39)), data.draw(st.sampled_from(LABELS)), None) for _ in range(3)]
            numbers = classifier.add_many(ROWS[[one[0] for one in several]], [one[1] for one in several])
            kept |= zip(numbers, several, strict=True)
        elif todo == "remove" and kept:
            number = data.draw(st.sampled_from(sorted(kept)))
            classifier.remove(number)
            removed[number] = kept.pop(number)
        elif todo == "relabel" and kept:
            number = data.draw(st.sampled_from(sorted(kept)))
            row, _, burst = kept[number]
            kept[number] = (row, data.draw(st.sampled_from(LABELS)), burst)
            classifier.relabel(number, kept[number][1])
        elif todo == "undo" and removed:
            number = data.draw(st.sampled_from(sorted(removed)))
            kept[number] = removed.pop(number)
            row, label, burst = kept[number]
            assert classifier.add(ROWS[row], label, burst=burst, sample=number) == number
        elif todo == "ask":
            everything_of(classifier)
    alone = IncrementalClassifier(unknown=0.3)
    for number, (row, label, burst) in sorted(kept.items()):
        alone.add(ROWS[row], label, burst=burst, sample=number)
    assert everything_of(classifier) == everything_of(alone)


@pytest.mark.kernels
def test_products_do_not_depend_on_what_else_is_computed() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((70, 2500)).astype(np.float32)
    products = inner_products(rows, rows)
    np.testing.assert_allclose(products, rows.astype(np.float64) @ rows.T.astype(np.float64), rtol=1e-12, atol=1e-10)
    assert (products == products.T).all()
    for i, j in ((0, 69), (33, 5), (16, 16)):
        assert inner_products(rows[i : i + 1], rows[j : j + 1])[0, 0] == products[i, j]


@pytest.mark.parametrize("n", [12, 30, 330])
def test_it_is_ridge_regression(n: int) -> None:
    X, labels = clusters(n, 3)
    classifier = IncrementalClassifier()
    classifier.add_many(X, labels)
    codes = np.arange(n) % 3
    targets = np.eye(3)[codes]
    fit = fit_products(
        (X.astype(np.float64) @ X.T), codes.astype(np.int64), groups_of(labels, [None] * n), np.ones(3, bool), 0.05
    )
    new = clusters(20, 3, spread=2.0, seed=1)[0]
    scores = new.astype(np.float64) @ X.T.astype(np.float64) @ fit.coefficients[:-1] + fit.coefficients[-1]
    penalty = 1e-2 * X.var(axis=0, dtype=np.float64).sum()
    expected = Ridge(alpha=penalty).fit(X.astype(np.float64), targets).predict(new)
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    said = [next(iter(classifier.predict(row).probabilities)) for row in new]
    assert said == [f"class {code}" for code in scores.argmax(axis=1)]


def test_what_is_held_out_is_what_the_others_say() -> None:
    X, labels = clusters(40, 3, spread=1.0)
    rng = np.random.default_rng(0)
    groups = groups_of(labels, [None if n < 10 else int(b) for n, b in enumerate(rng.integers(0, 5, 40))])
    codes = np.arange(40) % 3
    X = X.astype(np.float64)
    fit = fit_products(X @ X.T, codes, groups, np.ones(3, bool), 0.05)
    # The penalty is that of all samples, also for the fits without some of them.
    centered = X - X.mean(axis=0)
    penalty = 1e-2 * float(np.square(centered).sum(axis=1).mean())
    expected = np.empty((40, 3))
    for group in np.unique(groups.of):
        others, own = groups.of != group, groups.of == group
        expected[own] = Ridge(alpha=penalty).fit(X[others], np.eye(3)[codes[others]]).predict(X[own])
    np.testing.assert_allclose(fit.held_out, expected, atol=1e-6)


def test_alone_it_is_the_leave_one_out_of_least_squares() -> None:
    X, labels = clusters(12, 3)
    products = X.astype(np.float64) @ X.T.astype(np.float64)
    codes = np.arange(12) % 3
    fit = fit_products(products, codes, groups_of(labels, [None] * 12), np.ones(3, bool), None)
    expected = solve_least_squares(products, np.eye(3)[codes], 1e-2)
    np.testing.assert_allclose(fit.held_out, expected.held_out, atol=1e-12)
    np.testing.assert_allclose(fit.coefficients, expected.coefficients, atol=1e-12)
    assert fit.threshold == math.inf


def test_bursts_are_held_out_together_and_a_single_one_in_halves() -> None:
    groups = groups_of(list("aaaabbbc"), [1, 1, 2, None, 1, 1, 1, 1])
    assert groups.of.tolist() == [0, 0, 1, 2, 3, 4, 4, 5]
    assert groups.halved.tolist() == [False] * 4 + [True] * 3 + [False]
    assert groups_of([], []).of.tolist() == []


def test_frames_of_one_burst_do_not_recognize_each_other() -> None:
    rng = np.random.default_rng(0)
    views = rng.standard_normal((12, 20))  # unrelated views, ten nearly equal frames of each
    frames = (np.repeat(views, 10, axis=0) + 1e-3 * rng.standard_normal((120, 20))).astype(np.float32)
    labels = [f"class {view % 2}" for view in np.repeat(np.arange(12), 10)]
    alone, together = IncrementalClassifier(), IncrementalClassifier()
    alone.add_many(frames, labels)
    together.add_many(frames, labels, bursts=np.repeat(np.arange(12), 10).tolist())
    assert alone.held_out().accuracy == 1
    accuracy = together.held_out().accuracy
    assert accuracy is not None
    assert accuracy < 0.8


def test_no_sample_one_sample_one_class() -> None:
    classifier = IncrementalClassifier()
    assert classifier.predict(NEW[0]) == Answer(None, {}, True, math.inf)
    assert classifier.held_out() == (None, {})
    assert classifier.classes == ()
    first = classifier.add(ROWS[0], "cup")
    answer = classifier.predict(ROWS[0] + np.float32(0.1))
    assert (answer.label, answer.probabilities, answer.unknown) == ("cup", {"cup": 1.0}, False)
    assert 0 < answer.novelty < 1
    assert classifier.predict(-ROWS[0]).unknown
    assert classifier.held_out() == (None, {})
    classifier.add(ROWS[0], "cup")  # the very same
    assert classifier.predict(ROWS[0]).label == "cup"
    assert classifier.held_out() == (1.0, {"cup": 1.0})
    classifier.remove(first)
    classifier.add(ROWS[1], "key")
    assert set(classifier.predict(NEW[0]).probabilities) == {"cup", "key"}
    assert classifier.held_out() == (None, {})


def test_all_samples_removed_it_takes_others() -> None:
    classifier = IncrementalClassifier()
    sample = classifier.add(ROWS[0], "cup")
    with pytest.raises(UsageError, match=r"shape \(1, 3\), and \(n_samples, 7\) is needed"):
        classifier.add(ROWS[0, :3], "cup")
    classifier.remove(sample)
    assert classifier.add(ROWS[0, :3], "cup") == sample + 1
    assert classifier.features_of(sample + 1).tolist() == ROWS[0, :3].tolist()


def test_classes_are_recognized_and_others_are_unknown() -> None:
    X, labels = clusters(200, 4)
    classifier = IncrementalClassifier(unknown=0.05)
    classifier.add_many(X, labels)
    new, truth = clusters(400, 4, seed=1)
    answers = [classifier.predict(row) for row in new]
    assert np.mean([a.unknown for a in answers]) < 0.1
    assert all(a.label in (None, label) for a, label in zip(answers, truth, strict=True))
    strange = [classifier.predict(row) for row in clusters(50, 8, seed=2)[0]]
    foreign = [a for number, a in enumerate(strange) if number % 8 >= 4]
    assert all(a.unknown and a.label is None and a.novelty > 1 for a in foreign)
    assert all(math.isclose(sum(a.probabilities.values()), 1, rel_tol=1e-9) for a in answers)


def test_everything_else_is_no_class() -> None:
    X, labels = clusters(60, 3)
    labels = [EVERYTHING_ELSE if label == "class 2" else label for label in labels]
    classifier = IncrementalClassifier(unknown=None)
    classifier.add_many(X, labels)
    assert classifier.classes == ("class 0", "class 1")
    assert set(classifier.held_out().per_class) == {"class 0", "class 1"}
    answer = classifier.predict(X[2])
    assert (answer.label, answer.unknown) == (None, True)
    assert next(iter(answer.probabilities)) == EVERYTHING_ELSE
    assert classifier.predict(X[0]).label == "class 0"


def test_what_cannot_be() -> None:
    classifier = IncrementalClassifier()
    sample = classifier.add(ROWS[0], "cup")
    with pytest.raises(UsageError, match="there is no sample 7"):
        classifier.remove(7)
    with pytest.raises(UsageError, match="a label is text, not 3"):
        classifier.relabel(sample, 3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no two samples can have the same"):
        classifier.add(ROWS[1], "cup", sample=sample)
    with pytest.raises(UsageError, match="one axis"):
        classifier.add(ROWS[:1], "cup")
    with pytest.raises(UsageError, match="as many labels"):
        classifier.add_many(ROWS[:2], ["cup"])
    with pytest.raises(UsageError, match="NaN"):
        classifier.add(np.full(N_FEATURES, np.nan, np.float32), "cup")
    with pytest.raises(UsageError):
        classifier.add(np.full(N_FEATURES, 1e300), "cup")
    with pytest.raises(UsageError, match="false alarms"):
        IncrementalClassifier(unknown=1.0)
    assert classifier.n_samples == 1
    assert classifier.label_of(sample) == "cup"
