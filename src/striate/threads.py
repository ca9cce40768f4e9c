"""The number of threads, and a bounded, ordered map over threads.

NumPy's BLAS and torch have separate thread counts, which are set together here. That of numba is not used: kernels run
in threads of striate, and reading numba's count would start its threads, after which it can no longer be changed.
"""

from __future__ import annotations

import numbers
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TypeVar

from striate.errors import UsageError

__all__ = [
    "in_threads",
    "limit",
    "map_ordered",
    "n_threads",
    "run_ranges",
    "set_limit",
    "single_threaded_blas",
    "threads_for_batch",
    "torch_threads",
]

# numba cannot be loaded with a count below 1, which is not used here anyway.
if os.environ.get("NUMBA_NUM_THREADS", "").lstrip("-").isdecimal() and int(os.environ["NUMBA_NUM_THREADS"]) < 1:
    del os.environ["NUMBA_NUM_THREADS"]

_WORTH_A_THREAD = 4e6  # multiplications: about the work of a core in the time that a thread takes to start
_WORTH_TWO_THREADS = 2e7  # multiplications in a matrix product of a library, which divides it between its threads

Item = TypeVar("Item")
Result = TypeVar("Result")

_limit: int | None = None


def n_threads() -> int:
    """Return the number of threads that striate may use: the limit that was set, or that of the system."""
    return _limit if _limit is not None else _granted()


def _granted() -> int:
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    if quota is not None:
        n = min(n, quota)
    wish = os.environ.get("OMP_NUM_THREADS", "")
    return min(n, int(wish)) if wish.isdecimal() and int(wish) > 0 else n


@cache
def _quota() -> int | None:
    """The number of processors in a container's quota, which may be lower than the number that it sees."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        return max(1, round(int(quota) / int(period)))
    except (OSError, ValueError):  # no such file, or "max": no quota
        return None


def threads_for_batch(n_rows: int, n_features: int, n_units: int) -> int:
    """Return the number of threads for the matrix products of learning from one batch: `n_threads()`, or 1.

    Small products gain nothing from a second thread. On a busy machine, the two threads wait for each other up to
    twenty times as long as the product takes.
    """
    return n_threads() if n_rows * n_units * max(n_units, n_features) >= _WORTH_TWO_THREADS else 1


@contextmanager
def limit(n: int | None) -> Iterator[None]:
    """Compute with at most `n` threads inside the block.

    Parameters
    ----------
    n : int or None
        At least 1. None changes nothing.

    Notes
    -----
    The counts of libraries that are already loaded are changed as well. The counts belong to the process, so that
    blocks that run in different threads at the same time would disturb each other.
    """
    if n is None:
        yield
        return
    global _limit
    before = _limit
    with ExitStack() as undo:
        n = _checked(n)
        _tell_libraries(n, undo)
        _limit = n
        try:
            yield
        finally:
            _limit = before


def set_limit(n: int | None) -> None:
    """Limit the whole process, as the option ``--threads`` does; None changes nothing.

    Call it before NumPy or torch is loaded, since some of them read their count only once; the counts of libraries
    that are already loaded are changed as well.
    """
    if n is None:
        return
    global _limit
    n = _limit = _checked(n)
    for name in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{name}_NUM_THREADS"] = str(n)
    _tell_libraries(n, ExitStack())


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Let torch, which is loaded already, and no other library use `n` threads inside the block."""
    torch = sys.modules["torch"]
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Limit BLAS to one thread inside the block, for when several threads of striate call it."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def map_ordered(
    function: Callable[[Item], Result],
    iterable: Iterable[Item],
    *,
    n_threads: int | None = None,
    lookahead: int | None = None,
) -> Iterator[Result]:
    """Apply a function in threads, and yield the results in the order of the input.

    Threads are useful for work that releases the interpreter's lock: decoding images, NumPy on large arrays, numba
    kernels.

    Parameters
    ----------
    function : callable
        Called from several threads at once.
    iterable : iterable
        It is consumed in the caller's thread, and only as fast as results are taken.
    n_threads : int, optional
        By default, `n_threads()`. With 1, everything happens in the caller's thread.
    lookahead : int, optional
        The largest number of items that are being processed or wait to be taken, which bounds the memory. By default,
        twice the number of threads.

    Yields
    ------
    result
        ``function(item)`` for each item. An exception of `function` or of `iterable` is raised at its item; items that
        were not begun are then dropped.
    """
    n = _granted_or(n_threads)
    if n == 1:
        yield from map(function, iterable)
        return
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(n, thread_name_prefix="striate")
    try:
        for item in iterable:
            if len(waiting) >= (lookahead or 2 * n):
                yield waiting.popleft().result()
            waiting.append(pool.submit(function, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _granted_or(n: int | None) -> int:
    return n_threads() if n is None else _checked(n)


def _checked(n: object) -> int:
    # Not by `parameters`, which loads NumPy: the number of threads must be set before that.
    if isinstance(n, bool) or not isinstance(n, numbers.Integral) or n < 1:
        raise UsageError(f"the number of threads must be an integer of at least 1, not {n!r}")
    return int(n)


def _tell_libraries(n: int, undo: ExitStack) -> None:
    """Set the count of every library that is loaded; `undo` receives the functions that restore the counts."""
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        undo.enter_context(threadpool_limits(n))
    torch = sys.modules.get("torch")  # not imported here; its count is only set if it is already loaded
    if torch is not None:
        undo.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(n)


def run_ranges(function: Callable[[int, int], object], n: int, *, size: int, n_threads: int | None = None) -> None:
    """Call ``function(first, last)`` for ranges that cover 0 … n − 1, in several threads, including that of the caller.

    Each thread takes the next range when it has finished one, so that ranges may take different times. This is for
    kernels that release the interpreter's lock. Starting a thread takes about 50 µs.

    Parameters
    ----------
    function : callable
    n : int
    size : int
        Length of a range.
    n_threads : int, optional
        By default, `n_threads()`; at most the number of ranges.
    """
    ranges = iter(range(0, n, size))
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for first in ranges:  # the threads share this iterator, which returns each number once
                function(first, min(first + size, n))
                if failures:
                    return
        except BaseException as failure:
            failures.append(failure)

    n_helpers = min(_granted_or(n_threads), -(-n // size)) - 1
    helpers = [threading.Thread(target=work, name="striate", daemon=True) for _ in range(n_helpers)]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()
    if failures:
        raise failures[0]


def in_threads(kernel: Callable[[int, int], object], n: int, work: int) -> None:
    """Run a kernel over the rows 0 … n − 1, in threads if the work is large enough.

    Parameters
    ----------
    kernel : callable
        ``kernel(first, last)``.
    n : int
    work : int
        Approximate number of multiplications per row.
    """
    threads = n_threads()
    if threads == 1 or n * work < _WORTH_A_THREAD:
        kernel(0, n)
        return
    # Ranges are long enough to make the cost of a call negligible, and short enough for threads to end together.
    run_ranges(kernel, n, size=max(48, min(1024, n // (8 * threads))), n_threads=threads)
