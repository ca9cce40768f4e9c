"""Powers of two that scale extreme numbers so that their squares and products can be computed, without rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["exponents"]


def exponents(magnitudes: ArrayLike, *, tame: int = 100) -> NDArray[Any]:
    """For each number the e with |number| ≈ 2ᵉ, or 0 where it is between 2^−tame and 2^tame."""
    found = np.frexp(np.asarray(magnitudes, np.float64))[1]
    return np.where(np.abs(found) > tame, found, 0)
