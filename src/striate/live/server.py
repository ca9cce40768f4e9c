"""The server of a live session: one page, one WebSocket for each client, thumbnails, and files to download.

The event loop only passes messages on. What computes runs in one worker thread, in the order in which it comes:
frames, commands, and between them what is learned in the background.
"""

from __future__ import annotations

import asyncio
import base64
import os
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, Response

from striate.errors import StriateError, UnreadableImage, one_line
from striate.figures import encode_png
from striate.live.class_names import MOST_CHARACTERS
from striate.live.client import Client
from striate.live.found import MOST_CLASSES
from striate.live.frames import FRAME_SIDE, MOST_BYTES, thumbnail
from striate.live.guard import App, Guard, origins_of
from striate.live.outbox import encode
from striate.live.page import security_headers
from striate.live.session import POOL, LiveSession
from striate.live.sources import Player, Source
from striate.live.training import Trainer

__all__ = ["MOST_CLIENTS", "LiveServer"]

MOST_CLIENTS = 4
"""Pages that may be connected at once."""

_TICK = 0.1  # seconds between states that are sent
_AFTER_FAILURE = 1.0  # seconds
_THUMBNAILS = 500  # kept in memory, about 5 kB each

Result = TypeVar("Result")


class LiveServer:
    """Connects a session with its pages.

    Parameters
    ----------
    session : LiveSession
    page : str
        The page, see `page.load_page`.
    token : str
        What the address must have in it.
    host : str
        The address that the server listens on.
    port : int
    source : Source, optional
        Plays in the camera's place.

    Attributes
    ----------
    app : ASGI application
    failure : Exception or None
        Why the session could not begin; `ended` is then set.
    ended : callable
        Called when the server should end by itself.
    """

    def __init__(
        self, session: LiveSession, *, page: str, token: str, host: str, port: int, source: Source | None = None
    ) -> None:
        self.session = session
        self.trainer = Trainer(session.folder.path)
        self.failure: Exception | None = None
        self.ended: Callable[[], None] = lambda: None
        self._page = page
        self._source = source
        self._player: Player | None = None
        self._clients: set[Client] = set()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="striate live")
        self._painter = ThreadPoolExecutor(1, thread_name_prefix="striate thumbnails")
        self._thumbnails: OrderedDict[str, bytes] = OrderedDict()
        self._relearning = False
        self._shown_at = 0.0
        hosts = origins_of(host, port)
        self.app: App = Guard(self._routes(), token=token, hosts=hosts, headers=security_headers(page, hosts))

    # The application

    def _routes(self) -> FastAPI:
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=self._lifespan)
        app.get("/")(self._get_page)
        app.get("/sample/{name}")(self._get_sample)
        app.get("/filters.png")(self._get_filters)
        app.get("/model")(self._get_model)
        app.get("/report")(self._get_report)
        app.websocket("/ws")(self._talk)
        return app

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        background = asyncio.create_task(self._work_in_background())
        if self._source is not None:
            self._player = Player(
                self._source,
                lambda number, jpeg: _soon(loop, self._show_source_frame, number, jpeg),
                lambda error: _soon(loop, self._tell_all, _error(_told(error), "source")),
            )
            self._player.start()
        try:
            yield
        finally:
            background.cancel()
            if self._player is not None:
                self._player.stop()
            self._worker.shutdown(wait=False, cancel_futures=True)
            self._painter.shutdown(wait=False, cancel_futures=True)
            self.trainer.stop()

    async def _get_page(self) -> Response:
        return HTMLResponse(self._page)

    async def _get_sample(self, name: str, request: Request) -> Response:
        number = name.removesuffix(".jpg")
        if not (name.endswith(".jpg") and number.isascii() and number.isdecimal() and len(number) < 16):
            raise HTTPException(404)
        try:
            picture = self.session.picture_of(int(number))
            version = zlib.crc32(picture) if isinstance(picture, bytes) else os.stat(picture).st_mtime_ns
        except (KeyError, OSError):
            raise HTTPException(404) from None
        # Numbers begin anew when the session does, so the browser has to ask whether it is still the same picture.
        tag = f'"{number}-{version:x}"'
        headers = {"cache-control": "private, no-cache", "etag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        made = self._thumbnails.get(tag)
        if made is None:
            try:
                made = await asyncio.get_running_loop().run_in_executor(self._painter, thumbnail, picture)
            except UnreadableImage:
                raise HTTPException(404) from None
            self._thumbnails[tag] = made
            while len(self._thumbnails) > _THUMBNAILS:
                self._thumbnails.popitem(last=False)
        return Response(made, media_type="image/jpeg", headers=headers)

    async def _get_filters(self) -> Response:
        try:
            picture = await self._in_worker(lambda: encode_png(self.session.filters()))
        except StriateError as error:
            return PlainTextResponse(f"{error}\n", status_code=503)
        return Response(picture, media_type="image/png")

    async def _get_model(self) -> Response:
        return self._download(self.trainer.model, "application/octet-stream")

    async def _get_report(self) -> Response:
        return self._download(self.trainer.report, "text/html")

    def _download(self, path: Any, media_type: str) -> Response:
        # As an attachment: what is in a report must not run as a part of this page.
        state = self.trainer.state()
        if state is None or "model" not in state or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, media_type=media_type, filename=path.name)

    # Clients

    async def _talk(self, socket: WebSocket) -> None:
        await socket.accept()
        if len(self._clients) >= MOST_CLIENTS:
            text = f"{MOST_CLIENTS} pages are open already: close one of them, and reload this one"
            with suppress(WebSocketDisconnect, RuntimeError):
                await socket.send_text(encode(_error(text, "connect")))
                await socket.close(1013)
            return
        client = Client(socket, self._answer, self._obey)
        self._clients.add(client)
        try:
            client.outbox.put(self._hello())
            client.outbox.put(self._state())
            await client.run()
        finally:
            self._clients.discard(client)

    def _hello(self) -> dict[str, Any]:
        return {
            "type": "hello",
            "name": one_line(self.session.folder.path.resolve().name),
            "camera": self._source is None,
            "everything_else": POOL,
            "limits": {
                "side": FRAME_SIDE,
                "bytes": MOST_BYTES,
                "clients": MOST_CLIENTS,
                "classes": MOST_CLASSES,
                "name": MOST_CHARACTERS,
            },
        }

    def _state(self) -> dict[str, Any]:
        return {
            **self.session.state,
            "training": self.trainer.state(),
            "train_folder": one_line(str(self.trainer.place)),
        }

    async def _answer(self, client: Client, number: int, purpose: int, jpeg: bytes) -> None:
        """Answer to a frame."""
        with_maps = client.wants_maps(time.monotonic())

        def work() -> tuple[dict[str, Any], bytes | None]:
            answer, maps = self.session.frame(purpose, jpeg, with_maps=with_maps)
            return answer, None if maps is None else encode_png(maps)

        try:
            answer, maps = await self._in_worker(work)
        except Exception as error:
            client.outbox.put(_error(_told(error), "frame") | {"frame": number})
            return
        client.outbox.put({"type": "answer", "frame": number} | answer)
        if maps is not None:
            client.outbox.put({"type": "maps", "frame": number, "png": base64.b64encode(maps).decode()})

    async def _obey(self, client: Client, message: Mapping[str, Any]) -> None:
        """Carry out a command."""
        what = message.get("do")
        try:
            match what:
                case "show":
                    client.show_maps = message.get("maps") is True
                case "source":
                    if self._player is not None:
                        self._player.play(message.get("play") is True)
                case "train":
                    self.trainer.start()
                case "stop_training":
                    await asyncio.get_running_loop().run_in_executor(self._painter, self.trainer.stop)
                case "learn_features":
                    await self._learn_features()
                case _:
                    await self._in_worker(lambda: self.session.command(message))
        except Exception as error:
            client.outbox.put(_error(_told(error), what if isinstance(what, str) else None))

    async def _learn_features(self) -> None:
        if self._relearning:
            return
        self._relearning = True

        async def learn() -> None:
            try:
                features = await _in_own_thread(self.session.learned_here)
                await self._in_worker(lambda: self.session.adopt(features))
            except Exception as error:
                self._tell_all(_error(_told(error), "learn_features"))
            finally:
                self._relearning = False

        self._relearner = asyncio.create_task(learn())

    # In the background

    async def _work_in_background(self) -> None:
        try:
            await self._in_worker(self.session.prepare)
        except Exception as error:
            self.failure = error
            self.ended()
            return
        while True:
            try:
                await self._learn_and_show()
            except Exception as error:
                self._tell_all(_error(_told(error), None))
                await asyncio.sleep(_AFTER_FAILURE)

    async def _learn_and_show(self) -> None:
        """Learn some of what waits, or wait for something; send the state if it has changed."""
        if self.session.waits:
            await self._in_worker(self.session.learn_some)
        else:
            await asyncio.sleep(_TICK)
        changed = self.session.changed or self.trainer.changed
        if changed and time.monotonic() - self._shown_at >= _TICK:
            self.trainer.changed = False
            await self._in_worker(self.session.refresh)
            self._shown_at = time.monotonic()
            self._tell_all(self._state())

    def _tell_all(self, message: Mapping[str, Any]) -> None:
        text = encode(message)
        for client in self._clients:
            client.outbox.put_text(message["type"], text)

    def _show_source_frame(self, number: int, jpeg: bytes) -> None:
        self._tell_all({"type": "source_frame", "frame": number, "jpeg": base64.b64encode(jpeg).decode()})

    async def _in_worker(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)


def _error(text: str, command: str | None) -> dict[str, Any]:
    return {"type": "error", "message": text, "for": None if command is None else command[:40]}


def _told(error: Exception) -> str:
    """What is wrong, in a sentence; after a defect the session goes on, since nobody should lose it."""
    if isinstance(error, StriateError):
        return one_line(str(error))
    return one_line(f"this is a defect of striate, please report it: {type(error).__name__}: {error}")


def _soon(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> None:
    with suppress(RuntimeError):  # the loop has been closed
        loop.call_soon_threadsafe(function, *arguments)


async def _in_own_thread(work: Callable[[], Result]) -> Result:
    """Run work that takes long in a thread that does not keep the process from ending."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, daemon=True, name="striate features").start()
    return await asyncio.wrap_future(future)
