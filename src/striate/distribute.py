"""Map and reduce over shards in several processes, or on a cluster, through joblib, which scikit-learn installs.

Long jobs are pure functions of a shard: features of some images, or the sums that learning takes from some signals. The
shards do not depend on the number of workers, results arrive in the order of the shards, and sums are added in one
fixed order, so that one or fifty workers give the same bits.

Which engine runs them is decided where joblib decides it: `workers` starts processes of this machine, and
``joblib.parallel_config(backend="dask")`` or another backend of joblib takes a cluster.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import Any, TypeVar

from striate import threads
from striate.errors import StriateError, UsageError

__all__ = ["cluster", "map_shards", "n_workers", "tree_sum", "workers"]

Shard = TypeVar("Shard")
Result = TypeVar("Result")

_AHEAD = 32  # shards per worker that are given out together: bounds the results that wait to be taken
_ATTEMPTS = 3  # of a shard during which a worker died; a shard that needs too much memory would fail for ever
_SECONDS_FOR_SCHEDULER = 10
_ENGINES = frozenset({"dask", "distributed", "ray", "pyspark"})


@contextmanager
def workers(n: int | None) -> Iterator[None]:
    """Work in `n` processes of this machine inside the block.

    Each process computes with its part of the processors. Processes start in about two seconds, are kept for the next
    job, and need the memory of one batch each. They are useful where threads wait for each other: many small images,
    whose preparation is Python. Large images and exact codes use all processors with threads alone.

    Parameters
    ----------
    n : int or None
        At least 1. With 1 everything happens in this process; None changes nothing, so that a
        ``joblib.parallel_config`` of the caller holds.

    Examples
    --------
    >>> from striate.distribute import n_workers, workers
    >>> with workers(2):
    ...     n_workers()
    2
    """
    if n is None:
        yield
        return
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise UsageError(f"the number of workers must be an integer of at least 1, not {n!r}")
    from joblib import parallel_config

    with parallel_config(backend="loky", n_jobs=n):
        yield


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Work on the workers of a Dask cluster inside the block; it needs the extra ``cluster``.

    The workers must see the same files under the same paths, and have one thread each (``dask worker --nthreads 1``).

    Parameters
    ----------
    address : str or None
        Of the scheduler, such as ``"tcp://node1:8786"``; None changes nothing.
    """
    if address is None:
        yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise UsageError("a cluster needs Dask: pip install 'striate[cluster]'") from None
    from joblib import parallel_config

    try:
        client = Client(address, timeout=_SECONDS_FOR_SCHEDULER)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"there is no Dask scheduler at {address} ({error}): start one with dask scheduler, and give its address"
        ) from None
    with client, parallel_config(backend="dask"):
        yield


def n_workers() -> int:
    """The number of workers that `map_shards` uses now: what `workers` or joblib's `parallel_config` says, else 1."""
    if "joblib" not in sys.modules:  # then nobody has called parallel_config
        return 1
    from joblib import effective_n_jobs

    return int(effective_n_jobs(None))


def map_shards(function: Callable[[Shard], Result], shards: Iterable[Shard]) -> Generator[Result]:
    """Apply a pure function to shards in the workers, and yield the results in the order of the shards.

    Shards and results are sent between processes: they should take much longer to compute than to send.

    Parameters
    ----------
    function : callable
        It must give the same result whenever it is repeated: the shards of a worker that dies are computed again.
    shards : iterable
        Is consumed as fast as results are taken, some ahead for each worker.

    Yields
    ------
    result
        ``function(shard)`` for each shard. An exception of the function ends the work, perhaps before the results of
        the shards before it were yielded.

    Raises
    ------
    StriateError
        If workers die again and again, or the cluster is gone.
    """
    n = n_workers()
    if n == 1:
        for shard in shards:
            yield function(shard)
        return
    waiting = iter(shards)
    while some := list(islice(waiting, _AHEAD * n)):
        yield from _in_workers(function, some)


def _in_workers(function: Callable[[Shard], Result], shards: Sequence[Shard]) -> Iterator[Result]:
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    returned = "generator" if backend.supports_return_generator else "list"
    done = attempts = 0
    # In threads of this process, which would otherwise change the number of threads of BLAS for each other.
    with threads.limit(1) if getattr(backend, "supports_sharedmem", False) else nullcontext():
        while done < len(shards):
            results = None
            try:
                pool = Parallel(batch_size=1, return_as=returned)
                results = iter(pool(delayed(_alone)(function, shard) for shard in shards[done:]))
                for result in results:
                    yield result
                    done += 1
                    attempts = 0
            except TerminatedWorkerError as error:
                attempts += 1
                if attempts == _ATTEMPTS:
                    raise StriateError(
                        f"a worker was ended {attempts} times during the same work, perhaps because the memory was "
                        "full; run again with fewer workers"
                    ) from error
            except Exception as error:
                if type(error).__module__.partition(".")[0] not in _ENGINES:
                    raise
                raise StriateError(
                    f"the cluster has ended the work ({type(error).__name__}: {error}); see that its scheduler and "
                    "workers run, and run again to go on"
                ) from error
            finally:
                _close(results)


def _alone(function: Callable[[Shard], Result], shard: Shard) -> Result:
    """The function of a shard, in a worker, which has no workers of its own."""
    from joblib import parallel_config

    with parallel_config(backend="sequential"):
        return function(shard)


def _close(results: Any) -> None:
    """End work that is not needed any more, of which joblib would warn."""
    if hasattr(results, "close"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results.close()


def tree_sum(parts: Iterable[Sequence[Any]]) -> list[Any]:
    """The sums of the terms of parts, added in a fixed tree: neighbors first, then their sums, and so on.

    The order depends on the number of parts alone. The rounding errors of a tree grow with the logarithm of
    that number, and at most that many sums are kept.

    Parameters
    ----------
    parts : iterable of sequences
        Each with the same number of terms: arrays or numbers, which are not changed.

    Returns
    -------
    list
        One sum per term; empty without parts.

    Examples
    --------
    >>> from striate.distribute import tree_sum
    >>> tree_sum([(1, 10.0), (2, 20.0), (3, 30.0)])
    [6, 60.0]
    """
    sums: list[tuple[int, list[Any]]] = []  # with the number of levels below each
    for part in parts:
        level, total = 0, list(part)
        while sums and sums[-1][0] == level:
            total = _added(sums.pop()[1], total)
            level += 1
        sums.append((level, total))
    total = sums.pop()[1] if sums else []
    while sums:
        total = _added(sums.pop()[1], total)
    return total


def _added(left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
    return [a + b for a, b in zip(left, right, strict=True)]
