from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from striate import model_file
from striate.checkpoint import Checkpoint
from striate.coding import certify, infer
from striate.errors import UsageError
from striate.learning import SparseCoding
from striate.learning._dictionary_update import update_dictionary

SMALL: dict[str, Any] = {"n_components": 8, "max_epochs": 5, "batch_size": 10, "active_fraction": 0.2}


@parametrize_with_checks(
    [
        SparseCoding(**SMALL),
        SparseCoding(**SMALL, positive=True, positive_components=True),
        SparseCoding(**SMALL, sparse_output=True, split_sign=True),
        SparseCoding(**SMALL, max_nonzero=2, refit=True),
        SparseCoding(**SMALL, l2=0.1),
        SparseCoding(**SMALL, max_nonzero=1, positive=True, split_sign=True),
        SparseCoding(**SMALL, sparsity=0.1, shuffle=False, forgetting=0),
        SparseCoding(**SMALL | {"n_components": 1}),
        *(SparseCoding(**SMALL, method=method) for method in ("coordinate_descent", "feature_sign", "homotopy")),
        *(SparseCoding(**SMALL, method=method) for method in ("greedy_descent", "fista")),
    ]
)
def test_scikit_learn_contract(estimator: SparseCoding, check: Any) -> None:
    check(estimator)


