"""A browser whose camera shows photographs, a server that can be killed, and pages that are watched for errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.live.browser import LiveServer, Watched, find_chromium, launch_chromium
from tests.live.fake_camera import view_at, write_camera
from tests.live.objects import MARKUP, SECONDS, photographs


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    find_chromium()
    camera = write_camera(tmp_path_factory.mktemp("camera") / "camera.y4m", photographs(), seconds=SECONDS)
    with launch_chromium(camera) as browser:
        yield browser


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    """`serve(folder, **options)` is a running server."""
    servers: list[LiveServer] = []

    def start(folder: Path, **options: Any) -> LiveServer:
        servers.append(LiveServer(folder, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def visit(chromium: Any) -> Iterator[Any]:
    """`visit(server, width=…, …)` is a page; in the end it must have had no error, and have asked nobody else."""
    pages: list[Watched] = []

    def open_page(server: LiveServer, *, prepare: str = "", **options: Any) -> Any:
        context = chromium.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        watched = Watched(context.new_page(), server.port)
        pages.append(watched)
        if prepare:
            watched.page.add_init_script(prepare)
        watched.page.goto(server.address)
        watched.page.locator("#connection[data-state=open]").wait_for()
        return watched.page

    yield open_page
    for watched in pages:
        watched.page.context.close()
    assert [error for watched in pages for error in watched.errors] == []
    assert [url for watched in pages for url in watched.strangers] == []


@pytest.fixture
def learned(tmp_path: Path) -> Path:
    """A folder as someone may have made it by hand: two classes, one of them named like markup."""
    folder = tmp_path / "folder"
    for name, photograph in zip(("astronaut", MARKUP), photographs(), strict=False):
        (folder / name).mkdir(parents=True)
        for k in range(4):
            Image.fromarray(view_at(photograph, 0.75 * k)).resize((192, 192)).save(
                folder / name / f"{k}.jpg", quality=90
            )
    return folder
