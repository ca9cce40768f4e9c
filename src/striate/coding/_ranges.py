"""Powers of two that bring extreme numbers to where their squares and products can be computed: they change no bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["exponents"]

_TAME = 100  # numbers between 2⁻¹⁰⁰ and 2¹⁰⁰ are left as they are


def exponents(magnitudes: ArrayLike) -> NDArray[Any]:
    """Of each number the e with |number| ≈ 2ᵉ where that is extreme, else 0."""
    found = np.frexp(np.asarray(magnitudes, np.float64))[1]
    return np.where(np.abs(found) > _TAME, found, 0)
