"""The two toy data sets, and the format of surfaces in results files."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from striate.energy import Density, SparseCodingEnergy, Spiral, ThreeCauchy
from striate.experiments.engine import drawing

__all__ = ["SIDE", "TOYS", "pack", "spiral_code", "unpack"]

# Cached, so that their normalization is integrated only once.
TOYS: dict[str, Callable[[], Density]] = {"three Cauchy": cache(ThreeCauchy), "spiral": cache(Spiral)}
SIDE = 120  # pixels of an image


def spiral_code(n_units: int, sparsity: float) -> SparseCodingEnergy:
    """Return a sparse coding energy whose units are located at places of the plane."""
    return SparseCodingEnergy(n_units, sparsity=sparsity, height=1.0, random_state=0)


def pack(pixels: np.ndarray) -> str:
    """Return gray values, uint8 (SIDE, SIDE), as text for a results file, in 64 levels."""
    return drawing.pack((pixels >> 2).astype(np.uint8))


def unpack(text: str) -> np.ndarray:
    """The inverse of `pack`."""
    return (drawing.unpack(text, (SIDE, SIDE)).astype(float) * 255 / 63).astype(np.uint8)
