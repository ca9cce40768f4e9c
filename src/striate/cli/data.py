"""``striate data``: list, locate and download data sets."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from striate.cli._options import AsJson, Quiet, emit

data = typer.Typer(add_completion=False)

Name = Annotated[str, typer.Argument(help="A data set; `striate data list` shows them.", show_default=False)]


@data.callback()
def _data() -> None:
    """List, locate and download data sets."""


@data.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the data sets: their content, their license, and where they are on this computer."""
    from striate.images.datasets import DATA_SETS, find

    listed: list[dict[str, Any]] = []
    for name, data_set in DATA_SETS.items():
        listed.append(
            {
                "name": name,
                "what": data_set.what,
                "license": data_set.license,
                "homepage": data_set.homepage,
                "layout": data_set.layout,
                "megabytes": data_set.megabytes,
                "download": bool(data_set.downloads),
                "sha256": {one.name: one.sha256 for one in data_set.downloads},
                "by_hand": data_set.by_hand or None,
                "path": find(name),
            }
        )
    emit(listed, as_json, "\n".join(_lines(one) for one in listed))


def _lines(one: dict[str, Any]) -> str:
    if one["download"]:
        source = f"download of {one['megabytes']} MB, SHA-256 checked: striate data get {one['name']}"
    else:
        source = f"place it yourself: {one['by_hand']}"
    details = [
        f"{one['what']}; {one['license']}",
        one["homepage"],
        f"here: {one['path']}" if one["path"] else f"not here; {source}",
    ]
    return "\n  ".join([one["name"], *details])


@data.command()
def path(name: Name, as_json: AsJson = False) -> None:
    """Print the folder of a data set."""
    from striate.images.datasets import data_folder

    folder = data_folder(name)
    emit({"name": name, "path": folder}, as_json, str(folder))


@data.command()
def get(
    name: Name,
    mirror: Annotated[
        str | None,
        typer.Option(help="Address of a folder with the publisher's files, used instead of the publisher's server."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=86_400, help="Seconds without data after which a connection counts as broken.")
    ] = 30,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Download a data set into STRIATE_DATA or the user's data folder; an interrupted download continues."""
    from striate.images import datasets
    from striate.progress import RichProgress

    _check_address(mirror)
    started = time.monotonic()
    was_here = datasets.find(name) is not None
    try:
        folder = datasets.get(name, base_url=mirror, timeout=timeout, progress=RichProgress(quiet=quiet))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; striate data get {name} goes on from what has arrived") from None
    seconds = round(time.monotonic() - started, 3)
    emit({"name": name, "path": folder, "downloaded": not was_here, "seconds": seconds}, as_json, str(folder))


def _check_address(mirror: str | None) -> None:
    """Raise UsageError for an invalid address, such as ``http://[``; whether it exists is found later."""
    from urllib.parse import urlsplit

    from striate.errors import UsageError

    try:
        wrong = mirror is not None and urlsplit(mirror).scheme in ("http", "https") and not urlsplit(mirror).hostname
        if mirror is not None:
            _ = urlsplit(mirror).port
    except ValueError:
        wrong = True
    if wrong:
        raise UsageError(f"--mirror {mirror}: is no web address; write for example https://example.org/mnist")
