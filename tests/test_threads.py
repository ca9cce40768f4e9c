from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from striate import threads
from striate.errors import UsageError

# A process that starts with as many threads as it likes, whatever the tests' own are held to.
UNLIMITED = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    """Where the tests are held to one thread, there would be nothing to limit."""
    with threadpool_limits(2):
        yield


def blas_threads() -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_limit_reaches_every_library_and_is_undone() -> None:
    before = threads.n_threads(), blas_threads()
    with threads.limit(1):
        assert (threads.n_threads(), blas_threads()) == (1, {1})
        with threads.limit(None):
            assert threads.n_threads() == 1
        with threads.limit(3):
            assert threads.n_threads() == 3
        assert threads.n_threads() == 1
    assert (threads.n_threads(), blas_threads()) == before


def test_limit_is_undone_after_an_error() -> None:
    before = threads.n_threads(), blas_threads()
    with pytest.raises(ZeroDivisionError), threads.limit(1):
        raise ZeroDivisionError
    assert (threads.n_threads(), blas_threads()) == before


def test_single_threaded_blas() -> None:
    before = blas_threads()
    with threads.single_threaded_blas():
        assert blas_threads() == {1}
    assert blas_threads() == before


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2"])
def test_less_than_one_thread_is_refused(n: Any) -> None:
    for call in (lambda: threads.limit(n).__enter__(), lambda: threads.set_limit(n)):
        with pytest.raises(UsageError, match="at least 1"):
            call()


def test_set_limit_comes_before_the_libraries() -> None:
    script = (
        "import sys; from striate import threads; assert 'numpy' not in sys.modules; threads.set_limit(1);"
        "import numpy; from threadpoolctl import threadpool_info;"
        "assert {pool['num_threads'] for pool in threadpool_info()} == {1};"
        "assert threads.n_threads() == 1"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=UNLIMITED)


def test_torch_is_told_where_it_is_loaded() -> None:
    script = (
        "import torch; from striate import threads; before = torch.get_num_threads()\n"
        "with threads.limit(1): assert torch.get_num_threads() == 1\n"
        "assert torch.get_num_threads() == before"
    )
    pytest.importorskip("torch")
    subprocess.run([sys.executable, "-c", script], check=True, env=UNLIMITED)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_map_keeps_the_order(n: int, rng: np.random.Generator) -> None:
    delays = rng.uniform(0, 0.005, size=40)

    def wait(index: int) -> int:
        time.sleep(delays[index])
        return index * index

    assert list(threads.map_ordered(wait, range(40), n_threads=n)) == [i * i for i in range(40)]
    assert list(threads.map_ordered(wait, [], n_threads=n)) == []


def test_map_draws_no_more_than_its_lookahead() -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for i in range(100):
            drawn += 1
            yield i

    for taken, _ in enumerate(threads.map_ordered(abs, items(), n_threads=2, lookahead=3), start=1):
        assert drawn <= taken + 3
    assert drawn == 100


def test_map_raises_in_the_items_place_and_stops() -> None:
    begun = []

    def fail_at_three(i: int) -> int:
        begun.append(i)
        if i == 3:
            raise KeyError(i)
        return i

    results = threads.map_ordered(fail_at_three, range(1000), n_threads=2, lookahead=4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError):
        next(results)
    assert len(begun) < 20
    assert not any("striate" in thread.name for thread in threading.enumerate())


def test_an_error_of_the_iterable_reaches_the_caller() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(threads.map_ordered(abs, items(), n_threads=2))


def test_a_map_that_is_left_early_ends_its_threads() -> None:
    results = threads.map_ordered(abs, range(1000), n_threads=2)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert not any("striate" in thread.name for thread in threading.enumerate())


@pytest.mark.parametrize("count", ["0", "-3", "many", ""])
def test_a_count_that_numba_refuses_to_load_with_does_no_harm(count: str) -> None:
    script = (
        "import numpy; from striate import infer;"
        "assert infer(numpy.full((1, 1), 3.0), numpy.eye(1), 1.0, method='ista').round(3) == 2"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "NUMBA_NUM_THREADS": count})


def test_numba_compiles_on_after_any_change_of_the_limit() -> None:
    """To numba, which starts its threads once, no count of striate's is another one."""
    script = (
        "import numba; from striate import threads; from striate.kernels import compiled\n"
        "numba.get_num_threads()\n"
        "for n in (1, 2, 3):\n"
        "    threads.set_limit(n)\n"
        "    with threads.limit(n + 1): assert compiled(eval(f'lambda x: x + {n}'), 'int64(int64)')(1) == n + 1\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_torch_gets_its_threads_back() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()

    def fail() -> None:
        with threads.torch_threads(before + 1):
            assert torch.get_num_threads() == before + 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.get_num_threads() == before
