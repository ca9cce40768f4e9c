"""A small server on the loopback address that delivers files, and can be told to do it badly."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves the contents of `files`; the other attributes say what goes wrong.

    Attributes
    ----------
    files : dict of str to bytes
        By path, as in ``/digits.gz``.
    requests : list of (str, str)
        The path and the Range header of every request so far.
    break_after, hang_after : int or None
        How many bytes of a body are sent before the connection is cut, or falls silent.
    ranges : bool
        Whether parts of a file can be asked for.
    shift_ranges : int
        How many bytes too late the first answer to a Range begins.
    busy : int
        How many requests are refused with status 503.
    endless : bool
        Whether the body goes on until the client has had enough, and states no length.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.break_after: int | None = None
        self.hang_after: int | None = None
        self.ranges = True
        self.shift_ranges = 0
        self.busy = 0
        self.endless = False
        self._closing = threading.Event()
        behavior = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                behavior._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # the client has gone away

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        if not self._closing.is_set():
            self._closing.set()
            self._server.shutdown()
            self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range", "")
        self.requests.append((handler.path, asked))
        if self.busy:
            self.busy -= 1
            return handler.send_error(503)
        content = self.files.get(handler.path)
        if content is None:
            return handler.send_error(404)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.ranges else 0
        if start and start >= len(content):
            return handler.send_error(416)
        start, self.shift_ranges = start + self.shift_ranges * bool(start), 0 if start else self.shift_ranges
        body = content[start:]
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if not self.endless:
            handler.send_header("Content-Length", str(len(body)))
        if self.hang_after == 0:
            self._closing.wait()
        handler.end_headers()
        limits = [limit for limit in (self.break_after, self.hang_after) if limit is not None]
        handler.wfile.write(body[: min(limits)] if limits else body)
        while self.endless and not self._closing.is_set():
            handler.wfile.write(bytes(1 << 16))
        handler.wfile.flush()
        if self.hang_after:
            self._closing.wait()
        return None
