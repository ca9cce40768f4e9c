"""The sparsity that leaves a wanted fraction of the units active."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding.infer import infer
from striate.coding.prepared_dictionary import PreparedDictionary

__all__ = ["find_sparsity"]


def find_sparsity(
    signals: NDArray[Any],
    dictionary: PreparedDictionary,
    active_fraction: float,
    *,
    low: float,
    high: float,
    n_steps: int,
    positive: bool = False,
) -> float:
    """Bisect, in the logarithm, between a sparsity that leaves too many units active and one that leaves too few.

    Parameters
    ----------
    signals : (n_samples, n_features)
        A few hundred are enough.
    dictionary : PreparedDictionary
    active_fraction : float
        Of the numbers in the signals' codes, those that are not 0.
    low, high : float
        Above 0. No code is active at the largest correlation of a signal with a unit.
    n_steps : int
        Each a coding of the signals; it halves the ratio's logarithm.
    positive : bool
    """
    for _ in range(n_steps):
        middle = float(np.sqrt(low * high))
        codes = infer(signals, dictionary, middle, positive=positive, sparse_output=True)
        active = codes.nnz / (len(signals) * dictionary.n_components)
        low, high = (middle, high) if active > active_fraction else (low, middle)
    return float(np.sqrt(low * high))
