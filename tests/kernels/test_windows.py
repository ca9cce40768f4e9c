"""The window loops, and the convolution in both precisions, against their NumPy twins."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from striate.kernels import convolution, windows
from striate.kernels.convolution import panel_width
from striate.kernels.simd import LANES
from striate.kernels.vectors import REFERENCE


def run(module: Any, name: str, *arguments: Any) -> Any:
    """The primitive as kernels call it, from compiled code."""
    names = ", ".join(f"a{i}" for i in range(len(arguments)))
    scope = {"primitive": getattr(module, name)}
    exec(f"def call({names}):\n    return primitive({names})", scope)
    return numba.njit(scope["call"])(*arguments)


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n_runs", "n_vectors"), [(1, 1), (3, 1), (4, 2), (9, 1), (11, 3)])
def test_window_loops_equal_their_twins(rng: np.random.Generator, dtype: Any, n_runs: int, n_vectors: int) -> None:
    n, stride = LANES * n_vectors, LANES * n_vectors + 21
    image, weights = rng.standard_normal((2, stride * (n_runs + 1))).astype(dtype)
    filters = rng.standard_normal(2 * n * n_runs).astype(dtype)
    tolerance = 2e-5 if dtype == np.float32 else 1e-12
    at = (5, stride)
    window = (filters, n * n_runs, n, n_runs)
    product = run(windows, "window_product", image, *at, *window)
    np.testing.assert_allclose(
        product, REFERENCE["window_product"](image, *at, *window), rtol=tolerance, atol=tolerance
    )
    for name, more in (("add_to_window", ()), ("add_weighted_to_window", (weights,))):
        ours, twin = image.copy(), image.copy()
        run(windows, name, ours, *at, dtype(0.7), *window, *more)
        REFERENCE[name](twin, *at, dtype(0.7), *window, *more)
        np.testing.assert_allclose(ours, twin, rtol=tolerance, atol=tolerance)
        assert (ours != image).sum() == n * n_runs


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_positions", [1, 5, 31])
def test_the_convolution_equals_its_twin(rng: np.random.Generator, dtype: Any, n_positions: int) -> None:
    width, run_length, n_runs, row = panel_width(dtype), 3, 4, 40
    image = rng.standard_normal(row * n_runs).astype(dtype)
    panels = rng.standard_normal(2 * n_runs * run_length * width).astype(dtype)
    arguments = (2, width, image, 1, 1, run_length, row, n_runs, panels, n_runs * run_length * width, n_positions)
    ours, twin = np.zeros((2, 2 + width * n_positions), dtype)
    run(convolution, "convolve_panel", ours, *arguments)
    REFERENCE["convolve_panel"](twin, *arguments)
    np.testing.assert_allclose(ours, twin, rtol=2e-5, atol=2e-5)
    assert (twin[2:] != 0).all()
