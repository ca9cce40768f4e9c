"""The step of a pursuit against its NumPy twin."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from striate.kernels.pursuit import choose
from striate.kernels.simd import LANES
from striate.kernels.vectors import REFERENCE

pytestmark = pytest.mark.kernels


@numba.njit
def run(q: Any, part: Any, step: Any, rest: Any, share: Any, floors: Any, n: Any, positive: Any) -> Any:
    return choose(q, part, step, rest, share, floors, n, positive)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("n_vectors", [0, 1, 2, 3, 8, 19])
def test_a_step_equals_its_twin(rng: np.random.Generator, dtype: Any, positive: bool, n_vectors: int) -> None:
    n = LANES * n_vectors
    for _ in range(20):
        q, part = rng.standard_normal((2, n + 5)).astype(dtype)
        rest, floors = rng.uniform(0, 4, n + 5).astype(dtype), np.full(n + 5, 0.1, dtype)
        rest[rng.random(n + 5) < 0.3] = 0
        q[rng.random(n + 5) < 0.3] = 0
        ours, twin = (q.copy(), rest.copy()), (q.copy(), rest.copy())
        arguments = dtype(rng.choice([0, 0.7])), dtype(rng.choice([0, 0.3]))
        found = run(ours[0], part, arguments[0], ours[1], arguments[1], floors, n, positive)
        expected = REFERENCE["choose"](twin[0], part, arguments[0], twin[1], arguments[1], floors, n, positive)
        assert found == expected
        for one, other in zip(ours, twin, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_first_of_equal_units_is_chosen_and_none_without_a_correlation(dtype: Any) -> None:
    n = 5 * LANES
    nothing, ones = np.zeros(n, dtype), np.ones(n, dtype)
    for first in (0, 3, 17, 40, 63):
        q = np.where(np.arange(n) >= first, -1, 0).astype(dtype)
        for kernel in (run, REFERENCE["choose"]):
            assert kernel(q.copy(), nothing, dtype(0), ones.copy(), dtype(0), nothing, n, False) == first
            assert kernel(q.copy(), nothing, dtype(0), ones.copy(), dtype(0), nothing, n, True) == -1
            assert kernel(q.copy(), nothing, dtype(0), ones.copy(), dtype(0), ones, n, False) == -1
