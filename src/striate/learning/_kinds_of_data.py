"""The kind of an autoencoder's data: numbers in [0, 1], real numbers, or counts of words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError

__all__ = ["kind_of_data", "word_probabilities"]


def kind_of_data(visible: str, low: float, high: float) -> str:
    """The kind of data whose values lie between two limits: "binary", "gaussian" or "softmax".

    Raises
    ------
    UsageError
        If the values do not fit `visible`.
    """
    in_unit_interval = low >= 0 and high <= 1
    if visible == "auto":
        return "binary" if in_unit_interval else "gaussian"
    if visible == "binary" and not in_unit_interval:
        raise UsageError(
            f'DeepAutoencoder: visible="binary" takes data in [0, 1], and these go from {low:g} to {high:g}'
        )
    if visible == "softmax" and low < 0:
        raise UsageError(
            f'DeepAutoencoder: Negative values in data: visible="softmax" takes counts, and the least is {low:g}'
        )
    return visible


def word_probabilities(counts: NDArray[Any]) -> NDArray[Any]:
    """Counts of words divided by their sum per text; zeros for a text without a known word."""
    with np.errstate(over="ignore"):
        sums = counts.sum(axis=1, keepdims=True)
    if not np.isfinite(sums).all():
        raise UsageError("DeepAutoencoder: the counts of a sample are too large to be added up: scale them")
    found: NDArray[Any] = counts / np.where(sums > 0, sums, counts.dtype.type(1))
    return found
