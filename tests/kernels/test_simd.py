"""Each vector primitive against its NumPy twin."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from striate.kernels import simd
from striate.kernels.simd import LANES, PANEL
from striate.kernels.vectors import REFERENCE


def run(name: str, *arguments: Any) -> Any:
    """The primitive as kernels call it, from compiled code."""
    names = ", ".join(f"a{i}" for i in range(len(arguments)))
    scope = {"primitive": getattr(simd, name)}
    exec(f"def call({names}):\n    return primitive({names})", scope)
    return numba.njit(scope["call"])(*arguments)


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_vectors", [0, 1, 2, 3, 8, 19])
def test_primitives_equal_their_twins(rng: np.random.Generator, dtype: Any, n_vectors: int) -> None:
    n, n_rows = LANES * n_vectors, 5
    x, y = rng.standard_normal((2, n + 40)).astype(dtype)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12

    ours, twin = y.copy(), y.copy()
    run("add_scaled", ours, 3, dtype(0.7), x, 5, n)
    REFERENCE["add_scaled"](twin, 3, dtype(0.7), x, 5, n)
    np.testing.assert_allclose(ours, twin, rtol=tolerance, atol=tolerance)

    np.testing.assert_allclose(
        run("dot", x, 1, y, 2, n), REFERENCE["dot"](x, 1, y, 2, n), rtol=tolerance, atol=tolerance
    )

    matrix = rng.standard_normal((9, n + 16)).astype(dtype)
    shares, rows = rng.standard_normal(n_rows).astype(dtype), rng.integers(0, 9, n_rows).astype(np.int32)
    ours, twin = np.zeros((2, n)).astype(dtype)
    arguments = (x, -1, shares, rows, n_rows, matrix.reshape(-1), n + 16, n)
    run("combine", ours, *arguments)
    REFERENCE["combine"](twin, *arguments)
    np.testing.assert_allclose(ours, twin, rtol=tolerance, atol=tolerance)


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("positive", [False, True])
def test_searches_equal_their_twins(rng: np.random.Generator, dtype: Any, positive: bool) -> None:
    for n in (16, 48, 256):
        values, factors = rng.standard_normal(n).astype(dtype), rng.uniform(0.5, 2, n).astype(dtype)
        assert run("largest", values, factors, n, positive) == REFERENCE["largest"](values, factors, n, positive)
        for threshold in (0.0, 1.0, 9.0):
            ours, twin = np.full(n + 16, -1, np.int32), np.full(n + 16, -1, np.int32)
            found = run("select_above", values, factors, n, positive, dtype(threshold), ours)
            assert found == REFERENCE["select_above"](values, factors, n, positive, dtype(threshold), twin)
            np.testing.assert_array_equal(ours[:found], twin[:found])


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_signals", [1, 5, 6, 14])
def test_products_equal_numpy(rng: np.random.Generator, dtype: Any, n_signals: int) -> None:
    width, n_features = PANEL[np.dtype(dtype)], 13
    signals = rng.standard_normal((n_signals, n_features)).astype(dtype)
    units = rng.standard_normal((width, n_features)).astype(dtype)
    result = np.zeros((n_signals, width), dtype)
    flat = (result.reshape(-1), 0, width, signals.reshape(-1), 0, n_features, np.ascontiguousarray(units.T).reshape(-1))
    run("panel_product", *flat, 0, n_features, n_signals)
    np.testing.assert_allclose(result, signals @ units.T, rtol=1e-5, atol=1e-5)
