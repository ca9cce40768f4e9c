"""Problems that are hard for numerical reasons, from any start and at any scale: every method, or a true warning."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from striate.coding import certify, infer
from striate.coding.inference import METHODS
from striate.errors import UsageError

EVERY_METHOD = pytest.mark.parametrize("method", [method for method in METHODS if method != "ista"])


def hostile(seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Low rank, twins, bad scales, neighbours, near-combinations, zeros, one unit: signals, dictionary, sparsity."""
    rng = np.random.default_rng(seed)
    n_units, n_features = int(rng.integers(1, 30)), int(rng.integers(1, 20))
    units, signals = rng.standard_normal((n_units, n_features)), 3 * rng.standard_normal((4, n_features))
    signals[3] = 0
    kind = seed % 8
    if kind == 1:
        units = units[:, :1] * rng.standard_normal(n_features)
    elif kind == 2:
        units = np.vstack([units, -units[: n_units // 2 + 1]])
    elif kind == 3:
        units *= 10 ** rng.uniform(-3, 3, (n_units, 1))
    elif kind == 4:
        units = np.cumsum(units, axis=0)
    elif kind == 5:
        units = np.vstack([units, units[:2] + 1e-6 * rng.standard_normal(units[:2].shape)])
    elif kind == 6:
        units, signals = units[:1], signals * 1e12
    elif kind == 7:
        units[rng.random(n_units) < 0.5] = 0
    highest = max(float(np.abs(signals @ units.T).max()), 1e-9)
    return signals, units, highest * 10 ** rng.uniform(-4, 0.1)


@EVERY_METHOD
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hostile_problems_from_any_start(method: Any, dtype: Any) -> None:
    for seed in range(40):
        signals, units, sparsity = hostile(seed)
        signals, units = signals.astype(dtype), units.astype(dtype)
        shape = (4, len(units))
        rng = np.random.default_rng(seed)
        start = [None, rng.standard_normal(shape), 1e4 * rng.standard_normal(shape), -np.ones(shape)][seed % 4]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if dtype == np.float32 else "error", ConvergenceWarning)
            found = infer(signals, units, sparsity, method=method, positive=seed % 3 == 0, start=start, info=True)
        proof = certify(signals, found.codes, units, sparsity, positive=seed % 3 == 0)
        tolerance = 1e-4 if dtype == np.float32 else 1e-6
        np.testing.assert_array_equal(found.converged, proof.relative_gap <= tolerance)
        assert found.relative_gap.max() < (1e-2 if dtype == np.float32 else tolerance)
        assert not found.codes[3].any()


@EVERY_METHOD
@pytest.mark.parametrize(
    ("dtype", "exponents"), [(np.float64, (-300, -160, 0, 150, 300)), (np.float32, (-37, -20, 0, 20, 37))]
)
def test_extreme_numbers_are_rescaled_or_refused(method: Any, dtype: Any, exponents: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    signals, units = rng.uniform(-1, 1, (3, 5)), rng.uniform(-1, 1, (8, 5))
    for of_signals in exponents:
        for of_units in exponents:
            y, d = (signals * 10.0**of_signals).astype(dtype), (units * 10.0**of_units).astype(dtype)
            sparsity = 0.1 * float(np.abs(y).max()) * float(np.abs(d).max())
            if not 0 < sparsity < np.inf:
                continue
            apart = abs(of_signals - of_units)
            if (300 if dtype == np.float64 else 36) < apart < (330 if dtype == np.float64 else 50):
                continue  # at the edge of what the type can hold
            if apart >= (330 if dtype == np.float64 else 50):
                with pytest.raises(UsageError, match="too large or too small"):
                    infer(y, d, sparsity, method=method)
                continue
            found = infer(y, d, sparsity, method=method, info=True)
            assert found.codes.any()
            assert found.converged.all()


@EVERY_METHOD
def test_tiny_signals_have_their_codes(method: Any) -> None:
    codes = infer(np.array([[3e-200, -2e-200]]), np.eye(2), 1e-200, method=method)
    np.testing.assert_allclose(codes, [[2e-200, -1e-200]], rtol=1e-6)
