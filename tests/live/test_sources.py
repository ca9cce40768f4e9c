from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.errors import UsageError
from striate.live import open_source
from striate.live.frames import FRAME_SIDE, decode_frame
from striate.live.sources import Player
from tests.live.talking import serving


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder of three grey frames, and what are none."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.full((240, 320), 60 * number, np.uint8)).save(folder / f"{number}.png")
    (folder / "3.png").write_bytes(b"broken")
    (folder / "notes.txt").write_text("")
    return folder


def levels(source: object) -> list[int]:
    images = [decode_frame(jpeg) for jpeg in source.frames()]  # type: ignore[attr-defined]
    assert {image.shape for image in images} == {(3, FRAME_SIDE, FRAME_SIDE)}
    return [round(255 * float(image.mean())) for image in images]


def test_a_folder_of_frames_plays_in_order_without_broken_ones(frames: Path) -> None:
    source = open_source(frames)
    assert source.rate == 10
    assert levels(source) == [0, 60, 120]
    assert levels(source) == [0, 60, 120]


def test_a_film_plays_at_its_own_rate(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (320, 240))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no films")
    for number in range(4):
        writer.write(np.full((240, 320, 3), (0, 0, 60 * number), np.uint8))  # blue, green, red
    writer.release()
    source = open_source(path)
    assert source.rate == 25
    reds = [decode_frame(jpeg)[0].mean() for jpeg in source.frames()]
    np.testing.assert_allclose(np.array(reds) * 255, [0, 60, 120, 180], atol=8)


def test_what_cannot_be_played(tmp_path: Path, frames: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        open_source(tmp_path / "missing")
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(UsageError, match=r"cannot play|OpenCV"):
        open_source(tmp_path / "text.mp4")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "1.png").write_bytes(b"broken")
    with pytest.raises(UsageError, match="none of its frames"):
        list(open_source(tmp_path / "broken").frames())


class Numbers:
    """A source of two frames, which can play as often as it is asked to."""

    rate = 1000.0

    def __init__(self) -> None:
        self.rounds = 0

    def frames(self) -> Iterator[bytes]:
        self.rounds += 1
        yield b"a"
        yield b"b"


def test_a_player_loops_pauses_and_ends() -> None:
    seen: list[tuple[int, bytes]] = []
    enough = threading.Event()

    def show(number: int, jpeg: bytes) -> None:
        seen.append((number, jpeg))
        if number >= 5:
            enough.set()

    failures: list[Exception] = []
    player = Player(Numbers(), show, failures.append)
    player.start()
    assert enough.wait(60)
    player.play(False)
    player.stop()
    assert failures == []
    n = len(seen)
    assert [number for number, _ in seen] == list(range(1, n + 1))
    assert [jpeg for _, jpeg in seen[:5]] == [b"a", b"b", b"a", b"b", b"a"]


def test_a_player_tells_why_it_ends(tmp_path: Path) -> None:
    failures: list[Exception] = []
    (tmp_path / "1.png").write_bytes(b"broken")
    player = Player(open_source(tmp_path), lambda *_: None, failures.append)
    player.start()
    player._thread.join(60)
    assert "none of its frames" in str(failures[0])


def test_the_server_sends_the_frames_of_a_source(tmp_path: Path, frames: Path) -> None:
    with serving(tmp_path / "things", source=str(frames)) as server, server.client() as client:
        assert not client.until("hello")["camera"]
        numbers = [client.until("source_frame")["frame"] for _ in range(3)]
        assert numbers == sorted(numbers)
        client.do("source", play=False)
        client.ask()
        client.do("source", play=True)
        client.until("source_frame", lambda frame: frame["frame"] > numbers[-1])
        assert server.end() in (0, -2)
