"""A server in a process of its own, and a client that speaks its protocol."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from PIL import Image
from websockets.sync.client import ClientConnection, connect

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-tests"


def jpeg(color: str = "red", side: int = 192) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), color).save(file, "JPEG")
    return file.getvalue()


class Response(NamedTuple):
    status: int
    headers: Message
    body: bytes


class Server:
    """`tests.live.run_stand_in` as a subprocess."""

    def __init__(self, folder: Path, *, source: str = "") -> None:
        command = [sys.executable, "-m", "tests.live.run_stand_in", str(folder), "0", TOKEN, source]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ))
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address, "the server has not started"
        self.host = urlsplit(self.address).netloc

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Interrupt, as Ctrl-C does; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def get(self, path: str, *, token: str = TOKEN, **headers: str) -> Response:
        request = urllib.request.Request(f"http://{self.host}{path}?token={token}", headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return Response(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Response(error.code, error.headers, error.read())

    @contextmanager
    def client(self, **options: Any) -> Iterator[Talk]:
        with talking(self.address, **options) as client:
            yield client


@contextmanager
def talking(address: str, *, token: str | None = None, **options: Any) -> Iterator[Talk]:
    """A client of a server whose page has an address; by default, with its token and origin."""
    parts = urlsplit(address)
    query = parts.query if token is None else f"token={token}"
    options = {"origin": f"http://{parts.netloc}", "proxy": None, "max_size": None, "open_timeout": 100} | options
    with connect(f"ws://{parts.netloc}/ws?{query}", **options) as socket:
        yield Talk(socket)


class Talk:
    """One client of a server."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frame = 0
        self.seen: list[dict[str, Any]] = []

    def until(self, kind: str, fits: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The next message of a type that fits; an error that was not waited for fails."""
        while True:
            message = json.loads(self.socket.recv(timeout=60))
            self.seen.append(message)
            if message["type"] == kind and fits(message):
                return message
            assert message["type"] != "error", message["message"]

    def ready(self) -> dict[str, Any]:
        """The state when everything is loaded and learned."""
        return self.until("state", lambda state: state["busy"] is None)

    def do(self, what: str, **values: Any) -> None:
        self.socket.send(json.dumps({"do": what} | values))

    def add_classes(self, *names: str) -> dict[str, int]:
        for name in names:
            self.do("add_class", name=name)
        state = self.until("state", lambda state: {one["name"] for one in state["classes"]} >= set(names))
        return {one["name"]: one["id"] for one in state["classes"]}

    def send(self, purpose: int, content: bytes) -> None:
        self.frame += 1
        self.socket.send(struct.pack("<Ii", self.frame, purpose) + content)

    def ask(self, purpose: int = -1, color: str = "red") -> dict[str, Any]:
        """Send a frame of a color, and wait for its answer."""
        self.send(purpose, jpeg(color))
        return self.until("answer", lambda answer: answer["frame"] == self.frame)


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Server]:
    server = Server(folder, **options)
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            server.kill()
        assert server.process.stdout is not None
        server.process.stdout.close()
