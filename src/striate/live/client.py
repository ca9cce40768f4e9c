"""One client: what it sends is bounded and put in order, and what it is sent waits in its outbox."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from striate.live.frames import MOST_BYTES
from striate.live.outbox import Outbox, Rate

__all__ = ["HEADER", "Client"]

HEADER = struct.Struct("<Ii")
"""Before each frame: its number, and what it is for (see `session`)."""

_MESSAGES_A_SECOND = 200.0
_MAPS_APART = 0.2  # seconds
_MOST_COMMANDS = 32  # that wait
_BROKE_RULES = 1008


class Client:
    """A page that is connected.

    Parameters
    ----------
    socket : WebSocket
        Accepted.
    answer : callable
        ``await answer(client, number, purpose, jpeg)`` for a frame. While it runs, of the frames that come only the
        newest is kept.
    obey : callable
        ``await obey(client, message)`` for a command.

    Attributes
    ----------
    outbox : Outbox
    show_maps : bool
    """

    def __init__(
        self,
        socket: WebSocket,
        answer: Callable[[Client, int, int, bytes], Awaitable[None]],
        obey: Callable[[Client, Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        self.outbox = Outbox()
        self.show_maps = False
        self._socket = socket
        self._answer, self._obey = answer, obey
        self._frame: bytes | None = None
        self._frame_came = asyncio.Event()
        self._busy = False  # with a frame
        self._commands: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue(_MOST_COMMANDS)
        self._rate = Rate(_MESSAGES_A_SECOND, 2 * int(_MESSAGES_A_SECOND))
        self._maps_at = 0.0

    def wants_maps(self, now: float) -> bool:
        """Whether maps should be sent with the answer at a time in seconds."""
        if not self.show_maps or now - self._maps_at < _MAPS_APART:
            return False
        self._maps_at = now
        return True

    async def run(self) -> None:
        """Talk to the client until it leaves, or breaks a rule."""
        works = [self._receive(), self._answer_frames(), self._obey_commands(), self._send()]
        tasks = [asyncio.create_task(work) for work in works]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            # What happens when a client leaves at any moment is no error of this program.
            if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect | RuntimeError | OSError):
                raise error

    async def _receive(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] != "websocket.receive":
                return
            content = message.get("bytes")
            # A frame that waited for the last answer is no hurry.
            in_turn = content is not None and not self._busy
            if not in_turn and not self._rate.allows(time.monotonic()):
                await self._refuse("the page sends too many messages: reload it")
                return
            if content is not None:
                if not HEADER.size < len(content) <= MOST_BYTES:
                    await self._refuse("a message has a wrong length: reload the page")
                    return
                self._frame, self._busy = content, True
                self._frame_came.set()
            elif not await self._take_command(message.get("text") or ""):
                return

    async def _take_command(self, text: str) -> bool:
        try:
            command = json.loads(text)
        except (ValueError, RecursionError):
            command = None
        if not isinstance(command, dict):
            await self._refuse("a message is not a command: reload the page")
            return False
        if self._commands.full():
            self.outbox.put({"type": "error", "message": "too many commands at once: wait a moment", "for": None})
            return True
        self._commands.put_nowait(command)
        return True

    async def _answer_frames(self) -> None:
        while True:
            await self._frame_came.wait()
            self._frame_came.clear()
            content, self._frame = self._frame, None
            assert content is not None
            number, purpose = HEADER.unpack_from(content)
            await self._answer(self, number, purpose, content[HEADER.size :])
            self._busy = self._frame is not None

    async def _obey_commands(self) -> None:
        while True:
            await self._obey(self, await self._commands.get())

    async def _send(self) -> None:
        while True:
            await self._socket.send_text(await self.outbox.get())

    async def _refuse(self, reason: str) -> None:
        with suppress(RuntimeError, WebSocketDisconnect, OSError):
            await self._socket.send_json({"type": "error", "message": reason, "for": None})
            await self._socket.close(_BROKE_RULES)
