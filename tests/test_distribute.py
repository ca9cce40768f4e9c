"""Shards in workers: the order, the sums, workers that die, and errors."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib import parallel_config

from striate import distribute
from striate.distribute import cluster, map_shards, n_workers, tree_sum, workers
from striate.errors import StriateError, UnreadableImage, UsageError


def squared(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


def squared_or_dead(number: int, *, folder: Path, dies_at: int, times: int) -> int:
    """The square; the process that computes one of the numbers is killed the first few times."""
    if number == dies_at:
        for attempt in range(times):
            try:
                (folder / f"died-{attempt}").touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return number**2


def workers_within(_: int) -> int:
    return n_workers()


def refused(number: int) -> int:
    if number == 5:
        raise UnreadableImage("five.png", "it is no image")
    return number


def test_one_worker_is_this_process() -> None:
    assert n_workers() == 1
    found = list(map_shards(squared, range(5)))
    assert found == [(number**2, os.getpid()) for number in range(5)]
    with workers(1):
        assert n_workers() == 1
    with workers(None):
        assert n_workers() == 1


def test_results_are_in_the_order_of_the_shards_and_come_from_other_processes() -> None:
    with workers(2):
        assert n_workers() == 2
        found = list(map_shards(squared, iter(range(150))))  # more than are given out together
    assert [square for square, _ in found] == [number**2 for number in range(150)]
    assert os.getpid() not in {process for _, process in found}
    assert n_workers() == 1


@pytest.mark.parametrize("backend", ["threading", "multiprocessing", "loky"])
def test_engines_of_joblib(backend: str) -> None:
    with parallel_config(backend=backend, n_jobs=2):
        assert n_workers() == 2
        assert set(map_shards(workers_within, range(4))) == {1}
        assert [square for square, _ in map_shards(squared, range(20))] == [number**2 for number in range(20)]


def test_shards_are_taken_only_as_results_are() -> None:
    taken = []

    def numbers() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    with workers(2):
        results = map_shards(squared, numbers())
        next(results)
        results.close()
    assert len(taken) <= 64


def test_the_shards_of_a_killed_worker_are_computed_again(tmp_path: Path) -> None:
    function = partial(squared_or_dead, folder=tmp_path, dies_at=7, times=1)
    with workers(2):
        assert list(map_shards(function, range(20))) == [number**2 for number in range(20)]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_shard_that_always_kills_its_worker_ends_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribute, "_ATTEMPTS", 2)
    function = partial(squared_or_dead, folder=tmp_path, dies_at=3, times=10)
    with workers(2), pytest.raises(StriateError, match="run again with fewer workers"):
        list(map_shards(function, range(20)))
    assert 2 <= len(list(tmp_path.iterdir())) <= 5  # counted anew when one of the three before it is done


def test_an_error_ends_the_work() -> None:
    with workers(2), pytest.raises(UnreadableImage, match=r"five.png: it is no image"):
        list(map_shards(refused, range(20)))


def lost_cluster(number: int) -> int:
    kind = type("CommClosedError", (OSError,), {"__module__": "distributed.comm.core"})
    raise kind("in <TCP>: Stream is closed")


def test_a_cluster_that_is_gone_ends_in_one_sentence() -> None:
    with parallel_config(backend="threading", n_jobs=2), pytest.raises(StriateError, match=r"scheduler.*run again"):
        list(map_shards(lost_cluster, range(4)))


def test_a_cluster_of_dask_of_which_a_worker_is_killed(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    function = partial(squared_or_dead, folder=tmp_path, dies_at=7, times=1)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
        cluster(local.scheduler_address),
    ):
        assert n_workers() == 2
        assert list(map_shards(function, range(80))) == [number**2 for number in range(80)]
    assert len(list(tmp_path.iterdir())) == 1


def test_no_scheduler_at_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(distribute, "_SECONDS_FOR_SCHEDULER", 0.5)
    with pytest.raises(UsageError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:9"), cluster("tcp://127.0.0.1:9"):
        pass


@pytest.mark.parametrize("n", [0, -1, True, 1.5, "two"])
def test_numbers_of_workers_that_cannot_be(n: Any) -> None:
    with pytest.raises(UsageError, match="number of workers"), workers(n):
        pass


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13, 100])
def test_the_tree_is_fixed_and_adds_everything(n: int, rng: np.random.Generator) -> None:
    parts = [(rng.standard_normal((3, 4)).astype(np.float32), 1) for _ in range(n)]
    before = [part[0].copy() for part in parts]
    total, count = tree_sum(iter(parts))
    assert count == n
    np.testing.assert_allclose(total, np.sum([part[0] for part in parts], axis=0, dtype=np.float64), atol=1e-5)
    for part, was in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part[0], was)


def test_the_tree_of_five() -> None:
    found = tree_sum([(f"{letter}",) for letter in "abcde"])
    assert found == ["abcde"]

    class Term:
        def __init__(self, text: str) -> None:
            self.text = text

        def __add__(self, other: Term) -> Term:
            return Term(f"({self.text}{other.text})")

    assert tree_sum([(Term(letter),) for letter in "abcde"])[0].text == "(((ab)(cd))e)"


def test_the_error_of_a_tree_grows_slowly() -> None:
    n = 100_000
    value = np.float32(0.1)
    (total,) = tree_sum((value,) for _ in range(n))
    one_by_one = np.float32(0)
    for _ in range(n):
        one_by_one += value
    exact = n * float(value)
    assert abs(float(total) - exact) < 1e-2
    assert abs(float(one_by_one) - exact) > 1


def test_no_parts() -> None:
    assert tree_sum([]) == []
