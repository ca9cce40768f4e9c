"""What a hostile client can do; and that others are served meanwhile."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.live.talking import TOKEN, Server, Talk, jpeg, serving
from tests.live.test_frames import noise, png_bomb

pytest.importorskip("fastapi")

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("live") / "things") as server:
        yield server


@pytest.fixture
def other(server: Server) -> Iterator[Talk]:
    """A client that has done nothing wrong."""
    with server.client() as client:
        client.ready()
        yield client
        client.ask()


def memory(server: Server) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss)


def raw(server: Server, *lines: str) -> socket.socket:
    """A connection with the head of a request, or a part of it."""
    host, port = server.host.split(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    connection.sendall("\r\n".join(lines).encode())
    return connection


def upgraded(server: Server) -> socket.socket:
    """A WebSocket of which we write the bytes."""
    connection = raw(
        server,
        f"GET /ws?token={TOKEN} HTTP/1.1", f"Host: {server.host}", f"Origin: http://{server.host}",
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "\r\n",
    )  # fmt: skip
    assert connection.recv(12) == b"HTTP/1.1 101"
    return connection


def sent_until_closed(connection: socket.socket, part: bytes, most: int) -> int:
    """How many bytes could be sent before the other side closed the connection."""
    connection.setblocking(True)
    sent = 0
    try:
        while sent < most:
            connection.sendall(part)
            sent += len(part)
    except (ConnectionError, TimeoutError):
        pass
    connection.close()
    return sent


def wait_for_the_end(client: Talk) -> None:
    while True:
        client.socket.recv(timeout=60)


def flood(client: Talk) -> None:
    for _ in range(20_000):
        client.do("show", maps=False)
    wait_for_the_end(client)


@pytest.mark.parametrize(
    "options",
    [
        {"token": "wrong"},
        {"token": ""},
        {"origin": "http://evil.example"},
        {"origin": None},
        {"additional_headers": {"Host": "evil.example"}},
    ],
    ids=["token", "no token", "origin", "no origin", "host"],
)
def test_a_socket_is_refused_before_it_is_accepted(server: Server, other: Talk, options: dict[str, object]) -> None:
    if "additional_headers" in options:  # the client of websockets would send two
        host = "evil.example"
        answer = raw(
            server,
            f"GET /ws?token={TOKEN} HTTP/1.1", f"Host: {host}", f"Origin: http://{host}", "Upgrade: websocket",
            "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "\r\n",
        )  # fmt: skip
        assert answer.recv(12) == b"HTTP/1.1 403"
        answer.close()
        return
    with pytest.raises(InvalidStatus, match="403"), server.client(**options):
        pass


@pytest.mark.parametrize("path", ["/", "/sample/1.jpg", "/filters.png", "/model", "/report", "/docs", "/openapi.json"])
def test_every_page_needs_the_token(server: Server, other: Talk, path: str) -> None:
    assert server.get(path, token="wrong").status == 403
    assert server.get(path, Origin="http://evil.example").status == 403
    assert server.get(path, Host="evil.example").status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd", "/sample/..%2f..%2fetc%2fpasswd", "/sample/../../etc/passwd", "/sample/%2e%2e.jpg",
        "/sample/1.jpg/../2", "/sample/-1.jpg", "/sample/1e3.jpg", "/sample/%D9%A1.jpg",
        "/sample/" + "9" * 5000 + ".jpg", "/sample/.jpg", "/sample/1", "/sample/99.jpg", "/model", "/report",
        "/static/x", "/docs", "/openapi.json",
    ],
)  # fmt: skip
def test_paths_lead_nowhere_else(server: Server, other: Talk, path: str) -> None:
    answer = server.get(path)
    assert answer.status == 404
    assert len(answer.body) < 200


def test_a_message_of_100_megabytes_is_refused_at_its_head(server: Server, other: Talk) -> None:
    before = memory(server)
    connection = upgraded(server)
    connection.sendall(struct.pack(">BBQ4s", 0x82, 0x80 | 127, 100 * MEGABYTE, b"\0\0\0\0"))
    assert sent_until_closed(connection, bytes(MEGABYTE), 100 * MEGABYTE) < 50 * MEGABYTE
    assert memory(server) - before < 20 * MEGABYTE


def test_a_message_in_many_parts_is_refused_as_well(server: Server, other: Talk) -> None:
    before = memory(server)
    for part in (bytes(60_000), b""):
        connection = upgraded(server)
        connection.sendall(b"\x02\x80\0\0\0\0")
        head = struct.pack(">BBH4s", 0, 0x80 | 126, len(part), b"\0\0\0\0") if part else b"\x00\x80\0\0\0\0"
        parts = (head + part) * (1 if part else 10_000)
        assert sent_until_closed(connection, parts, 100 * MEGABYTE) < 50 * MEGABYTE
    assert memory(server) - before < 20 * MEGABYTE


def test_a_client_that_pings_and_never_reads_is_dropped(server: Server, other: Talk) -> None:
    before = memory(server)
    connection = upgraded(server)
    pings = b"\x89\xfd\0\0\0\0" + bytes(125)
    assert sent_until_closed(connection, pings * 8000, 400 * MEGABYTE) < 400 * MEGABYTE
    assert memory(server) - before < 40 * MEGABYTE


def test_a_client_that_never_reads_its_answers_costs_no_memory(server: Server, other: Talk) -> None:
    connection = upgraded(server)
    content = struct.pack("<Ii", 1, -1) + jpeg()
    frame = struct.pack(">BBH4s", 0x82, 0x80 | 126, len(content), b"\0\0\0\0") + content
    before = memory(server)
    for number in range(300):
        connection.sendall(frame)
        if number % 20 == 0:
            other.ask()
    assert memory(server) - before < 20 * MEGABYTE
    connection.close()


def test_too_many_messages_end_a_connection(server: Server, other: Talk) -> None:
    with server.client() as client:
        client.until("hello")
        with pytest.raises(ConnectionClosed) as closed:
            flood(client)
    received = closed.value.rcvd
    assert received is None or received.code == 1008


def test_fifty_clients(server: Server, other: Talk) -> None:
    refused, accepted = 0, 0
    with ExitStack() as stack:
        for _ in range(50):
            client = stack.enter_context(server.client())
            first = json.loads(client.socket.recv(timeout=60))
            if first["type"] == "hello":
                accepted += 1
            else:
                assert (first["type"], first["for"]) == ("error", "connect")
                assert "close one" in first["message"]
                with pytest.raises(ConnectionClosed) as closed:
                    client.socket.recv(timeout=60)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1013
                refused += 1
            other.ask()
    assert (accepted, refused) == (3, 47)


def test_places_are_free_again_when_clients_have_left(server: Server, other: Talk) -> None:
    for _ in range(10):
        with server.client() as client:
            client.until("hello")
            client.ask()


@pytest.mark.parametrize(
    "content",
    [b"", b"x", noise()[:500], png_bomb(), jpeg(side=321), b"\xff\xd8" + os.urandom(1000), b"<svg onload=alert(1)>"],
    ids=["empty", "x", "broken", "png bomb", "large", "random", "svg"],
)
@pytest.mark.parametrize("purpose", [-1, 0, -2, 1])
def test_broken_frames_are_answered_and_kept_nowhere(
    server: Server, other: Talk, content: bytes, purpose: int, tmp_path: Path
) -> None:
    with server.client() as client:
        state = client.ready()
        ids = [one["id"] for one in state["classes"]] or list(client.add_classes("thing").values())
        if not content:
            client.send(purpose, content)
            with pytest.raises(ConnectionClosed):
                wait_for_the_end(client)
            return
        client.send(ids[0] if purpose == 1 else purpose, content)
        answer = client.until("error")
        assert (answer["for"], answer["frame"]) == ("frame", client.frame)
        client.ask()
        client.do("show", maps=False)
    with server.client() as client:
        state = client.ready()
        assert (state["samples"], state["pool"]) == (0, 0)


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "3", "null", '"do"', "{" * 10_000, "[" * 100_000, '{"do": 1e999}', '{"do": "\\ud800"}'],
    ids=["empty", "x", "list", "number", "null", "text", "braces", "brackets", "infinite", "surrogate"],
)  # fmt: skip
def test_texts_that_are_no_commands(server: Server, other: Talk, text: str) -> None:
    with server.client() as client:
        client.until("hello")
        client.socket.send(text)
        assert client.until("error")["message"].isprintable()


@pytest.mark.parametrize(
    "command",
    [
        {}, {"do": None}, {"do": "shutdown"}, {"do": ["add_class"]}, {"do": "__class__"}, {"do": "x" * 100_000},
        {"do": "add_class"}, {"do": "add_class", "name": {"a": 1}}, {"do": "add_class", "name": "../up"},
        {"do": "add_class", "name": "<img src=x onerror=alert(1)>"}, {"do": "add_class", "name": "x" * 100_000},
        {"do": "rename_class", "class": "1", "name": "a"}, {"do": "rename_class", "class": 10**40, "name": "a"},
        {"do": "delete_class", "class": True}, {"do": "delete_class", "class": 1.0},
        {"do": "delete_class", "class": -1},
        {"do": "delete_sample", "sample": "../1"}, {"do": "move_sample", "sample": 1, "class": None},
        {"do": "move_sample", "sample": 12345, "class": 0},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_commands_change_nothing(server: Server, other: Talk, command: dict[str, object]) -> None:
    with server.client() as client:
        before = client.ready()
        client.socket.send(json.dumps(command))
        error = client.until("error")
        assert error["message"].isprintable()
        assert len(error["message"]) < 300
        client.ask()
    with server.client() as client:
        assert client.ready()["classes"] == before["classes"]


def test_a_request_that_never_comes_is_not_waited_for(server: Server, other: Talk) -> None:
    silent = [raw(server, start) for start in ("", "GET / HTTP/1.1\r\nHost: ", "GE")]
    for connection in silent:
        assert connection.recv(1) == b""  # the server closes it
        connection.close()


def test_a_large_body_is_not_kept(server: Server, other: Talk) -> None:
    before = memory(server)
    connection = raw(
        server, f"GET /?token={TOKEN} HTTP/1.1", f"Host: {server.host}", f"Content-Length: {10**9}", "\r\n"
    )
    sent_until_closed(connection, bytes(MEGABYTE), 50 * MEGABYTE)
    assert memory(server) - before < 20 * MEGABYTE


def test_names_with_markup_come_as_text(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>"
    try:
        (tmp_path / name).mkdir()
    except OSError:
        pytest.skip("this system has no such names")
    (tmp_path / name / '"><script>.jpg').write_bytes(jpeg())
    with serving(tmp_path) as server, server.client() as client:
        (one,) = client.ready()["classes"]
        assert one["name"] == name
        assert client.ask()["class"] == one["id"]
        picture = server.get(f"/sample/{one['samples'][0]}.jpg")
        assert picture.headers["content-type"] == "image/jpeg"
        assert picture.headers["x-content-type-options"] == "nosniff"
        assert name.encode() not in server.get("/").body


def test_memory_stays_flat_over_thousands_of_frames(tmp_path: Path) -> None:
    frames = [noise(48, seed=seed) for seed in range(8)]
    with serving(tmp_path) as server, server.client() as client:
        client.ready()
        client.add_classes("thing")
        sizes = []
        for number in range(4000):
            if number % 1000 == 0:
                sizes.append(memory(server))
            client.send(-1 if number % 100 else -2, frames[number % 8])
            client.until("answer")
            client.seen.clear()
        time.sleep(0.2)
        sizes.append(memory(server))
    assert sizes[-1] - sizes[1] < 8 * MEGABYTE
