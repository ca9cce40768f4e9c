"""The sparsity that leaves a wanted fraction of the units active."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.prepared_dictionary import PreparedDictionary, as_prepared
from striate.coding.solving import infer
from striate.errors import UsageError
from striate.parameters import Integer, Real, checked
from striate.samples import as_samples

__all__ = ["find_sparsity"]


def find_sparsity(
    signals: NDArray[Any],
    dictionary: ArrayLike | PreparedDictionary,
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
        The share of the codes' entries that is not 0.
    low, high : float
        Above 0. At a sparsity of the largest correlation of a signal with a unit, all codes are 0.
    n_steps : int
        Each codes the signals once and halves the logarithm of high / low.
    positive : bool
    """
    active_fraction = checked("active_fraction", active_fraction, Real(above=0, high=1))
    low, high = checked("low", low, Real(above=0)), checked("high", high, Real(above=0))
    if not low < high:
        raise UsageError(f"low must be below high, not {low:g} and {high:g}")
    dictionary, signals = as_prepared(dictionary), as_samples(signals)
    if not len(signals):
        raise UsageError("there are no signals: give some hundred")
    for _ in range(checked("n_steps", n_steps, Integer(low=1))):
        middle = _between(low, high)
        codes = infer(signals, dictionary, middle, positive=positive, sparse_output=True)
        active = codes.nnz / (len(signals) * dictionary.n_components)
        low, high = (middle, high) if active > active_fraction else (low, middle)
    return _between(low, high)


def _between(low: float, high: float) -> float:
    """The geometric mean, without overflow of the product."""
    product = low * high
    return float(np.sqrt(product) if 0 < product < np.inf else np.sqrt(low) * np.sqrt(high))
