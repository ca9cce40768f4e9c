from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression as OfScikitLearn

from striate.progress import Progress
from striate.recognition import feature_space, weight_decay
from striate.recognition.feature_space import FeatureSpace, Standardization
from striate.recognition.sample_space import SampleCoordinates, SampleSpace
from striate.recognition.softmax import fit_temperature
from striate.recognition.splits import stratified_folds
from striate.recognition.weight_decay import cross_validate, solve

DECAYS = [1.0, 1e-1, 1e-2, 1e-3]


def problem(
    rng: np.random.Generator, n_samples: int = 120, n_features: int = 40, noise: float = 3.0
) -> tuple[np.ndarray, np.ndarray]:
    features = rng.standard_normal((n_samples, n_features))
    scores = features[:, :10] @ rng.standard_normal((10, 3)) + noise * rng.standard_normal((n_samples, 3))
    return features, scores.argmax(axis=1)


def spaces(features: np.ndarray) -> list[SampleCoordinates | FeatureSpace]:
    standardization = Standardization(features)
    of_samples = SampleSpace(features, standardization).coordinates(np.arange(len(features)))
    return [of_samples, FeatureSpace(features, standardization)]


def test_figures_are_those_of_scikit_learn_on_held_out_samples(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_decay, "_TOLERANCE", 1e-9)
    features, labels = problem(rng)
    rows = rng.permutation(120)[:100]
    labels = labels[rows]
    folds = stratified_folds(labels, 4, random_state=0)
    samples = ((features - features.mean(axis=0)) / features.std(axis=0))[rows]
    decays = [1e-2, 1.0, 1e-1]  # in no order
    expected = []
    for decay in sorted(decays, reverse=True):
        logits = np.empty((100, 3))
        for fold in range(4):
            train = folds != fold
            peer = OfScikitLearn(C=1 / (decay * train.sum()), tol=1e-6, solver="newton-cg")
            logits[~train] = peer.fit(samples[train], labels[train]).decision_function(samples[~train])
        temperature = fit_temperature(logits, labels)
        losses = -log_softmax(logits / temperature, axis=1)[np.arange(100), labels]
        expected.append([decay, (logits.argmax(axis=1) == labels).mean(), losses.mean(), temperature])
    best = min(expected, key=lambda figures: figures[2])
    for space in spaces(features):
        chosen = cross_validate(space, rows, labels, 3, decays, folds)
        names = ["weight_decay", "accuracy", "log_loss", "temperature"]
        np.testing.assert_allclose([[result[name] for name in names] for result in chosen.results], expected, rtol=1e-3)
        assert chosen.weight_decay == best[0]
        assert chosen.temperature == pytest.approx(best[3], rel=1e-3)


def test_the_choice_is_close_to_the_best_in_hindsight(rng: np.random.Generator) -> None:
    decays = [10.0**-n for n in range(-1, 6)]
    train, test = np.arange(200), np.arange(200, 1800)
    regrets, chosen = [], []
    for noise in (0.2, 1.0, 4.0) * 2:
        features, labels = problem(rng, 1800, 60, noise)
        space = FeatureSpace(features, Standardization(features))
        folds = stratified_folds(labels[train], 5, random_state=0)
        chosen.append(cross_validate(space, train, labels[train], 3, decays, folds).weight_decay)
        accuracies = []
        for decay in decays:
            design, solution = solve(space, train, labels[train], 3, decay)
            accuracies.append((space.logits(design, solution.coefficients, test).argmax(axis=1) == labels[test]).mean())
        regrets.append(max(accuracies) - np.array(accuracies))
    of_chosen = [regret[decays.index(decay)] for regret, decay in zip(regrets, chosen, strict=True)]
    assert np.mean(of_chosen) < 0.03
    assert np.mean(of_chosen) <= np.mean(regrets, axis=0).min() + 0.015  # no fixed decay is better by much
    assert len(set(chosen)) > 1


