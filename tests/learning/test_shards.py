"""Dictionaries from shards: the sums, the fall of the objective, the same bits with any workers, kills and errors."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib import parallel_config

from striate.checkpoint import Checkpoint
from striate.coding import infer
from striate.distribute import workers
from striate.errors import StriateError, UsageError
from striate.learning import SparseCoding, learn_from_shards, shards
from tests.killing import learn_through_kills


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five shards of different sizes, of sparse combinations of 24 units with 16 numbers."""
    rng = np.random.default_rng(0)
    units = rng.standard_normal((24, 16))
    folder = tmp_path_factory.mktemp("shards")
    paths = []
    for number, n in enumerate((300, 250, 400, 301, 5)):
        codes = rng.standard_normal((n, 24)) * (rng.random((n, 24)) < 0.1)
        signals = codes @ units + 0.05 * rng.standard_normal((n, 16))
        paths.append(folder / f"{number}.npy")
        np.save(paths[-1], signals.astype(np.float32))
    return paths


def learner(**parameters: Any) -> SparseCoding:
    return SparseCoding(
        **{"n_components": 24, "sparsity": 0.2, "max_batches": 40, "batch_size": 64, "random_state": 0} | parameters
    )


def same(found: SparseCoding, expected: SparseCoding) -> None:
    assert found.history_ == expected.history_
    for name in ("components_", "usage_", "_code_products", "_signal_products"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.mark.kernels
def test_one_round_is_the_sums_of_all_signals_and_sweeps_over_the_units(files: list[Path]) -> None:
    signals = np.concatenate([np.load(path) for path in files]).astype(np.float64)
    first = learner().fit(np.load(files[0]).astype(np.float64))
    units = first.components_.copy()
    found = learn_from_shards(first, [np.load(path).astype(np.float64) for path in files], n_rounds=1)
    codes = np.asarray(infer(signals, units, 0.2, tolerance=1e-10))
    np.testing.assert_allclose(found._code_products, codes.T @ codes, atol=1e-2)
    np.testing.assert_allclose(found._signal_products, codes.T @ signals, atol=1e-2)
    np.testing.assert_allclose(found.usage_, (codes != 0).mean(axis=0), atol=2e-3)
    objective = 0.5 * np.square(signals - codes @ units).sum(axis=1) + 0.2 * np.abs(codes).sum(axis=1)
    assert found.history_[-1].objective == pytest.approx(objective.mean(), rel=1e-4)
    # No unit could be moved on the sphere to lower the error of these codes.
    products, with_signals = found._code_products, found._signal_products
    for j, unit in enumerate(found.components_):
        others = with_signals[j] - products[j] @ found.components_ + products[j, j] * unit
        np.testing.assert_allclose(unit, others / np.linalg.norm(others), atol=5e-3)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"positive": True, "l2": 0.1}, {"positive_components": True}, {"max_nonzero": 2}, {"sparsity": "auto"}],
    ids=str,
)
def test_the_objective_of_all_signals_falls(files: list[Path], parameters: dict[str, Any]) -> None:
    found = learn_from_shards(learner(**parameters), files, n_rounds=6, tolerance=0)
    objectives = np.array([one.objective for one in found.history_[-6:]])
    if "max_nonzero" not in parameters:  # greedy codes are not optimal
        assert (np.diff(objectives) <= 1e-4 * objectives[:-1]).all()
    assert objectives[-1] < 0.98 * objectives[0]
    np.testing.assert_allclose(np.linalg.norm(found.components_, axis=1), 1, atol=1e-5)
    if parameters.get("positive_components"):
        assert (found.components_ >= 0).all()
    # What follows is scored as it says, and can learn on.
    signals = np.concatenate([np.load(path) for path in files])
    if "max_nonzero" not in parameters:
        assert -found.score(signals) <= objectives[-1] * (1 + 1e-4)
    found.partial_fit(signals)


def test_learning_ends_when_a_round_gains_little(files: list[Path]) -> None:
    found = learn_from_shards(learner(), files, n_rounds=50, tolerance=0.05)
    assert found.n_batches_ < 60
    objectives = [one.objective for one in found.history_[-(found.n_batches_ - 40) :]]
    assert objectives[-1] > 0.95 * objectives[-2]


def test_an_unused_unit_is_replaced_by_a_signal_that_is_coded_badly(files: list[Path]) -> None:
    one = learner().fit(np.load(files[0]))
    one.components_[3] = 0
    found = learn_from_shards(one, files, n_rounds=3, tolerance=0)
    assert found.n_replaced_ >= 1
    assert found.usage_[3] > 0


def test_the_same_bits_with_any_workers(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = learn_from_shards(learner(), files, n_rounds=2)
    arrays = [np.load(path) for path in files]
    for config in ({"n_jobs": 2}, {"n_jobs": 3}, {"backend": "threading", "n_jobs": 2}):
        with parallel_config(**config):
            same(learn_from_shards(learner(), arrays if "backend" in config else files, n_rounds=2), expected)


def dies_once(coder: Any, shard: Path) -> Any:
    """The statistics of a shard; the worker of the fourth is killed the first time."""
    mark = shard.parent / "killed"
    if shard.name == "3.npy" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return statistics(coder, shard)


statistics = shards._statistics


def test_a_killed_worker_changes_nothing(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = learn_from_shards(learner(), files, n_rounds=2)
    monkeypatch.setattr(shards, "_statistics", dies_once)
    with workers(2):
        found = learn_from_shards(learner(), files, n_rounds=2)
    assert (files[0].parent / "killed").exists()
    same(found, expected)


def test_a_run_that_is_killed_goes_on_with_the_same_bits(files: list[Path], tmp_path: Path) -> None:
    expected = learn_from_shards(learner(), files, n_rounds=4, tolerance=0)

    def learn(checkpoint: Checkpoint) -> SparseCoding:
        return learn_from_shards(learner(), files, n_rounds=4, tolerance=0, checkpoint=checkpoint)

    found, kills = learn_through_kills(learn, tmp_path / "c", lambda: 1)
    assert kills >= 3
    same(found, expected)


def test_a_shard_that_cannot_be_read_is_named_and_the_rounds_before_are_kept(files: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.npy"
    broken.write_bytes(b"no array")
    with pytest.raises(StriateError, match=r"broken\.npy: cannot be read"):
        learn_from_shards(learner(), [*files, broken])
    np.save(broken, np.zeros((3, 4)))
    with pytest.raises(UsageError, match=r"broken\.npy: has shape \(3, 4\), and 16 numbers"):
        learn_from_shards(learner(), [*files, broken])
    np.save(broken, np.full((3, 16), np.nan))
    with pytest.raises(StriateError, match=r"broken\.npy.*NaN"):
        learn_from_shards(learner(), [*files, broken])
    with pytest.raises(UsageError, match="no shards"):
        learn_from_shards(learner(), [])
