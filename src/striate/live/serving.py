"""Runs the server until it is interrupted."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import uvicorn

from striate.errors import UsageError
from striate.live.connections import BoundedHttp, BoundedWebSocket
from striate.live.frames import MOST_BYTES

if TYPE_CHECKING:
    from striate.live.guard import App

__all__ = ["Served", "listen", "serve"]

_PING_SECONDS = 10.0  # between pings, and for their answers
_LEAVE_SECONDS = 3  # for clients to leave at the end


class Served(Protocol):
    """What is served: a `LiveServer` or a `DriveView`.

    Attributes
    ----------
    app : ASGI application
    failure : Exception or None
        Why it could not begin.
    ended : callable
        Set by `serve`: ends the server.
    """

    app: App
    failure: Exception | None
    ended: Callable[[], None]


def listen(host: str, port: int) -> socket.socket:
    """Take a port, before anything else is loaded.

    Parameters
    ----------
    host : str
        An address of this computer.
    port : int
        0 takes any port that is free.

    Returns
    -------
    socket
        Listening: clients that come wait until they are served.

    Raises
    ------
    UsageError
        If the port is in use, or the address is not one of this computer.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"--host {host}: {(error.strerror or str(error)).lower()}; give an address") from None
    try:
        # On Windows this option would let two servers have one port.
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(64)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            text = f"--port {port}: another program uses this port; end it, give another one, or --port 0 for any"
        else:
            text = f"--host {host} --port {port}: {(error.strerror or str(error)).lower()}; give others"
        raise UsageError(text) from None
    return bound


def serve(server: Served, bound: socket.socket) -> None:
    """Serve until Ctrl-C, or until the server ends by itself.

    Raises
    ------
    KeyboardInterrupt
        When it was interrupted, after everything has ended.
    Exception
        Whatever kept the session from beginning.
    """
    # Its requests have the token in them, and what they are about is on the page.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        server.app,
        http=BoundedHttp,
        ws=BoundedWebSocket,
        ws_max_size=MOST_BYTES,
        ws_ping_interval=_PING_SECONDS,
        ws_ping_timeout=_PING_SECONDS,
        ws_per_message_deflate=False,  # frames are compressed, and small messages could expand to large ones
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        lifespan="on",
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_LEAVE_SECONDS,
    )
    runner = uvicorn.Server(config)

    def end() -> None:
        runner.should_exit = True

    server.ended = end
    asyncio.run(runner.serve(sockets=[bound]))
    if server.failure is not None:
        raise server.failure
