"""A page that shows a robot's drive while it is replayed: the last frame as it is drawn, and how far the drive is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from socket import socket
from typing import Any

import numpy as np
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse, Response
from numpy.typing import NDArray

from striate.figures import encode_png
from striate.live.guard import App, Guard, origins_of
from striate.live.page import load_page, security_headers
from striate.live.serving import serve

__all__ = ["DriveView"]

_LEAVE_SECONDS = 10.0  # for pages to be told of the end


class DriveView:
    """Serves the page of a drive beside the replay, which calls `show` for each frame.

    Only the last frame is kept: a page that is slower than the drive leaves frames out.

    Parameters
    ----------
    token : str
        What the address must have in it.
    host : str
    port : int

    Attributes
    ----------
    app : ASGI application
    failure : Exception or None
    ended : callable
    """

    def __init__(self, *, token: str, host: str, port: int) -> None:
        self.failure: Exception | None = None
        self.ended: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._number = 0
        self._frame: NDArray[np.uint8] | None = None
        self._state: dict[str, Any] = {}
        self._page = load_page("drive.html")
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        app.get("/")(self._get_page)
        app.get("/state")(self._get_state)
        app.get("/frame.png")(self._get_frame)
        hosts = origins_of(host, port)
        self.app: App = Guard(app, token=token, hosts=hosts, headers=security_headers(self._page, hosts))

    def show(self, frame: NDArray[np.uint8], state: Mapping[str, Any]) -> None:
        """Show a frame.

        Parameters
        ----------
        frame : uint8 (height, width, 3)
            As `striate.robot.annotated` draws it.
        state : mapping
            What the page writes below it: ``name``, ``frame`` (from 1), ``n_frames``, ``problems`` (list of str) and
            ``seconds`` (of each phase).
        """
        with self._lock:
            self._number += 1
            self._frame, self._state = frame, dict(state)

    @contextmanager
    def served(self, bound: socket) -> Iterator[None]:
        """Serve at a port of `listen`, in a thread, while the block runs."""
        thread = threading.Thread(target=serve, args=(self, bound), name="striate drive", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.ended()
            thread.join(_LEAVE_SECONDS)

    def _get_page(self) -> Response:
        return HTMLResponse(self._page)

    def _get_state(self) -> dict[str, Any]:
        with self._lock:
            return {"number": self._number} | self._state

    def _get_frame(self) -> Response:
        with self._lock:
            frame = self._frame
        if frame is None:
            raise HTTPException(404)
        return Response(encode_png(frame), media_type="image/png")
