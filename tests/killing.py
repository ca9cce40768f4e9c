"""Fits that are killed while they save, and begun again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from striate.checkpoint import Checkpoint

Learned = TypeVar("Learned")


class Kill(BaseException):
    """What no code may catch, as it may not a kill."""


class Killing(Checkpoint):
    """Every save is due, until one of them is killed."""

    saves_left = 10**9

    def due(self) -> bool:
        return True

    def save(self, name: str, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        if self.saves_left == 0:
            raise Kill
        self.saves_left -= 1
        super().save(name, arrays, state)


def learn_through_kills(
    learn: Callable[[Checkpoint], Learned], folder: Path, saves: Callable[[], int]
) -> tuple[Learned, int]:
    """What `learn` gives in the end, and how often it was killed: each attempt during the save after so many."""
    kills = 0
    while True:
        checkpoint = Killing(folder, {"seed": 3})
        checkpoint.saves_left = saves()
        try:
            return learn(checkpoint), kills
        except Kill:
            kills += 1
