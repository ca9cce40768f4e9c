"""One memory budget for all decoding: large images are decoded one at a time, decompression bombs are refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_GREATEST_RATIO = 100
"""Arrays of images rarely compress to less than a twentieth; files that expand by more must fit into the budget."""


class MemoryBudget:
    """Bytes that threads reserve and release.

    Parameters
    ----------
    n_bytes : int
        Size of the budget. A task that needs more runs when no other task does.
    """

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self._free: float = n_bytes
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, n_bytes: float) -> Iterator[None]:
        """Wait until `n_bytes` are free, and reserve them inside the block. Blocks must not be nested."""
        wanted = min(n_bytes, self.n_bytes)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()

    def allows(self, n_bytes: int, *, packed: int) -> bool:
        """Whether `packed` bytes of a file may expand to `n_bytes`: within the budget, or by a ratio as in images."""
        return n_bytes <= self.n_bytes or n_bytes <= _GREATEST_RATIO * packed

    def why_not(self, n_bytes: int, *, packed: int) -> str:
        """The message for a file that may not."""
        return (
            f"expands from {packed:,} bytes to {n_bytes:,}, more than a hundredfold, and more than the limit of "
            f"{self.n_bytes:,} for such files; store it uncompressed"
        )


BUDGET = MemoryBudget(2**29)
"""The budget of this process."""
