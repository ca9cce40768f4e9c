"""What the tests of the page are made of: Debian's Chromium, a server that can be killed, and hands on the keys."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.live.fake_camera import SHOWN

__all__ = ["PICTURES", "TOKEN", "Hands", "LiveServer", "Watched", "find_chromium", "launch_chromium", "samples_in"]

TOKEN = "a-token-for-tests"
NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str:
    """The path of the system's Chromium. Without it tests are skipped, except where everything must run, as in CI."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        words = "no Chromium was found: install it (Debian: apt-get install chromium)"
        if os.environ.get("STRIATE_DATA") or os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    return found


@contextmanager
def launch_chromium(camera: Path) -> Iterator[Any]:
    """A headless browser whose camera shows a file, and which asks nobody for leave to use it.

    Playwright keeps an event loop running in this thread: the browser must be closed before tests of another file run.
    """
    from playwright.sync_api import sync_playwright

    arguments = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
        "--disable-background-networking",
    ]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium refuses to run as root with it
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class LiveServer:
    """``striate live`` in a process of its own, always at the same port.

    Attributes
    ----------
    address : str
        What it printed: with the token.
    token : str
        Of the next start.
    """

    def __init__(self, folder: Path, *, source: Path | None = None) -> None:
        self._options = [str(folder)] if source is None else [str(folder), "--source", str(source)]
        self.token = TOKEN
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        """Start it, and wait until it has printed its address."""
        command = [
            sys.executable,
            "-m",
            "striate",
            "live",
            *self._options,
            "--port",
            str(self.port),
            "--no-browser",
            "--quiet",
        ]
        environment = os.environ | {"STRIATE_LIVE_TOKEN": self.token}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address, "the server has not started"

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def samples_in(folder: Path) -> dict[str, int]:
    """The number of images in each class of a folder."""
    return {path.name: len(list(path.glob("*.jpg"))) for path in folder.glob("[!.]*/")}


class Watched:
    """A page, and what went wrong on it: errors of its console, and requests to anywhere but its server."""

    def __init__(self, page: Any, port: int) -> None:
        self.page = page
        self.errors: list[str] = []
        self.strangers: list[str] = []
        own = re.compile(rf"(http|ws)://127\.0\.0\.1:{port}/|blob:|data:")

        def see(url: str) -> None:
            if not own.match(url):
                self.strangers.append(url)

        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: self.errors.append(f"a dialog was opened: {dialog.message}"))
        page.on("request", lambda request: see(request.url))
        page.on("websocket", lambda socket: see(socket.url))


class Hands:
    """What a person does on the page. Nothing here waits for a time: only for what the page or the camera shows."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def wait_for_object(self, number: int, *, anew: bool = False) -> None:
        """Until the camera shows an object; `anew`: until it begins to."""
        if anew:
            self.page.wait_for_function(f"() => ({SHOWN})() !== {number}", timeout=60_000)
        self.page.wait_for_function(f"() => ({SHOWN})() === {number}", timeout=60_000)

    def add_class(self, name: str) -> None:
        self.page.get_by_label("New class", exact=True).fill(name)
        self.page.keyboard.press("Enter")
        self.card(name).wait_for()

    def card(self, name: str) -> Any:
        """The card of a class."""
        return self.page.get_by_role("listitem", name=name, exact=True)

    def key(self, name: str) -> str:
        """The key of a class, as its card shows it."""
        return str(self.card(name).locator("kbd").inner_text())

    def count(self, name: str) -> int:
        """How many samples the card of a class says that it has."""
        words = self.card(name).locator("p").first.inner_text()
        return 0 if words.startswith("No sample") else int(words.split()[0])

    def hold(self, key: str, name: str, number: int, *, samples: int = 4) -> None:
        """Hold a key while the camera shows an object; if the object has changed meanwhile, undo it and try again."""
        for _ in range(5):
            self.wait_for_object(number, anew=True)
            before = self.count(name)
            self.page.keyboard.down(key)
            self.wait_for_count(name, before + samples)
            stayed = self.page.evaluate(SHOWN) == number
            self.page.keyboard.up(key)
            self.settle()
            if stayed and self.page.evaluate(SHOWN) == number:
                return
            self.page.keyboard.press("Control+z")
            self.page.wait_for_function(_COUNT_IS, arg=[name, before, before])
        raise AssertionError("the camera never showed the object for long enough")

    def wait_for_count(self, name: str, least: int, most: int = 10**6) -> None:
        """Until the card of a class says that it has so many samples."""
        self.page.wait_for_function(_COUNT_IS, arg=[name, least, most], timeout=60_000)

    def settle(self) -> None:
        """Until the server has answered two more frames, so that nothing from before is under way."""
        shown = int(self.page.locator("#answer").get_attribute("data-frame") or 0)
        self.page.wait_for_function(_ANSWERED, arg=shown + 2, timeout=60_000)

    def wait_for_answer(self, words: str) -> None:
        self.page.wait_for_function(_ANSWER_IS, arg=words, timeout=60_000)

    def answer(self) -> str:
        return self.page.locator("#what").inner_text()


PICTURES = """
() => document.querySelector("#filters").naturalWidth > 0 && document.querySelector("#maps").naturalWidth > 0
  && document.querySelector("#bars").getContext("2d").getImageData(0, 0, 300, 150).data.some((value) => value > 0)
"""
"""JavaScript: whether the filters, the maps and the bars are shown."""

_COUNT_IS = """
([name, least, most]) => [...document.querySelectorAll(".card")].some((card) => {
  const count = card.querySelector("p")?.textContent ?? "";
  const n = count.startsWith("No sample") ? 0 : parseInt(count);
  return card.querySelector("h3")?.textContent === name && n >= least && n <= most;
})
"""
_ANSWERED = "(frame) => Number(document.querySelector('#answer').dataset.frame ?? 0) >= frame"
_ANSWER_IS = "(words) => document.querySelector('#what').textContent === words"
