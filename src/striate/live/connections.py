"""Connections that are bounded in time and memory, whatever the other side does.

uvicorn answers to pings, collects parts of messages and waits for the other side to read, all without a limit; and it
waits forever for a request that never comes. These are its protocols with limits.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = ["MOST_CONNECTIONS", "BoundedHttp", "BoundedWebSocket"]

MOST_CONNECTIONS = 128
"""Connections of any kind; a browser opens about six."""

_REQUEST_SECONDS = 10.0  # from the connection, or the last answer, to a whole request
_STALLED_SECONDS = 10.0  # that the other side may leave what was sent unread
_MOST_PARTS = 64  # of one message
_MOST_UNREAD = 1 << 20  # bytes of answers to pings


class BoundedHttp(H11Protocol):
    """HTTP whose requests must come in time."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse a connection too many; give the others time for a request."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._deadline = self.loop.call_later(_REQUEST_SECONDS, self._end_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._forget_deadline()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Give time for the next request."""
        super().on_response_complete()
        self._forget_deadline()
        self._deadline = self.loop.call_later(_REQUEST_SECONDS, self._end_if_idle)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Leave the connection to the WebSocket."""
        self._forget_deadline()
        super().handle_websocket_upgrade(event)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_if_idle(self) -> None:
        self._deadline = None
        if self.cycle is not None and not self.cycle.response_complete:
            # The answer is on its way, perhaps a large file; it has to arrive in the end.
            self._deadline = self.loop.call_later(10 * _REQUEST_SECONDS, self.transport.abort)
            return
        self.transport.abort()


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that ends when the other side does not read, does not answer, or sends in crumbs."""

    _stalled: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """What was sent is not read: wait for a while."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(_STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It was read."""
        self._forget_stalled()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._forget_stalled()
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        """End at once: a side that does not answer would not take part in closing either."""
        super().keepalive_timeout()
        self.transport.abort()

    def handle_ping(self) -> None:
        """Answer, unless answers pile up."""
        if self.transport.get_write_buffer_size() > _MOST_UNREAD:
            self.transport.abort()
            return
        super().handle_ping()

    def handle_cont(self, event: Any) -> None:
        """Add a part of a message; empty parts do not count for its size, but take memory."""
        if len(self.frames) >= _MOST_PARTS:
            self.transport.abort()
            return
        super().handle_cont(event)

    def _forget_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
