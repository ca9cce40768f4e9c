"""What waits to be sent to one client: of each kind the newest, so that a slow client costs no memory."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from typing import Any

__all__ = ["Outbox", "Rate", "encode"]

_MOST_ERRORS = 20


def encode(message: Mapping[str, Any]) -> str:
    """A message as JSON."""
    return json.dumps(message, allow_nan=False, separators=(",", ":"))


class Outbox:
    """Messages for one client. Errors are kept, the last `_MOST_ERRORS`; of others, the newest of each type."""

    def __init__(self) -> None:
        self._errors: deque[str] = deque(maxlen=_MOST_ERRORS)
        self._newest: dict[str, str] = {}
        self._some = asyncio.Event()

    def put(self, message: Mapping[str, Any]) -> None:
        """Add a message; the server's thread only."""
        self.put_text(message["type"], encode(message))

    def put_text(self, kind: str, text: str) -> None:
        """Add a message that was encoded already."""
        if kind == "error":
            self._errors.append(text)
        else:
            self._newest.pop(kind, None)
            self._newest[kind] = text
        self._some.set()

    async def get(self) -> str:
        """Wait for a message, and take it out."""
        while not (self._errors or self._newest):
            self._some.clear()
            await self._some.wait()
        if "hello" in self._newest:  # first of all
            return self._newest.pop("hello")
        if self._errors:
            return self._errors.popleft()
        return self._newest.pop(next(iter(self._newest)))


class Rate:
    """A limit on messages in a second (a token bucket).

    Parameters
    ----------
    per_second : float
    burst : int
        So many may come at once.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second, self._burst = per_second, burst
        self._left = float(burst)
        self._last = 0.0

    def allows(self, now: float) -> bool:
        """Count a message at a time in seconds; False if it is one too many."""
        self._left = min(self._burst, self._left + (now - self._last) * self._per_second)
        self._last = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
