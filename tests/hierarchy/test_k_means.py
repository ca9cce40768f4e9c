"""K-means against scikit-learn's, and its spherical form against what its optimum must satisfy."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans

from striate.hierarchy._k_means import k_means
from striate.progress import Progress


def learn(rows: np.ndarray, n_units: int, *, spherical: bool, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return k_means(rows, n_units, spherical=spherical, rng=rng, progress=Progress(), phase_name="units")


def test_usual_k_means_is_as_good_as_scikit_learns(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((3000, 10), dtype=np.float32)
    errors = [
        np.square(rows[:, None] - learn(rows, 20, spherical=False, seed=seed)).sum(axis=2).min(axis=1).sum()
        for seed in range(3)
    ]
    other = KMeans(20, init="random", n_init=3, random_state=0).fit(rows).inertia_
    assert max(errors) < 1.02 * other


def test_spherical_units_are_the_directions_of_their_rows(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((4000, 8), dtype=np.float32)
    units = learn(rows, 12, spherical=True)
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, rtol=1e-5)
    products = rows @ units.T
    best = np.abs(products).argmax(axis=1)
    for k, unit in enumerate(units):
        seen = rows[best == k].astype(np.float64)
        total = (seen @ unit) @ seen
        # It has nearly converged: the unit is the direction of the sum.
        assert total @ unit / np.linalg.norm(total) > 0.99


def test_spherical_units_find_lines_whatever_their_sign(rng: np.random.Generator) -> None:
    lines = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    numbers = rng.uniform(1, 3, 600) * rng.choice([-1, 1], 600)
    rows = (numbers[:, None] * lines[np.arange(600) % 6] + 0.01 * rng.standard_normal((600, 6))).astype(np.float32)
    best = max((learn(rows, 6, spherical=True, seed=seed) for seed in range(10)), key=lambda u: _explained(rows, u))
    np.testing.assert_allclose(np.abs(best @ lines.T).max(axis=0), 1, atol=1e-3)


def _explained(rows: np.ndarray, units: np.ndarray) -> float:
    return float(np.square(np.abs(rows @ units.T).max(axis=1)).sum())


@pytest.mark.parametrize("spherical", [True, False])
def test_units_without_rows_are_replaced(rng: np.random.Generator, spherical: bool) -> None:
    # Of 20 equal rows that it may start from, one takes all.
    rows = np.concatenate([np.ones((2000, 3)), rng.standard_normal((200, 3))]).astype(np.float32)
    units = learn(rows, 10, spherical=spherical)
    assert np.isfinite(units).all()
    assert len(np.unique(units.round(3), axis=0)) >= 8
