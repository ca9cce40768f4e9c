"""A ``RandomState`` as a parameter of tests."""

from __future__ import annotations

import numpy as np


class RandomState(np.random.RandomState):
    """Shown without its address, which would give a test another name in each process that collects it."""

    def __repr__(self) -> str:
        return "RandomState()"
