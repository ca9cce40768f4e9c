"""Serve a folder with the stand-in's features: ``python -m tests.live.run_stand_in FOLDER [PORT [TOKEN]]``."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from striate.live.page import load_page
from striate.live.samples import SampleFolder
from striate.live.server import LiveServer
from striate.live.serving import listen, serve
from striate.live.session import LiveSession
from striate.live.sources import open_source
from tests.live.stand_in import NearestMean, PixelFeatures

BARE_PAGE = "<!doctype html><title>bare</title><script>0</script><style>p{}</style>"


def main() -> None:
    folder, port, token, source = [*sys.argv[1:], *["", "0", "secret", ""][len(sys.argv) - 1 :]]
    bound = listen("127.0.0.1", int(port))
    try:
        page = load_page()
    except FileNotFoundError:
        page = BARE_PAGE
    samples = SampleFolder(Path(folder))
    session = LiveSession(samples, PixelFeatures, NearestMean)
    port = str(bound.getsockname()[1])
    server = LiveServer(
        session,
        page=page,
        token=token,
        host="127.0.0.1",
        port=int(port),
        source=open_source(source) if source else None,
    )
    print(f"http://127.0.0.1:{port}/?token={token}", flush=True)
    with suppress(KeyboardInterrupt):
        serve(server, bound)
    samples.close()


if __name__ == "__main__":
    main()
