"""Who may talk to the server: the page that this process opened, and nobody else.

Any page in the browser, and any program of this computer, can reach an address of the loopback interface. So every
request and every WebSocket, before it is accepted, must have three things:

- a *Host* that is this server's: otherwise a site whose name leads to 127.0.0.1 (DNS rebinding) would count as the
  same origin, and could read answers;
- an *Origin*, where the browser sends one (it always does for a WebSocket), that is this server's: other sites may
  open WebSockets to any address, and the browser leaves it to the server to refuse them;
- the *token* that was printed with the address: other users of this computer do not know it.

An ordinary middleware of an HTTP framework sees no WebSockets; this one is pure ASGI, around everything.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import parse_qs

__all__ = ["Guard", "origins_of"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_LONGEST_QUERY = 1000


def origins_of(host: str, port: int) -> frozenset[bytes]:
    """The values of Host that mean this server, without "http://".

    Parameters
    ----------
    host : str
        The address that the server listens on.
    port : int
    """
    names = {"localhost", "127.0.0.1", "[::1]"} if host in ("127.0.0.1", "localhost", "::1") else set()
    names.add(f"[{host}]" if ":" in host else host.lower())
    return frozenset(f"{name}:{port}".encode() for name in names)


class Guard:
    """An ASGI application that passes on what may come in, and adds headers that confine the page.

    Parameters
    ----------
    app : ASGI application
    token : str
    hosts : collection of bytes
        What Host, and Origin after "http://", may be; see `origins_of`.
    headers : list of (bytes, bytes)
        Added to every answer.
    """

    def __init__(self, app: App, *, token: str, hosts: Collection[bytes], headers: list[tuple[bytes, bytes]]) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = frozenset(hosts)
        self._headers = headers

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle a connection, as ASGI 3 says."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            return
        reason = self._why_not(scope)
        if reason:
            await self._refuse(scope, receive, send, reason)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": self._with_headers(message.get("headers", []))}
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _why_not(self, scope: Message) -> str:
        """Why a connection is refused; empty if it may go on."""
        headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        hosts = [value.lower() for name, value in headers if name.lower() == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return "this server answers to its own address alone: open the address that striate live has printed"
        origins = [value.lower() for name, value in headers if name.lower() == b"origin"]
        wanted = {b"http://" + host for host in self._hosts}
        if len(origins) > 1 or (origins and origins[0] not in wanted) or (scope["type"] == "websocket" and not origins):
            return "another site may not use this server: open the address that striate live has printed"
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            return "this server only answers to GET"
        if not self._has_token(bytes(scope.get("query_string", b""))):
            return "the token is missing or wrong: open the whole address that striate live has printed last"
        return ""

    def _has_token(self, query: bytes) -> bool:
        if len(query) > _LONGEST_QUERY:
            return False
        given = parse_qs(query.decode("latin-1"), encoding="latin-1").get("token", [])
        # In constant time, so that the time does not tell how many characters are right.
        return len(given) == 1 and hmac.compare_digest(given[0].encode("latin-1", "replace"), self._token)

    def _with_headers(self, headers: Collection[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        given = {name.lower() for name, _ in headers}
        return [*headers, *((name, value) for name, value in self._headers if name not in given)]

    async def _refuse(self, scope: Message, receive: Receive, send: Send, reason: str) -> None:
        kind = "http.response"
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008})
                return
            kind = "websocket.http.response"
        body = f"{reason}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": f"{kind}.start", "status": 403, "headers": self._with_headers(headers)})
        await send({"type": f"{kind}.body", "body": body})
