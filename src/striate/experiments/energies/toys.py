"""The two toys whose energies are drawn, and surfaces as results files hold them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from striate.energy import Density, SparseCodingEnergy, Spiral, ThreeCauchy
from striate.experiments.engine import drawing

__all__ = ["SIDE", "TOYS", "pack", "spiral_code", "unpack"]

# The same objects in every unit: their normalization is integrated once.
TOYS: dict[str, Callable[[], Density]] = {"three Cauchy": cache(ThreeCauchy), "spiral": cache(Spiral)}
SIDE = 120  # pixels of an image


def spiral_code(n_units: int, sparsity: float) -> SparseCodingEnergy:
    """Return sparse coding whose units have places."""
    return SparseCodingEnergy(n_units, sparsity=sparsity, height=1.0, random_state=0)


def pack(pixels: np.ndarray) -> str:
    """Return gray values, uint8 (SIDE, SIDE), as text for a results file, in 64 levels."""
    return drawing.pack((pixels >> 2).astype(np.uint8))


def unpack(text: str) -> np.ndarray:
    """Return the gray values that `pack` made text of."""
    return (drawing.unpack(text, (SIDE, SIDE)).astype(float) * 255 / 63).astype(np.uint8)
