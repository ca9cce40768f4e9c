from __future__ import annotations

import asyncio
from typing import Any

import pytest

from striate.live.guard import Guard, origins_of
from striate.live.page import security_headers

TOKEN = "right-token"
HOSTS = origins_of("127.0.0.1", 8707)
HOST, ORIGIN = (b"host", b"127.0.0.1:8707"), (b"origin", b"http://127.0.0.1:8707")


def talk(
    kind: str, headers: list[tuple[bytes, bytes]], query: bytes = b"token=right-token", **more: Any
) -> tuple[bool, list[dict[str, Any]]]:
    """Whether the application was reached, and what the client was sent."""
    reached, sent = [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"private")]})

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(app, token=TOKEN, hosts=HOSTS, headers=security_headers("<script>1</script>", HOSTS))
    scope = {"type": kind, "headers": headers, "query_string": query, "method": "GET", "extensions": {}} | more
    asyncio.run(guard(scope, receive, send))
    return bool(reached), sent


@pytest.mark.parametrize("name", [b"127.0.0.1:8707", b"localhost:8707", b"LocalHost:8707", b"[::1]:8707"])
def test_the_page_may_come_in(name: bytes) -> None:
    assert talk("http", [(b"host", name)])[0]
    assert talk("websocket", [(b"host", name), (b"origin", b"http://" + name)])[0]


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([], b"token=right-token"),
        ([(b"host", b"evil.example:8707")], b"token=right-token"),
        ([(b"host", b"127.0.0.1")], b"token=right-token"),
        ([(b"host", b"127.0.0.1:8708")], b"token=right-token"),
        ([(b"host", b"127.0.0.1:8707.evil.example")], b"token=right-token"),
        ([HOST, (b"host", b"evil.example")], b"token=right-token"),
        ([HOST, (b"origin", b"http://evil.example")], b"token=right-token"),
        ([HOST, (b"origin", b"null")], b"token=right-token"),
        ([HOST, (b"origin", b"https://127.0.0.1:8707")], b"token=right-token"),
        ([HOST, (b"origin", b"http://127.0.0.1:8708")], b"token=right-token"),
        ([HOST, ORIGIN, (b"origin", b"http://evil.example")], b"token=right-token"),
        ([HOST, ORIGIN], b""),
        ([HOST, ORIGIN], b"token="),
        ([HOST, ORIGIN], b"token=right-toke"),
        ([HOST, ORIGIN], b"token=right-token1"),
        ([HOST, ORIGIN], b"token=RIGHT-TOKEN"),
        ([HOST, ORIGIN], b"Token=right-token"),
        ([HOST, ORIGIN], b"token=right-token&token=right-token"),
        ([HOST, ORIGIN], b"token=wrong&token=right-token"),
        ([HOST, ORIGIN], b"token=%ff%00"),
        ([HOST, ORIGIN], b"token=%E7%8C%AB"),
        ([HOST, ORIGIN], b"\xff\xfe=&;&&"),
        ([HOST, ORIGIN], b"token=right-token&x=" + b"x" * 2000),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_others_may_not(kind: str, headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    reached, sent = talk(kind, headers, query)
    assert not reached
    if kind == "http":
        assert sent[0]["status"] == 403
        assert b"content-security-policy" in dict(sent[0]["headers"])
    else:
        assert [message["type"] for message in sent] == ["websocket.close"]
        (_, sent) = talk(kind, headers, query, extensions={"websocket.http.response": {}})
        assert sent[0]["status"] == 403


def test_a_websocket_needs_an_origin() -> None:
    assert talk("http", [HOST])[0]
    assert not talk("websocket", [HOST])[0]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_is_changed_by_http(method: str) -> None:
    assert not talk("http", [HOST], method=method)[0]


def test_other_kinds_of_connections_end() -> None:
    assert talk("webtransport", [HOST]) == (False, [])


def test_headers_confine_the_page_but_do_not_replace_what_an_answer_says() -> None:
    _, sent = talk("http", [HOST])
    headers = sent[0]["headers"]
    assert len({name for name, _ in headers}) == len(headers)
    assert dict(headers)[b"cache-control"] == b"private"
    policy = dict(headers)[b"content-security-policy"].decode()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "script-src 'sha256-" in policy
    assert "style-src 'none'" in policy


def test_another_address_is_known_by_its_own_name_alone() -> None:
    assert origins_of("192.168.1.5", 80) == {b"192.168.1.5:80"}
    assert origins_of("fe80::1", 80) == {b"[fe80::1]:80"}
