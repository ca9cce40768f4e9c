from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from striate.errors import StriateError
from striate.images import download as module
from striate.images.download import download
from striate.progress import Progress
from tests.file_server import FileServer

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.0)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "digits.gz"


def fetch(server: FileServer, target: Path, *, sha256: str = SHA256, timeout: float = 10.0) -> None:
    download([server.url + "/digits.gz"], sha256, target, timeout=timeout)


def left(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


@pytest.fixture
def server(file_server: FileServer) -> FileServer:
    file_server.files["/digits.gz"] = CONTENT
    return file_server


def test_a_file_arrives_and_is_not_fetched_twice(server: FileServer, target: Path) -> None:
    progress = Progress()
    download([server.url + "/digits.gz"], SHA256, target, progress=progress)
    assert target.read_bytes() == CONTENT
    assert left(target) == ["digits.gz"]
    assert [(record.name, record.items) for record in progress.records] == [("download digits.gz", 512)]
    fetch(server, target)
    assert len(server.requests) == 1


def test_a_broken_transfer_goes_on_where_it_stopped(server: FileServer, target: Path) -> None:
    server.break_after = 204_800
    fetch(server, target)
    assert target.read_bytes() == CONTENT
    starts = [int(asked.removeprefix("bytes=").removesuffix("-") or 0) for _, asked in server.requests]
    assert starts == [0, 204_800, 409_600]


def test_the_next_call_goes_on_too(server: FileServer, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("digits.gz.part").write_bytes(CONTENT[:300_000])
    fetch(server, target)
    assert server.requests == [("/digits.gz", "bytes=300000-")]
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_the_file_from_its_start(server: FileServer, target: Path) -> None:
    server.ranges = False
    target.parent.mkdir()
    target.with_name("digits.gz.part").write_bytes(b"x" * 300_000)
    fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_begun_again(server: FileServer, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("digits.gz.part").write_bytes(CONTENT + b"more")
    fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_another_piece_than_was_asked_for_is_not_appended(server: FileServer, target: Path) -> None:
    server.shift_ranges = 1
    target.parent.mkdir()
    target.with_name("digits.gz.part").write_bytes(CONTENT[:1000])
    fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_who_brings_nothing_new_is_given_up(server: FileServer, target: Path) -> None:
    server.ranges = False
    server.break_after = 204_800
    with pytest.raises(StriateError, match=r"digits\.gz: 127\.0\.0\.1:\d+ broke off after 204 of 512 kB"):
        fetch(server, target)
    assert left(target) == ["digits.gz.part"], "kept for a server that can continue"
    assert len(server.requests) == 4


def test_a_wrong_file_is_removed(server: FileServer, target: Path) -> None:
    server.files["/digits.gz"] = b"<html>moved</html>"
    with pytest.raises(StriateError, match="sent a file with another checksum, which was removed"):
        fetch(server, target)
    assert left(target) == []


def test_a_wrong_part_is_removed_and_the_next_call_succeeds(server: FileServer, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("digits.gz.part").write_bytes(b"x" * 1000)
    with pytest.raises(StriateError, match="another checksum"):
        fetch(server, target)
    fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_a_file_with_a_wrong_checksum_is_replaced(server: FileServer, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"damaged")
    fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_not_found_is_not_asked_again(file_server: FileServer, target: Path) -> None:
    with pytest.raises(StriateError, match=r"does not deliver it \(HTTP status 404, not found\)"):
        fetch(file_server, target)
    assert len(file_server.requests) == 1


def test_a_busy_server_is_asked_again(server: FileServer, target: Path) -> None:
    server.busy = 2
    fetch(server, target)
    assert target.read_bytes() == CONTENT
    server.busy = 99
    with pytest.raises(StriateError, match="answered with HTTP status 503"):
        fetch(server, target.with_name("other.gz"))


@pytest.mark.parametrize("after", [0, 106_496])
def test_a_server_that_falls_silent(server: FileServer, target: Path, after: int) -> None:
    server.hang_after = after
    server.ranges = False
    with pytest.raises(
        StriateError, match="broke off after 106 of 512 kB" if after else "sent nothing for 0.2 seconds"
    ):
        fetch(server, target, timeout=0.2)


def test_no_server_at_all(file_server: FileServer, target: Path) -> None:
    file_server.close()
    with pytest.raises(StriateError, match="could not be reached"):
        fetch(file_server, target)


def test_the_next_address_is_tried(server: FileServer, target: Path) -> None:
    download([server.url + "/absent.gz", server.url + "/digits.gz"], SHA256, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("endless", [False, True])
def test_a_server_that_sends_too_much_is_not_listened_to(server: FileServer, target: Path, endless: bool) -> None:
    server.endless = endless
    limit = len(CONTENT) - 1
    with pytest.raises(StriateError, match=r"sends more than the 511 kB that the file can have"):
        download([server.url + "/digits.gz"], SHA256, target, max_bytes=limit)
    assert left(target) == []
    server.endless = False
    download([server.url + "/digits.gz"], SHA256, target, max_bytes=len(CONTENT))
    assert target.read_bytes() == CONTENT
