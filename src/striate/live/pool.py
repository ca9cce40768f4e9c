"""The pool of everything else: frames taken while nothing is being learned, so that a session knows the empty scene.

It is kept in memory alone. Nobody pressed a key for these frames, so they are not written to the disk; after a
restart the pool fills again within a minute or two.
"""

from __future__ import annotations

import random
import time

__all__ = ["MOST_POOLED", "Pool"]

MOST_POOLED = 200
"""Frames in the pool."""

_APART = 0.5  # seconds between frames that are offered: neighbors look the same
_BURST = 10.0  # seconds
_AROUND_SAMPLE = 2.0  # seconds before and after a sample, while its object may be in sight


class Pool:
    """A uniform sample of the frames that were offered (reservoir sampling, Vitter's algorithm R).

    A frame is held back for two seconds after it was offered, and is dropped if a sample is taken meanwhile: its
    object was in sight already before the key was pressed.

    Parameters
    ----------
    most : int, default=`MOST_POOLED`
    seed : int, default=0

    Attributes
    ----------
    frames : dict of int to bytes
        The JPEG of each frame by its number as a sample; they are needed when the features change.
    bursts : dict of int to int
        For each frame, a number that frames share that came within ten seconds.
    """

    def __init__(self, most: int = MOST_POOLED, seed: int = 0) -> None:
        self.most = most
        self.frames: dict[int, bytes] = {}
        self.bursts: dict[int, int] = {}
        self._held: list[tuple[float, bytes]] = []
        self._n_offered = 0
        self._random = random.Random(seed)
        self._last_offer = self._last_sample = float("-inf")

    def note_sample(self, now: float) -> None:
        """Drop what is held back, since a sample was taken at a time in seconds of any clock."""
        self._last_sample = now
        self._held.clear()

    def is_idle(self, now: float) -> bool:
        """Whether a frame may be offered: a while after the last one, and after the last sample."""
        return now - self._last_offer >= _APART and now - self._last_sample >= _AROUND_SAMPLE

    def hold(self, jpeg: bytes, now: float) -> None:
        """Hold a frame back that was offered at a time."""
        self._last_offer = now
        self._held.append((now, jpeg))

    def ripe(self, now: float) -> list[bytes]:
        """Take out the frames that were held back long enough."""
        ripe = [jpeg for since, jpeg in self._held if now - since >= _AROUND_SAMPLE]
        del self._held[: len(ripe)]
        return ripe

    def chooses(self) -> bool:
        """Count a frame; whether it becomes a part of the pool, by chance if the pool is full."""
        self._n_offered += 1
        return len(self.frames) < self.most or self._random.randrange(self._n_offered) < self.most

    def put(self, frame: int, jpeg: bytes) -> None:
        """Add a frame, in the place of a random one if the pool is full."""
        if len(self.frames) >= self.most:
            self.drop(self._random.choice(list(self.frames)))
        self.frames[frame] = jpeg
        self.bursts[frame] = int(time.monotonic() / _BURST)

    def drop(self, frame: int) -> None:
        """Remove a frame, if it is still there."""
        self.frames.pop(frame, None)
        self.bursts.pop(frame, None)