def test_folds_that_get_worse_end_early(rng: np.random.Generator) -> None:
    features, labels = problem(rng, noise=20.0)
    decays = [10.0**-n for n in range(-1, 9)]
    for space in spaces(features):
        chosen = cross_validate(space, np.arange(120), labels, 3, decays, stratified_folds(labels, 3, random_state=0))
        assert [result["weight_decay"] for result in chosen.results] == decays[: len(chosen.results)]
        assert len(chosen.results) < len(decays) - 2


@pytest.mark.parametrize("single_split", [False, True])
def test_one_split_holds_out_the_first_fold_alone(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, single_split: bool
) -> None:
    monkeypatch.setattr(weight_decay, "_TOLERANCE", 1e-9)
    features, labels = problem(rng)
    folds = stratified_folds(labels, 3, random_state=0)
    progress = Progress()
    space = spaces(features)[1]
    options: dict = {"single_split": single_split, "progress": progress}
    (result,) = cross_validate(space, np.arange(120), labels, 3, [1e-2], folds, **options).results
    (record,) = progress.records
    assert (record.name, record.items) == ("weight decay by cross-validation", 1 if single_split else 3)
    right = []
    for fold in range(record.items):
        kept, held_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        design, solution = solve(space, kept, labels[kept], 3, 1e-2, tolerance=1e-9)
        right.extend(space.logits(design, solution.coefficients, held_out).argmax(axis=1) == labels[held_out])
    assert result["accuracy"] == pytest.approx(np.mean(right))


def test_what_is_prepared_beside_the_folds_changes_no_bit(rng: np.random.Generator) -> None:
    features, labels = problem(rng)
    folds = stratified_folds(labels, 3, random_state=0)
    for space in spaces(features):
        chosen, ahead = (
            cross_validate(space, np.arange(120), labels, 3, DECAYS, folds, prepare=prepare)
            for prepare in (False, True)
        )
        assert chosen.results == ahead.results
        assert chosen.prepared is None
        assert ahead.prepared is not None
        one, other = (
            solve(space, np.arange(120), labels, 3, chosen.weight_decay, start=found.start, prepared=found.prepared)[1]
            for found in (chosen, ahead)
        )
        np.testing.assert_array_equal(one.coefficients, other.coefficients)


def test_the_start_saves_iterations_and_moves_no_optimum(rng: np.random.Generator) -> None:
    features, labels = problem(rng, noise=1.0)
    folds = stratified_folds(labels, 5, random_state=0)
    for space in spaces(features):
        chosen = cross_validate(space, np.arange(120), labels, 3, DECAYS, folds)
        cold, warm = (
            solve(space, np.arange(120), labels, 3, chosen.weight_decay, start=start, tolerance=1e-8)[1]
            for start in (None, chosen.start)
        )
        assert warm.value == pytest.approx(cold.value, rel=1e-6)
        roughly = solve(space, np.arange(120), labels, 3, chosen.weight_decay, start=chosen.start, max_iterations=0)[1]
        assert roughly.value < 1.5 * cold.value


def test_threads_and_streams_change_no_bit(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = problem(rng)
    folds = stratified_folds(labels, 4, random_state=0)
    monkeypatch.setattr(weight_decay, "_TOLERANCE", 1e-9)
    resident = cross_validate(spaces(features)[1], np.arange(120), labels, 3, DECAYS, folds)
    monkeypatch.setattr(feature_space, "_RESIDENT_BYTES", 0)
    monkeypatch.setattr(feature_space, "_BLOCK_BYTES", 4 * 40 * 11)
    one, other = (
        cross_validate(FeatureSpace(features, Standardization(features)), np.arange(120), labels, 3, DECAYS, folds)
        for _ in range(2)
    )
    assert one.results == other.results
    np.testing.assert_array_equal(one.start, other.start)
    assert resident.weight_decay == one.weight_decay
    for here, there in zip(one.results, resident.results, strict=True):
        assert here["log_loss"] == pytest.approx(there["log_loss"], rel=1e-3)
