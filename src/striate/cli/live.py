"""``striate live [FOLDER]``: learn what a camera sees, on a local page."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli._live_page import address_of, check_packages, new_token, open_page
from striate.cli._options import Quiet, Threads, emit
from striate.errors import UsageError, one_line

if TYPE_CHECKING:
    from striate.live import Features, LiveServer, SampleFolder, Source

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("0.0.0.0", "::", "")


def live(
    folder: Annotated[
        Path, typer.Argument(help="A folder with one sub-folder per class; it is created if it does not exist.")
    ] = Path("striate-live"),
    source: Annotated[
        Path | None,
        typer.Option(help="A film, or a folder of frames, that plays in the camera's place.", show_default=False),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="A model of striate train, whose features are used.", show_default="features that ship with striate"
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port of the page; 0 takes any that is free.")] = 8707,
    host: Annotated[
        str, typer.Option(help="The address to listen on. Any but the default lets other computers connect.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Learn what a camera sees, in a second, on a page of this computer.

    Hold up an object and press a key: from then on it is recognized. Every sample is written into FOLDER at once, so
    that striate train FOLDER learns a full model from it, and the next striate live goes on with it. Nothing leaves
    this computer. Ctrl-C ends.
    """
    check_packages("striate live")
    from striate.live import SampleFolder, listen, open_source, serve

    if host in _EVERYWHERE:
        raise UsageError(f"--host {host}: give one address of this computer, the one under which the page is opened")
    if model is not None and not model.is_file():
        raise UsageError(f"--model {model}: there is no such file; give a model of striate train")
    bound = listen(host, port)  # before anything that takes time
    samples = None
    try:
        samples = SampleFolder(folder)
        plays = None if source is None else open_source(source)
        token = new_token()
        port = bound.getsockname()[1]
        address = address_of(host, bound, token)
        if host not in _LOOPBACK:
            sys.stderr.write(one_line(_what_it_means(host, port)) + "\n")
        emit({}, False, address)
        _tell(f"samples go into {folder}; Ctrl-C ends", quiet)
        if browser:
            open_page(address)
        # The browser starts while the rest is loaded: its requests wait.
        server = _server(samples, model, host=host, port=port, token=token, source=plays)
        with suppress(KeyboardInterrupt):
            serve(server, bound)
        n, n_classes = len(samples.samples), len(samples.classes)
        _tell(f"{folder}: {n:,} sample{'s'[: n != 1]} of {n_classes} class{'es'[: 2 * (n_classes != 1)]}", quiet)
    finally:
        bound.close()
        if samples is not None:
            samples.close()


def _server(
    samples: SampleFolder, model: Path | None, *, host: str, port: int, token: str, source: Source | None
) -> LiveServer:
    from striate.live import LiveServer, LiveSession, load_page
    from striate.recognition import IncrementalClassifier

    def load() -> Features:
        from striate.live import load_features

        return load_features(model)

    session = LiveSession(samples, load, IncrementalClassifier)
    return LiveServer(session, page=load_page(), token=token, host=host, port=port, source=source)


def _what_it_means(host: str, port: int) -> str:
    return (
        f"--host {host}: other computers of the network can reach the page, and since nothing is encrypted, whoever "
        "listens there sees frames and token. Browsers give a camera to pages of localhost or HTTPS alone, so that the "
        "page has none on another computer; to use its camera, leave --host out, and run on that computer: "
        f"ssh -L {port}:127.0.0.1:{port} {host}"
    )


def _tell(text: str, quiet: bool) -> None:
    if not quiet:
        sys.stderr.write(one_line(text) + "\n")
