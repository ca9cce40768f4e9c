"""K-SVD: its objective, the dictionary that made the data, incoherent units, and a fit that is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from striate import KSVD, model_file, threads
from striate.checkpoint import Checkpoint
from striate.coding import infer_until
from striate.errors import UsageError
from striate.learning import k_svd
from striate.learning._k_svd_sweep import Fit, coherence, sweep
from striate.progress import Progress
from tests.learning.test_sparse_coding import sparse_sources

SMALL: dict[str, Any] = {"n_components": 8, "max_nonzero": 2, "n_epochs": 4}


@parametrize_with_checks(
    [
        KSVD(**SMALL),
        KSVD(**SMALL, incoherence=0.3, split_sign=True),
        KSVD(**SMALL, sparse_output=True),
        KSVD(**SMALL | {"n_components": 1}),
    ]
)
def test_scikit_learn_contract(estimator: KSVD, check: Any) -> None:
    check(estimator)


def objective(signals: np.ndarray, codes: Any, units: np.ndarray, incoherence: float) -> float:
    """As the docstring of KSVD defines it, slowly."""
    error = np.square(signals - codes @ units).sum() / np.square(signals).sum()
    pairs = [abs(units[i] @ units[j]) for i in range(len(units)) for j in range(len(units)) if i != j]
    return float(error + incoherence * np.mean(pairs))


@pytest.mark.parametrize("incoherence", [0.0, 0.1, 1.0, 30.0])
def test_a_sweep_lowers_the_objective_and_keeps_supports(rng: np.random.Generator, incoherence: float) -> None:
    signals, units = rng.standard_normal((300, 16)), rng.standard_normal((24, 16))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    codes = infer_until(signals, units, method="omp", max_nonzero=3, sparse_output=True)
    before = objective(signals, codes, units, incoherence)
    errors, support = signals - codes @ units, codes.toarray() != 0
    energy = float(np.square(signals).sum())
    for _ in range(5):
        users = sweep(errors, codes, units, energy=energy, incoherence=incoherence)
        after = objective(signals, codes, units, incoherence)
        assert after < before
        before = after
        np.testing.assert_array_equal(users, support.sum(axis=0))
        np.testing.assert_allclose(errors, signals - codes @ units, atol=1e-12)
        np.testing.assert_array_equal(codes.toarray() != 0, support)
        np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1)


def test_a_converged_unit_is_the_largest_singular_vector(rng: np.random.Generator) -> None:
    signals = rng.standard_normal((50, 6)) * np.arange(1, 7)
    units, codes = np.eye(6)[:1] + 0.1, sparse.csr_array(np.ones((50, 1)))
    units /= np.linalg.norm(units)
    errors = signals - codes @ units
    for _ in range(200):
        sweep(errors, codes, units, energy=1.0, incoherence=0.0)
    best = np.linalg.svd(signals)[2][0]
    assert abs(best @ units[0]) == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(codes.toarray()[:, 0], signals @ units[0], atol=1e-9)


@pytest.mark.parametrize("incoherence", [0.0, 0.1])
def test_finds_the_dictionary_that_made_the_data(rng: np.random.Generator, incoherence: float) -> None:
    signals, truth = sparse_sources(rng)
    learner = KSVD(24, max_nonzero=3, incoherence=incoherence, n_epochs=60, random_state=0).fit(signals)
    overlap = np.abs(truth @ learner.components_.T).max(axis=1)
    assert np.median(overlap) > 0.99
    assert (overlap > 0.97).mean() >= 0.8
    objectives = [found.objective(incoherence) for found in learner.history_]
    if not learner.n_replaced_:
        assert (np.diff(objectives) <= 1e-6).all()
    assert objectives[-1] < 0.5 * objectives[0]
    codes = infer_until(signals, truth, method="omp", max_nonzero=3)
    assert learner.history_[-1].error < 3 * np.square(signals - codes @ truth).sum() / np.square(signals).sum()
    np.testing.assert_allclose(np.linalg.norm(learner.components_, axis=1), 1, rtol=1e-5)
    assert learner.usage_.sum() == pytest.approx(3, rel=0.01)


def test_units_are_the_less_coherent_the_more_it_weighs(rng: np.random.Generator) -> None:
    signals, _ = sparse_sources(rng, 1000)
    found = []
    for incoherence in (0.0, 0.3, 1.0, 3.0, 10.0):
        learner = KSVD(30, max_nonzero=3, incoherence=incoherence, n_epochs=20, random_state=0).fit(signals)
        assert learner.history_[-1].coherence == pytest.approx(coherence(learner.components_))
        found.append(learner.history_[-1])
    coherences = [fit.coherence for fit in found]
    assert coherences == sorted(coherences, reverse=True)
    assert coherences[-1] < 0.5 * coherences[0]
    assert found[-1].error > found[0].error


def test_units_that_nothing_uses_are_replaced(rng: np.random.Generator) -> None:
    signals, truth = sparse_sources(rng, 1000)
    start = np.vstack([truth[:10], truth[:10]])  # of copies, pursuits choose the first
    learner = KSVD(20, max_nonzero=3, start=start, n_epochs=40, random_state=0).fit(signals)
    assert learner.n_replaced_ >= 10
    assert (learner.usage_ > 0).all()
    assert np.median(np.abs(truth[10:] @ learner.components_.T).max(axis=1)) > 0.97
    # With fewer signals than units, some units stay unused.
    few = KSVD(30, max_nonzero=2, n_epochs=3, random_state=0).fit(signals[:9])
    assert np.isfinite(few.components_).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bits_depend_on_the_seed_alone(rng: np.random.Generator, dtype: Any) -> None:
    signals = sparse_sources(rng, 800)[0].astype(dtype)

    def learned(seed: int, n_threads: int) -> np.ndarray:
        with threads.limit(n_threads):
            return KSVD(16, max_nonzero=3, incoherence=0.2, n_epochs=5, random_state=seed).fit(signals).components_

    first = learned(0, 1)
    assert first.dtype == dtype
    np.testing.assert_array_equal(learned(0, 3), first)
    assert not np.array_equal(learned(1, 1), first)


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1e8, 1e30])
def test_signals_of_any_scale_have_the_same_dictionary(rng: np.random.Generator, scale: float) -> None:
    signals = sparse_sources(rng, 500)[0].astype(np.float64)
    of_one = KSVD(16, max_nonzero=3, n_epochs=5, random_state=0).fit(signals)
    scaled = KSVD(16, max_nonzero=3, n_epochs=5, random_state=0).fit(signals * scale)
    np.testing.assert_allclose(scaled.components_, of_one.components_, atol=1e-6)
    np.testing.assert_allclose(scaled.transform(signals * scale) / scale, of_one.transform(signals), atol=1e-4)


def test_signals_that_are_all_zero() -> None:
    learner = KSVD(4, max_nonzero=2, random_state=0).fit(np.zeros((20, 5)))
    assert learner.history_[-1] == Fit(0.0, learner.history_[-1].coherence)
    assert not learner.transform(np.zeros((3, 5))).any()


def test_codes_are_those_of_the_pursuit(rng: np.random.Generator) -> None:
    signals, _ = sparse_sources(rng, 400)
    learner = KSVD(16, max_nonzero=3, n_epochs=3, random_state=0).fit(signals)
    expected = infer_until(signals, learner.components_, method="omp", max_nonzero=3)
    np.testing.assert_array_equal(learner.transform(signals), expected)
    np.testing.assert_allclose(learner.inverse_transform(expected), expected @ learner.components_, atol=1e-6)
    split = learner.set_params(split_sign=True, sparse_output=True).transform(signals).toarray()
    np.testing.assert_array_equal(split[:, :16] - split[:, 16:], expected)
    assert len(learner.get_feature_names_out()) == 32


def test_partial_fit_goes_on_with_one_pass(rng: np.random.Generator) -> None:
    signals, _ = sparse_sources(rng, 600)
    learner = KSVD(16, max_nonzero=3, random_state=0)
    for count in range(1, 6):
        learner.partial_fit(signals)
        assert learner.n_iter_ == len(learner.history_) == count
    assert learner.history_[-1].error < learner.history_[0].error
    with pytest.raises(UsageError, match="features"):
        learner.partial_fit(signals[:, :5])


def test_an_interrupted_fit_resumes_to_the_same_bits(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals, _ = sparse_sources(rng, 500)
    options: dict[str, Any] = {"max_nonzero": 3, "incoherence": 0.1, "n_epochs": 8, "random_state": 0}
    whole = KSVD(16, **options).fit(signals)
    for stop in (1, 4, 7):
        folder = tmp_path / str(stop)
        calls = 0

        def interrupted(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > stop:  # noqa: B023
                raise KeyboardInterrupt
            return sweep(*args, **kwargs)

        monkeypatch.setattr(k_svd, "sweep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            KSVD(16, **options).fit(signals, checkpoint=Checkpoint(folder, {}, interval=0))
        monkeypatch.undo()
        progress = Progress()
        resumed = KSVD(16, **options).fit(signals, checkpoint=Checkpoint(folder, {}, interval=0), progress=progress)
        np.testing.assert_array_equal(resumed.components_, whole.components_)
        assert resumed.history_ == whole.history_
        assert resumed.n_iter_ == whole.n_iter_
        monkeypatch.setattr(k_svd, "sweep", interrupted)  # a fit that has ended does not learn again
        again = KSVD(16, **options).fit(signals, checkpoint=Checkpoint(folder, {}, interval=0))
        np.testing.assert_array_equal(again.components_, whole.components_)
        monkeypatch.undo()


def test_state_survives_a_file(rng: np.random.Generator, tmp_path: Path) -> None:
    signals, truth = sparse_sources(rng, 300)
    learner = KSVD(20, max_nonzero=3, incoherence=0.5, n_epochs=4, start=truth, random_state=0).fit(signals)
    model_file.write(tmp_path / "model.safetensors", *learner.to_state(), kind="learner")
    again = KSVD.from_state(*model_file.read(tmp_path / "model.safetensors", kind="learner"))
    np.testing.assert_array_equal(again.transform(signals), learner.transform(signals))
    assert again.history_ == learner.history_
    np.testing.assert_allclose(again.get_params()["start"], truth, atol=1e-6)
    np.testing.assert_array_equal(again.partial_fit(signals).components_, learner.partial_fit(signals).components_)


def test_works_in_a_pipeline(rng: np.random.Generator) -> None:
    signals, truth = sparse_sources(rng, 300)
    labels = (np.abs(signals @ truth[0]) > 0.5).astype(int)
    pipeline = make_pipeline(KSVD(20, max_nonzero=3, n_epochs=5, random_state=0), KNeighborsClassifier())
    assert pipeline.fit(signals, labels).score(signals, labels) > 0.6


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_nonzero": 0}, "max_nonzero is 0"),
        ({"incoherence": -1}, "incoherence is -1"),
        ({"n_epochs": 0}, "n_epochs is 0"),
        ({"start": np.ones((3, 3))}, "start must be 8 units of 16 finite numbers"),
        ({"start": np.full((8, 16), np.nan)}, "start must be"),
    ],
)
def test_wrong_parameters_are_refused(rng: np.random.Generator, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        KSVD(**SMALL | parameters).fit(sparse_sources(rng, 50)[0])
