"""The filters that ship with the package, for photographs."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import numpy as np

from striate.coding.convolutional.prepared_filters import PreparedFilters

__all__ = ["natural_filters"]


@lru_cache(maxsize=1)
def natural_filters() -> PreparedFilters:
    """128 filters of 8×8 pixels for grey photographs, (128, 8, 8), of mean 0 and unit norm.

    Units of sparse coding for patches of four photographs in the public domain, which the recipe
    ``tools/natural_filters.py`` names. `denoise` and `inpaint` use them by default, and restore each channel of a color
    image with them.

    Returns
    -------
    PreparedFilters
        float32, the same object with every call.

    Examples
    --------
    >>> from striate.coding import natural_filters
    >>> natural_filters().filters.shape
    (128, 1, 8, 8)
    """
    with files("striate.coding.convolutional").joinpath("data", "natural-filters.npy").open("rb") as file:
        units = np.load(file, allow_pickle=False).astype(np.float64)
    units -= units.mean(axis=(1, 2), keepdims=True)  # rounded numbers of 8 bits are stored
    units /= np.linalg.norm(units, axis=(1, 2), keepdims=True)
    return PreparedFilters(units.astype(np.float32))
