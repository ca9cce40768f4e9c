"""The generator for a `random_state`."""

from __future__ import annotations

import numpy as np

from striate.parameters import Seed, checked

__all__ = ["RandomState", "generator_from"]

RandomState = int | np.random.Generator | np.random.RandomState | None


def generator_from(random_state: RandomState) -> np.random.Generator:
    """A new generator for one fit; NumPy's RandomState, which scikit-learn uses, is accepted as well.

    Raises
    ------
    UsageError
        For anything else.
    """
    random_state = checked("random_state", random_state, Seed())
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31))
    return np.random.default_rng(random_state)
