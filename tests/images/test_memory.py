from __future__ import annotations

import threading
import time

import pytest

from striate.images.memory import MemoryBudget


def test_threads_wait_for_what_others_hold() -> None:
    budget = MemoryBudget(100)
    held, most = 0, 0
    lock = threading.Lock()

    def work(n_bytes: int) -> None:
        nonlocal held, most
        with budget.taken(n_bytes):
            with lock:
                held += min(n_bytes, 100)
                most = max(most, held)
            time.sleep(0.002)
            with lock:
                held -= min(n_bytes, 100)

    threads = [threading.Thread(target=work, args=(size,)) for size in (60, 60, 30, 10, 1000, 45, 100, 50) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < most <= 100
    with budget.taken(100):  # all came back
        pass


def test_what_fails_gives_its_bytes_back() -> None:
    budget = MemoryBudget(10)
    for _ in range(3):
        with pytest.raises(ValueError, match="work"), budget.taken(10):
            raise ValueError("work")


def test_what_may_expand() -> None:
    budget = MemoryBudget(1000)
    assert budget.allows(1000, packed=1)
    assert budget.allows(5000, packed=1000)
    assert not budget.allows(100_000, packed=100)
