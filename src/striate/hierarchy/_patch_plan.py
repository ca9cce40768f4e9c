"""A patch dictionary with its whitening folded into filters, and one image through it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.hierarchy._stage import FilterPlan
from striate.hierarchy.grid_pooling import GridPooling
from striate.hierarchy.layer import Maps
from striate.hierarchy.pyramid_pooling import cell_of
from striate.threads import run_ranges

__all__ = ["NOISE", "FoldedUnits", "run_patches"]

NOISE = 10 / 255**2
"""Added to the variance of a patch: 10 for pixels of 0–255 (Coates et al. 2011), here for images of 0–1."""


class FoldedUnits:
    """Filters f and offsets o with ``z = (f · patch) / √(variance + NOISE) + o``: the units on whitened patches.

    A unit u reads ``uᵀW((patch − mean) / deviation − μ)``. The weights Wu, minus their own mean, make the removal of
    the patch's mean part of the filter, and the offset is −uᵀWμ. Computed in double precision.

    Parameters
    ----------
    units : float32 (n_units, n_inputs · size²)
    mean, whitening : float32 (n_inputs · size²,) and (n_inputs · size², n_inputs · size²)
    size : int
    triangle : bool
        Also fold the whitening itself, since distances need the norm of the whitened patch.

    Attributes
    ----------
    filters : float32 (n, n_inputs, size, size)
        Of the units and then, for the triangle, of the coordinates of the whitened patch.
    offset : float32 (n,)
    squares : float32 (n_units,)
        Squared norms of the units.
    """

    def __init__(
        self,
        units: NDArray[np.float32],
        mean: NDArray[np.float32],
        whitening: NDArray[np.float32],
        size: int,
        *,
        triangle: bool,
    ) -> None:
        whiten = whitening.astype(np.float64)
        weights = units @ whiten
        if triangle:
            weights = np.concatenate([weights, whiten])
        self.offset = (-(weights @ mean)).astype(np.float32)
        weights -= weights.mean(axis=1, keepdims=True)
        self.filters = weights.astype(np.float32).reshape(len(weights), -1, size, size)
        self.squares = np.square(units, dtype=np.float64).sum(axis=1).astype(np.float32)
        self.triangle = triangle
        plan = FilterPlan(self.filters, self.offset, None, None, None, None, nonlinearity="tanh")
        _, _, self.panels, self.padded_offset, *_ = plan.groups[0]


def run_patches(
    maps: Maps,
    threads: int = 1,
    *,
    folded: FoldedUnits,
    step: int = 1,
    threshold: float = 0.0,
    pool: GridPooling | None = None,
) -> Maps:
    """One image through a patch dictionary and, in the same pass, the pooling over a grid.

    Parameters
    ----------
    maps : float32 (height, width, n_inputs), contiguous
    threads : int
        The rows are divided between them; the result is the same to the bit with any number.
    folded : FoldedUnits
    step : int
    threshold : float
        Of the soft response.
    pool : GridPooling, optional

    Returns
    -------
    float32 (new_height, new_width, n_maps)
    """
    respond = _kernel()
    n_units, size = len(folded.squares), folded.filters.shape[2]
    height, width = ((length - size) // step + 1 for length in maps.shape[:2])
    cells = np.arange(width) if pool is None else cell_of(width, pool.cells)
    result = np.zeros((height, int(cells[-1]) + 1, n_units if folded.triangle else 2 * n_units), np.float32)
    run_ranges(
        lambda first, last: respond(
            first, last, maps, size, step, folded.panels, folded.padded_offset, folded.squares, NOISE,
            np.float32(threshold), folded.triangle, pool is not None and pool.how == "max", cells, result,
        ),
        height,
        size=-(-height // threads),
        n_threads=threads,
    )  # fmt: skip
    return result if pool is None else np.ascontiguousarray(pool.pool_rows(result, width))


@lru_cache(maxsize=1)
def _kernel() -> Any:
    from striate.hierarchy._patch_kernels import compile_respond

    return compile_respond()