def sparse_sources(rng: np.random.Generator, n_samples: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Signals that a dictionary made: three units each, some noise."""
    dictionary = rng.standard_normal((20, 16))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    order = rng.permuted(np.tile(np.arange(20), (n_samples, 1)), axis=1)[:, :3]
    codes = np.zeros((n_samples, 20))
    codes[np.arange(n_samples)[:, np.newaxis], order] = rng.choice([-1, 1], (n_samples, 3)) * rng.uniform(
        1, 2, (n_samples, 3)
    )
    return (codes @ dictionary + 0.02 * rng.standard_normal((n_samples, 16))).astype(np.float32), dictionary


def same(one: SparseCoding, other: SparseCoding) -> bool:
    """Bit for bit, what learning would go on with included."""
    arrays, header = one.to_state(training=True)
    other_arrays, other_header = other.to_state(training=True)
    return header == other_header and all(np.array_equal(arrays[name], other_arrays[name]) for name in arrays)


def test_finds_the_dictionary_that_made_the_data(rng: np.random.Generator) -> None:
    signals, truth = sparse_sources(rng)
    learner = SparseCoding(n_components=24, sparsity=0.2, batch_size=100, random_state=0).fit(signals)
    overlap = np.abs(truth @ learner.components_.T).max(axis=1)
    assert np.median(overlap) > 0.99
    np.testing.assert_allclose(np.linalg.norm(learner.components_, axis=1), 1, rtol=1e-5)
    objectives = [look.objective for look in learner.history_]
    of_truth = certify(signals, infer(signals, truth, 0.2), truth, 0.2).objective.mean()
    assert objectives[-1] < 1.02 * of_truth
    assert objectives[-1] == pytest.approx(learner.objective_)


def test_statistics_are_the_papers_sums_however_signals_are_divided(rng: np.random.Generator) -> None:
    signals, _ = sparse_sources(rng, 600)
    start = rng.standard_normal((20, 16))
    codes, products = np.zeros((20, 20)), np.zeros((20, 16))
    learner = SparseCoding(20, sparsity=0.3, forgetting=0, start=start, random_state=0)
    dictionary = start / np.linalg.norm(start, axis=1, keepdims=True)
    dictionary = dictionary.astype(np.float32)
    for rows in (slice(0, 37), slice(37, 300), slice(300, 301), slice(301, 600)):
        learner.partial_fit(signals[rows])
        z = infer(signals[rows], dictionary, 0.3)
        codes += z.T.astype(float) @ z
        products += z.T.astype(float) @ signals[rows]
        update_dictionary(dictionary, codes.astype(np.float32), products.astype(np.float32))
    np.testing.assert_allclose(learner._code_products, codes, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(learner._signal_products, products, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(learner.components_, dictionary, atol=1e-3)
    assert learner.n_batches_ == learner.n_steps_ == 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_components", [5, 32, 71])
def test_a_sweep_is_the_papers_algorithm_2(rng: np.random.Generator, dtype: Any, n_components: int) -> None:
    codes = rng.standard_normal((200, n_components)) * (rng.random((200, n_components)) < 0.2)
    codes[:, 2] = 0  # without statistics
    signals = rng.standard_normal((200, 9))
    a, b = codes.T @ codes, codes.T @ signals
    ours = rng.standard_normal((n_components, 9)).astype(dtype)
    ours /= np.linalg.norm(ours, axis=1, keepdims=True)
    slow = ours.astype(float)

    def error(d: np.ndarray) -> float:
        return 0.5 * float(np.sum(d * (a @ d))) - float(np.sum(d * b))

    before = error(slow)
    for j in range(n_components):
        if a[j, j] > 0:
            unit = slow[j] + (b[j] - a[j] @ slow) / a[j, j]
            slow[j] = unit / np.linalg.norm(unit)
    unused = ours[2].copy()
    update_dictionary(ours, a.astype(dtype), b.astype(dtype))
    np.testing.assert_allclose(ours, slow, atol=1e-4 if dtype == np.float32 else 1e-10)
    np.testing.assert_array_equal(ours[2], unused)
    assert error(ours.astype(float)) < before


# Each parameter of scikit-learn's and the one that takes its place.
DROP_IN = {
    "n_components": "n_components",
    "alpha": "sparsity",
    "batch_size": "batch_size",
    "max_iter": "max_epochs",
    "dict_init": "start",
    "positive_code": "positive",
    "positive_dict": "positive_components",
    "random_state": "random_state",
}


@pytest.mark.parametrize("positive", [False, True])
def test_takes_the_place_of_scikit_learns(rng: np.random.Generator, positive: bool) -> None:
    signals, truth = sparse_sources(rng, 1000)
    signals = np.abs(signals) if positive else signals
    start = truth + 0.2 * rng.standard_normal(truth.shape)
    start = np.abs(start) if positive else start
    theirs = {
        "n_components": 20, "alpha": 0.2, "batch_size": 100, "max_iter": 30, "positive_code": positive,
        "positive_dict": positive, "random_state": 0,
        "dict_init": start / np.linalg.norm(start, axis=1, keepdims=True),
    }  # fmt: skip
    ours: dict[str, Any] = {DROP_IN[name]: value for name, value in theirs.items()}
    peer = MiniBatchDictionaryLearning(
        **theirs, fit_algorithm="cd", transform_algorithm="lasso_cd", transform_alpha=0.2, tol=0,
        max_no_improvement=None, transform_max_iter=10_000,
    ).fit(signals.astype(float))  # fmt: skip
    learner = SparseCoding(**ours, tolerance=0).fit(signals.astype(float))
    for name in ("components_", "n_features_in_", "n_iter_", "n_steps_"):
        assert np.shape(getattr(learner, name)) == np.shape(getattr(peer, name)), name

    def objective(codes: np.ndarray, dictionary: np.ndarray) -> float:
        return float(certify(signals, codes, dictionary, 0.2, positive=positive).objective.mean())

    # The same codes for the same dictionary, and a dictionary that is as good or better.
    same_units = SparseCoding(**(ours | {"start": peer.components_, "max_epochs": 1}))
    same_units.partial_fit(signals.astype(float))
    same_units.components_ = peer.components_.copy()
    reached = objective(peer.transform(signals.astype(float)), peer.components_)
    assert objective(same_units.transform(signals.astype(float)), peer.components_) == pytest.approx(reached, rel=1e-4)
    assert objective(learner.transform(signals.astype(float)), learner.components_) < 1.01 * reached


def test_fit_transform_and_transform_solve_the_same_problem(rng: np.random.Generator) -> None:
    signals, _ = sparse_sources(rng, 500)
    learner = SparseCoding(24, sparsity=0.3, max_batches=20, random_state=0)
    np.testing.assert_array_equal(learner.fit_transform(signals), learner.transform(signals))
    proof = certify(signals, learner.transform(signals), learner.components_, 0.3)
    assert proof.relative_gap.max() < 2e-4
    assert learner.score(signals) == pytest.approx(-proof.objective.mean(), rel=1e-4)
    again = learner.infer(signals, tolerance=1e-7, info=True)
    assert again.relative_gap.max() < 2e-6


@pytest.mark.parametrize("wanted", [0.03, 0.1])
def test_the_automatic_sparsity_leaves_the_wanted_fraction_active(rng: np.random.Generator, wanted: float) -> None:
    signals = rng.laplace(size=(3000, 25)) @ rng.standard_normal((25, 25))
    for scale in (1e-3, 1.0, 500.0):
        learner = SparseCoding(64, active_fraction=wanted, max_batches=150, random_state=0).fit(scale * signals)
        active = (learner.transform(scale * signals) != 0).mean()
        assert active == pytest.approx(wanted, rel=0.25)
        assert learner.sparsity_ > 0


def test_units_that_nothing_uses_are_replaced(rng: np.random.Generator) -> None:
    signals, _ = sparse_sources(rng)
    signals[:, 0] = 0
    start = rng.standard_normal((24, 16))
    start[:, 0] = 0
    start[:5] = np.eye(16)[0]  # what neither signals nor other units have
    learner = SparseCoding(24, sparsity=0.2, start=start, batch_size=100, max_batches=300, random_state=0).fit(signals)
    assert learner.n_replaced_ >= 5
    assert np.abs(learner.components_[:, 0]).max() < 0.5
    assert (learner.usage_ > 0.001).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_stay(rng: np.random.Generator, dtype: Any) -> None:
    signals = sparse_sources(rng, 300)[0].astype(dtype)
    learner = SparseCoding(24, sparsity=0.3, max_batches=5, random_state=0).fit(signals)
    assert learner.components_.dtype == dtype
    for other in (np.float32, np.float64):
        assert learner.transform(signals.astype(other)).dtype == other
    codes = learner.set_params(sparse_output=True).transform(signals)
    assert codes.dtype == dtype
    assert learner.inverse_transform(codes).dtype == dtype


def test_a_memory_map_and_an_iterator_teach_as_an_array_does(rng: np.random.Generator, tmp_path: Path) -> None:
    signals, _ = sparse_sources(rng, 1500)
    np.save(tmp_path / "signals.npy", signals)
    mapped = np.load(tmp_path / "signals.npy", mmap_mode="r")
    options: dict[str, Any] = {"n_components": 24, "sparsity": 0.3, "max_batches": 30, "random_state": 0}
    learner = SparseCoding(**options).fit(signals)
    assert same(SparseCoding(**options).fit(mapped), learner)
    streamed = SparseCoding(**options).fit(signals[start : start + 50] for start in range(0, 1500, 50))
    assert streamed.n_batches_ == 30
    by_hand = SparseCoding(**options)
    for start in range(0, 1500, 50):
        by_hand.partial_fit(signals[start : start + 50])
    np.testing.assert_allclose(streamed.components_, by_hand.components_, atol=1e-5)
    with pytest.raises(UsageError, match="no samples"):
        SparseCoding(**options).fit(iter([]))
    broken = mapped[:200].copy()
    broken[150, 3] = np.nan
    np.save(tmp_path / "broken.npy", broken)
    with pytest.raises(ValueError, match="NaN"):
        SparseCoding(**options).fit(np.load(tmp_path / "broken.npy", mmap_mode="r"))


SCRIPT = """
import sys, time
import numpy as np
from pathlib import Path
from striate import model_file
from striate.checkpoint import Checkpoint
from striate.learning import SparseCoding

def batches():
    for number in range(60):
        yield np.random.default_rng(number).standard_normal((64, 25))
        time.sleep(float(sys.argv[3]))

learner = SparseCoding(40, active_fraction=0.1, random_state=0)
learner.fit(batches(), checkpoint=Checkpoint(Path(sys.argv[1]), {}, interval=0))
arrays, header = learner.to_state(training=True)
np.savez(sys.argv[2], **arrays)
"""


@pytest.mark.parametrize("after", [0.3, 0.7, 1.2])
def test_a_killed_fit_over_an_iterator_goes_on_to_the_same_bits(tmp_path: Path, after: float) -> None:
    script = tmp_path / "learn.py"
    script.write_text(SCRIPT, "utf-8")

    def command(name: str, pause: float) -> list[str]:
        return [sys.executable, str(script), str(tmp_path / name), str(tmp_path / f"{name}.npz"), str(pause)]

    subprocess.run(command("whole", 0), check=True)
    process = subprocess.Popen(command("killed", 0.03))
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed.npz").exists()
    subprocess.run(command("killed", 0), check=True)
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "killed.npz") as killed:
        for name in whole.files:
            np.testing.assert_array_equal(whole[name], killed[name])


def test_an_interrupted_fit_over_an_array_resumes_to_the_same_bits(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals, _ = sparse_sources(rng, 800)
    options: dict[str, Any] = {"n_components": 24, "max_batches": 120, "batch_size": 50, "random_state": 0}
    whole = SparseCoding(**options).fit(signals)
    learn = SparseCoding._learn

    def interrupted(learner: SparseCoding, *arguments: Any) -> None:
        if learner.n_batches_ == 61:
            raise KeyboardInterrupt
        learn(learner, *arguments)

    checkpoint = Checkpoint(tmp_path / "state", {}, interval=0)
    with monkeypatch.context() as patch:
        patch.setattr(SparseCoding, "_learn", interrupted)
        with pytest.raises(KeyboardInterrupt):
            SparseCoding(**options).fit(signals, checkpoint=checkpoint)
    checkpoint = Checkpoint(tmp_path / "state", {}, interval=0)
    _, header = checkpoint.load("sparse-coding") or ({}, {})
    assert header["n_batches"] == 61
    assert same(SparseCoding(**options).fit(signals, checkpoint=checkpoint), whole)


def test_state_survives_a_file(rng: np.random.Generator, tmp_path: Path) -> None:
    signals, _ = sparse_sources(rng, 300)
    learner = SparseCoding(24, sparsity=0.3, max_batches=10, random_state=0).fit(signals)
    arrays, header = learner.to_state(training=True)
    model_file.write(tmp_path / "model.safetensors", arrays, header, kind="sparse coding")
    loaded = SparseCoding.from_state(*model_file.read(tmp_path / "model.safetensors", kind="sparse coding"))
    np.testing.assert_array_equal(loaded.transform(signals), learner.transform(signals))
    assert same(loaded.partial_fit(signals), learner.partial_fit(signals))


def test_works_in_a_pipeline_under_grid_search(rng: np.random.Generator) -> None:
    signals, truth = sparse_sources(rng, 200)
    labels = (signals @ truth[0] > 0).astype(int)
    pipeline = make_pipeline(SparseCoding(16, max_batches=5, random_state=0), KNeighborsClassifier())
    search = GridSearchCV(pipeline, {"sparsecoding__sparsity": [0.1, "auto"]}, cv=2).fit(signals, labels)
    assert search.best_score_ > 0.6


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components is 0; it must be an integer of at least 1"),
        ({"n_components": 1.5}, "n_components is 1.5"),
        ({"sparsity": 0}, "sparsity is 0; it must be a number above 0"),
        ({"sparsity": "some"}, 'or "auto"'),
        ({"sparsity": np.nan}, "sparsity is nan"),
        ({"active_fraction": 1.5}, "active_fraction is 1.5; it must be a number above 0 and below 1"),
        ({"positive": "yes"}, "positive is 'yes'"),
        ({"positive_components": 1}, "positive_components is 1"),
        ({"l2": -1}, "l2 is -1"),
        ({"max_nonzero": 0}, "max_nonzero is 0"),
        ({"refit": 2}, "refit is 2"),
        ({"split_sign": "no"}, "split_sign is 'no'"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"max_batches": "many"}, "max_batches is 'many'"),
        ({"max_epochs": -1}, "max_epochs is -1"),
        ({"forgetting": -1}, "forgetting is -1; it must be a number of at least 0"),
        ({"shuffle": "first"}, "shuffle is 'first'"),
        ({"method": "omp"}, "method is 'omp'"),
        ({"validation_fraction": 1}, "validation_fraction is 1"),
        ({"tolerance": -1e-3}, "tolerance is -0.001"),
        ({"sparse_output": None}, "sparse_output is None"),
        ({"random_state": "seed"}, "random_state is 'seed'"),
        ({"start": np.ones((3, 16))}, "24 units of 16"),
        ({"start": "random"}, "24 units of 16"),
        ({"start": np.full((24, 16), np.nan)}, "24 units of 16"),
    ],
)
def test_wrong_parameters_are_refused(rng: np.random.Generator, parameters: dict[str, Any], message: str) -> None:
    signals, _ = sparse_sources(rng, 100)
    with pytest.raises(UsageError, match=message):
        SparseCoding(**({"n_components": 24} | parameters)).fit(signals)
    with pytest.raises(UsageError, match=message):
        SparseCoding(**({"n_components": 24} | parameters)).partial_fit(signals)
