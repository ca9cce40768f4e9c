"""Downloads that are checked, and continued after an interruption."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from striate.errors import StriateError
from striate.progress import Phase, Progress

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 13  # bytes; at most this much is lost when a transfer breaks off
_KILOBYTE = 1000
# Failed attempts in a row. An attempt that transfers any data does not count as failed.
_FRUITLESS_ATTEMPTS = 3
_PAUSE = 1.0  # seconds after the first failed attempt, twice that after the second
# A server that is busy now may answer in a moment; 416: our part is longer than the file, and is begun again.
_TEMPORARY = frozenset({408, 416, 425, 429})


def download(
    urls: Sequence[str],
    sha256: str,
    target: Path,
    *,
    max_bytes: int | None = None,
    timeout: float = 30.0,
    progress: Progress | None = None,
) -> None:
    """Download a file with a known checksum, unless it is already there and right.

    Partial data is kept beside the target, as ``NAME.part``, and the next attempt or call asks the server only for the
    rest. A server that does not support this sends the whole file again.

    Parameters
    ----------
    urls : sequence of str
        Addresses of the file, tried in order.
    sha256 : str
        The checksum of the file, 64 hexadecimal digits.
    target : Path
        The file to write. Its folder is created if it is missing.
    max_bytes : int, optional
        Largest size of the file; the transfer is aborted when the server sends more. Default: no limit.
    timeout : float, default=30.0
        Seconds without data after which an attempt counts as failed.
    progress : Progress, optional
        Counts the kilobytes that arrive.

    Raises
    ------
    StriateError
        When no URL delivers the file, or what one delivers has another checksum; that file is then removed.
    """
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)  # `progress` reports the same as its log
    failures = []
    for url in urls:
        with (progress or Progress()).phase(f"download {target.name}", unit="kB") as phase:
            transfer = _Transfer(target.with_name(target.name + ".part"), max_bytes or sys.maxsize, timeout, phase)
            try:
                pooch.retrieve(url, f"sha256:{sha256}", target.name, target.parent, downloader=transfer)
                return
            except _Broken as broken:
                failures.append(f"{_host(url)} {broken}")
            except ValueError:  # how pooch reports that the checksum differs
                failures.append(f"{_host(url)} sent a file with another checksum, which was removed")
    raise StriateError(f"{target.name}: {'; '.join(failures)}")


def _host(url: str) -> str:
    return urlsplit(url).netloc


class _Broken(Exception):
    """One server did not deliver the file; the message goes on after the server's name."""


class _Transfer:
    """What pooch calls to fetch a URL into a file: ``transfer(url, output_file, pooch)``."""

    def __init__(self, part: Path, max_bytes: int, timeout: float, phase: Phase) -> None:
        self.part = part
        self.max_bytes = max_bytes
        self.timeout = timeout
        self.phase = phase

    def __call__(self, url: str, output_file: str, _: object) -> None:
        farthest = self._size()
        fruitless = 0
        while (broken := self._attempt(url)) is not None:
            size = self._size()
            fruitless = 0 if size > farthest else fruitless + 1
            farthest = max(farthest, size)
            if fruitless == _FRUITLESS_ATTEMPTS:
                raise _Broken(broken)
            time.sleep(_PAUSE * fruitless)
        os.replace(self.part, output_file)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _attempt(self, url: str) -> str | None:
        """Fetch the rest of the file; return the reason of a failure that another attempt may overcome."""
        import requests

        start = self._size()
        # Without "identity", a server may compress the bytes once more, and their count would mean nothing.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        answered = False
        try:
            with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as response:
                answered = True
                self._refuse(response.status_code)
                if response.status_code == 416:
                    self.part.unlink(missing_ok=True)
                    return "has a shorter file than what had arrived"
                if response.status_code not in (200, 206):
                    return f"answered with HTTP status {response.status_code}"
                return self._receive(response, start)
        except requests.Timeout:
            return f"sent nothing for {self.timeout:g} seconds"
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            return self._broken_off() if answered else "could not be reached"
        except requests.RequestException as error:
            return f"failed ({type(error).__name__})"

    def _refuse(self, status: int) -> None:
        """Raise if the answer of the server shows that further attempts are useless."""
        if 400 <= status < 500 and status not in _TEMPORARY:
            explanation = {403: ", forbidden", 404: ", not found", 410: ", gone"}.get(status, "")
            raise _Broken(f"does not deliver it (HTTP status {status}{explanation})")

    def _receive(self, response: requests.Response, start: int) -> str | None:
        """Append the data to the partial file, or begin it again when the server sends the whole file."""
        if response.status_code == 200 or _first_byte(response) != start:
            if response.status_code == 206:
                self.part.unlink()
                return "sent another part than was requested"
            start = 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        self.phase.total = None if total is None else total // _KILOBYTE
        if total is not None and total > self.max_bytes:
            self._refuse_too_long()
        done = start
        with open(self.part, "ab" if start else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                done += len(chunk)
                if done > self.max_bytes:
                    self._refuse_too_long()
                file.write(chunk)
                self.phase.advance(done // _KILOBYTE - self.phase.done)
        return None if total is None or done == total else self._broken_off()

    def _refuse_too_long(self) -> None:
        """Remove partial data that belongs to another file."""
        self.part.unlink(missing_ok=True)
        raise _Broken(f"sends more than the {self.max_bytes // _KILOBYTE} kB that the file can have")

    def _broken_off(self) -> str:
        of = "" if self.phase.total is None else f" of {self.phase.total}"
        return f"broke off after {self._size() // _KILOBYTE}{of} kB"


def _first_byte(response: requests.Response) -> int | None:
    """The first byte of a partial answer within the file; None if the server does not state it."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None
