"""How well samples are recognized by the others, measured again after each change, but not all the time."""

from __future__ import annotations

import time

import numpy as np

from striate.live.knowledge import Knowledge

__all__ = ["AccuracyMeter"]

_SHARE = 0.2  # of the time may go into measuring


class AccuracyMeter:
    """Leave-one-out accuracy of what is known.

    Attributes
    ----------
    accuracy : float or None
        None if no class can be judged.
    per_class : dict of str to float
        By label.
    """

    def __init__(self) -> None:
        self.accuracy: float | None = None
        self.per_class: dict[str, float] = {}
        self._measured: tuple[Knowledge, int] | None = None  # and its version
        self._ended_at, self._seconds = 0.0, 0.0

    def measure(self, knowledge: Knowledge) -> bool:
        """Measure, if something has changed since the last time; False if it is too early to do so.

        Nothing is measured while samples still wait, since each of them changes it.
        """
        now = (knowledge, knowledge.version)
        if knowledge.waiting or now == self._measured:
            return True
        started = time.monotonic()
        if started - self._ended_at < self._seconds / _SHARE:
            return False
        found = knowledge.classifier.held_out()
        self.accuracy = _rounded(found.accuracy)
        self.per_class = {
            label: value for label, one in found.per_class.items() if (value := _rounded(one)) is not None
        }
        self._measured = now
        self._ended_at = time.monotonic()
        self._seconds = self._ended_at - started
        return True


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 4)
