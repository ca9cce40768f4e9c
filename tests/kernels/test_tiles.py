"""The loops over tiles of units against their NumPy twins."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from striate.kernels import tiles
from striate.kernels.tiles import TOGETHER
from striate.kernels.vectors import REFERENCE


def run(name: str, *arguments: Any) -> Any:
    """The primitive as kernels call it, from compiled code."""
    names = ", ".join(f"a{i}" for i in range(len(arguments)))
    scope = {"primitive": getattr(tiles, name)}
    exec(f"def call({names}):\n    return primitive({names})", scope)
    return numba.njit(scope["call"])(*arguments)


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["tile_products", "add_tile", "tile_outer"])
def test_tile_loops_equal_their_twins(rng: np.random.Generator, name: str, dtype: Any) -> None:
    together, n_rows, n_columns = TOGETHER[np.dtype(dtype)], 4, 5
    codes, image = (rng.standard_normal(n * together).astype(dtype) for n in (3 * 4, 6 * 8))
    fields = rng.standard_normal(2 * n_rows * n_columns * 4).astype(dtype)
    found = []
    for call in (lambda *arguments: run(name, *arguments), REFERENCE[name]):
        z, x, f = codes.copy(), image.copy(), fields.copy()
        call(z, 5 * together, 4 * together, x, 9 * together, 8 * together, f, 7, n_rows, n_columns)
        found.append((z, x, f))
    tolerance = 2e-5 if dtype == np.float32 else 1e-12
    for before, ours, twin in zip((codes, image, fields), *found, strict=True):
        np.testing.assert_allclose(ours, twin, rtol=tolerance, atol=tolerance)
        changed = {"tile_products": codes, "add_tile": image, "tile_outer": fields}[name] is before
        assert np.array_equal(before, ours) != changed
