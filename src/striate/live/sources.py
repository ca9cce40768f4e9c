"""Films and folders of frames that play in the camera's place."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from striate.errors import UnreadableImage, UsageError, one_line
from striate.images import ImageFolder
from striate.lazy import needs
from striate.live.frames import encode_frame, read_sample

__all__ = ["FrameFolder", "Player", "Source", "Video", "open_source"]

_FOLDER_RATE = 10.0  # frames a second, where nothing states a rate
_MOST_RATE = 60.0


class Source(Protocol):
    """Frames with a rate."""

    rate: float

    def frames(self) -> Iterator[bytes]:
        """The frames once, in order, as square JPEG files."""
        ...


def open_source(path: str | os.PathLike[str]) -> Source:
    """Open a film, or a folder of frames.

    Raises
    ------
    UsageError
        If there is no such file, or it cannot be played; if a film needs OpenCV, and it is not installed.
    """
    if os.path.isdir(path):
        return FrameFolder(path)
    if not os.path.exists(path):
        raise UsageError(f"--source {one_line(str(path))}: there is no such file; give a film or a folder of frames")
    return Video(path)


class FrameFolder:
    """Image files in the order of their names, ten a second.

    Parameters
    ----------
    path : str or path
        Of its images, also those in sub-folders, each is a frame.
    """

    rate = _FOLDER_RATE

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._images = ImageFolder(path)

    def frames(self) -> Iterator[bytes]:
        """The frames once; files that cannot be read are left out."""
        n_read = 0
        for index in range(len(self._images)):
            try:
                frame = encode_frame(read_sample(self._images.path_of(index)))
            except UnreadableImage:
                continue
            n_read += 1
            yield frame
        if not n_read:
            raise UsageError(f"{one_line(str(self._images.path))}: none of its frames can be read")


class Video:
    """A film, at its own rate.

    Parameters
    ----------
    path : str or path
        Anything that OpenCV reads.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        with needs("cv2", "baselines", "playing a film needs OpenCV", "a folder of frames plays without it"):
            import cv2
        self._cv2 = cv2
        self._path = Path(path)
        film = self._opened()
        rate = float(film.get(cv2.CAP_PROP_FPS))
        film.release()
        self.rate = min(rate, _MOST_RATE) if rate > 0 else _FOLDER_RATE

    def _opened(self):  # type: ignore[no-untyped-def]  # OpenCV has no types
        film = self._cv2.VideoCapture(os.fspath(self._path))
        if not film.isOpened():
            raise UsageError(f"--source {one_line(str(self._path))}: OpenCV cannot play it; give another film")
        return film

    def frames(self) -> Iterator[bytes]:
        """The frames once."""
        film = self._opened()
        n_read = 0
        try:
            while True:
                good, picture = film.read()
                if not good:
                    break
                n_read += 1
                pixels = picture[..., ::-1].transpose(2, 0, 1).astype(np.float32) / 255
                yield encode_frame(pixels)
        finally:
            film.release()
        if not n_read:
            raise UsageError(f"--source {one_line(str(self._path))}: it has no frames; give another film")


class Player:
    """Plays a source in a loop, in a thread.

    Parameters
    ----------
    source : Source
    show : callable
        Takes the number of a frame and its JPEG; called in the thread.
    failed : callable
        Takes an error; the player has then ended.
    """

    def __init__(self, source: Source, show: Callable[[int, bytes], None], failed: Callable[[Exception], None]) -> None:
        self._source, self._show, self._failed = source, show, failed
        self._plays, self._ended = threading.Event(), threading.Event()
        self._plays.set()
        self._thread = threading.Thread(target=self._run, daemon=True, name="striate source")

    def start(self) -> None:
        """Begin to play."""
        self._thread.start()

    def play(self, wanted: bool) -> None:
        """Play on, or pause."""
        if wanted:
            self._plays.set()
        else:
            self._plays.clear()

    def stop(self) -> None:
        """End."""
        self._ended.set()
        self._plays.set()
        self._thread.join(2)

    def _run(self) -> None:
        number = 0
        due = time.monotonic()
        try:
            while True:
                for frame in self._source.frames():
                    # A frame that is late delays the others: none is skipped, and none comes in a burst.
                    due = max(due + 1 / self._source.rate, time.monotonic())
                    self._ended.wait(due - time.monotonic())
                    self._plays.wait()
                    if self._ended.is_set():
                        return
                    number += 1
                    self._show(number, frame)
        except Exception as error:
            self._failed(error)
