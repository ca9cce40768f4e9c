"""The pool of everything else: frames taken while nothing is being learned, so that a session knows the empty scene.

It is kept in memory alone. Nobody pressed a key for these frames, so they are not written to the disk; after a
restart the pool fills again within a minute or two.
"""

from __future__ import annotations

import random
from typing import NamedTuple

__all__ = ["MOST_POOLED", "Pool"]

MOST_POOLED = 200
"""Frames in the pool."""

_APART = 0.5  # seconds between frames that are offered: neighbors look the same
_AFTER_SAMPLE = 2.0  # seconds after a sample, while its object may still be in sight


class Change(NamedTuple):
    """What a new frame does to the pool."""

    takes_part: bool
    removed: int | None  # the frame whose place it takes


class Pool:
    """A uniform sample of the frames that were offered (reservoir sampling, Vitter's algorithm R).

    Parameters
    ----------
    most : int, default=`MOST_POOLED`
    seed : int, default=0

    Attributes
    ----------
    frames : dict of int to bytes
        The JPEG of each frame by its number; they are needed when the features change.
    """

    def __init__(self, most: int = MOST_POOLED, seed: int = 0) -> None:
        self.most = most
        self.frames: dict[int, bytes] = {}
        self._n_offered = 0
        self._random = random.Random(seed)
        self._last_offer = self._last_sample = float("-inf")

    def note_sample(self, now: float) -> None:
        """Remember when a sample was taken, in seconds of any clock."""
        self._last_sample = now

    def is_idle(self, now: float) -> bool:
        """Whether a frame may be offered: a while after the last one, and after the last sample."""
        return now - self._last_offer >= _APART and now - self._last_sample >= _AFTER_SAMPLE

    def offer(self, frame: int, jpeg: bytes, now: float, *, surely: bool = False) -> Change:
        """Take a frame, or leave it, by chance.

        Parameters
        ----------
        frame : int
            Its number as a sample.
        jpeg : bytes
        now : float
            In seconds of the clock of `is_idle`.
        surely : bool, default=False
            Whether a person asked for this frame, so that it is taken in any case, in a random frame's place.
        """
        self._last_offer = now
        self._n_offered += 1
        if len(self.frames) < self.most:
            self.frames[frame] = jpeg
            return Change(True, None)
        place = self._random.randrange(self.most if surely else self._n_offered)
        if place >= self.most:
            return Change(False, None)
        removed = list(self.frames)[place]
        del self.frames[removed]
        self.frames[frame] = jpeg
        return Change(True, removed)
