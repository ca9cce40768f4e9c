"""Optimal codes on a sheet: derivatives, monotonicity, the certificate, and the group lasso by a slow solver."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from striate import threads
from striate.coding import PreparedDictionary, Sheet, certify_topographic, infer, infer_topographic, topographic_energy
from striate.coding.topographic.inference import descend_on_sheet
from striate.errors import UsageError

SHEET = Sheet((6, 4), (3, 3), (2, 1))
TERMS: list[dict[str, Any]] = [{}, {"prediction": 0.7}]


def problem(
    rng: np.random.Generator, sheet: Sheet = SHEET, n: int = 9, n_features: int = 15, dtype: Any = np.float64
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signals, a dictionary whose units have different norms, and a target."""
    signals = 3 * rng.standard_normal((n, n_features))
    units = rng.standard_normal((sheet.n_units, n_features)) * rng.uniform(0.3, 1, (sheet.n_units, 1))
    return signals.astype(dtype), units.astype(dtype), rng.standard_normal((n, sheet.n_units)).astype(dtype)


def with_target(terms: dict[str, Any], target: np.ndarray) -> dict[str, Any]:
    return terms | {"target": target} if terms else {}


@pytest.mark.parametrize("terms", TERMS)
def test_the_gradient_is_that_of_finite_differences(terms: dict[str, Any], rng: np.random.Generator) -> None:
    signals, units, target = problem(rng, n=1)
    terms = with_target(terms, target)
    at = rng.standard_normal(SHEET.n_units)

    def energy(z: np.ndarray) -> float:
        return float(topographic_energy(signals, z[np.newaxis], units, SHEET, 0.8, **terms)[0][0])

    def gradient(z: np.ndarray) -> np.ndarray:
        return topographic_energy(signals, z[np.newaxis], units, SHEET, 0.8, **terms)[1][0]

    steps = 1e-5 * np.eye(len(at))
    slopes = [(energy(at + step) - energy(at - step)) / 2e-5 for step in steps]
    assert np.linalg.norm(slopes - gradient(at)) < 1e-6
    residual = signals[0] - at @ units
    roots = np.sqrt(SHEET.matrix() @ at**2 + 1e-3)
    expected = 0.5 * residual @ residual + 0.8 * roots.sum()
    if terms:
        expected += 0.5 * 0.7 * np.sum((at - target) ** 2)
    assert energy(at) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("epsilon", [1e-8, 1e-3, 0.5])
def test_no_step_raises_the_energy(terms: dict[str, Any], epsilon: float, rng: np.random.Generator) -> None:
    signals, units, target = problem(rng)
    terms = with_target(terms, target)
    start = 2 * rng.standard_normal(target.shape)
    energies = [
        topographic_energy(
            signals,
            descend_on_sheet(
                signals @ units.T, units @ units.T, SHEET, 0.8, epsilon=epsilon, start=start, steps=steps, **terms
            ).codes,
            units,
            SHEET,
            0.8,
            epsilon=epsilon,
            **terms,
        )[0]
        for steps in range(40)
    ]
    assert (np.diff(energies, axis=0) <= 1e-12 * np.abs(energies[0])).all()
    assert (energies[-1] < energies[0]).all()


@pytest.mark.kernels
@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("sheet", [SHEET, Sheet((5, 5), 5, 5), Sheet(20, 4, 2), Sheet((4, 6), 2, 2, torus=False)])
def test_the_optimum_is_that_of_a_general_solver(sheet: Sheet, terms: dict[str, Any], rng: np.random.Generator) -> None:
    signals, units, target = problem(rng, sheet, n=3)
    terms = with_target(terms, target)
    found = infer_topographic(signals, units, sheet, 1.5, epsilon=1e-2, tolerance=1e-10, info=True, **terms)
    assert found.converged.all()
    for i in range(len(signals)):
        own = {name: value[i : i + 1] if name == "target" else value for name, value in terms.items()}

        def both(z: np.ndarray, own: dict[str, Any] = own, i: int = i) -> tuple[float, np.ndarray]:
            value, slope = topographic_energy(signals[i : i + 1], z[np.newaxis], units, sheet, 1.5, epsilon=1e-2, **own)
            return float(value[0]), slope[0]

        slow = minimize(both, np.ones(sheet.n_units), jac=True, method="BFGS", options={"gtol": 1e-9})
        assert found.objective[i] == pytest.approx(slow.fun, rel=1e-9)
        np.testing.assert_allclose(found.codes[i], slow.x, atol=1e-4)


@pytest.mark.parametrize("terms", TERMS)
def test_the_gap_bounds_the_distance_of_any_codes(terms: dict[str, Any], rng: np.random.Generator) -> None:
    signals, units, target = problem(rng)
    terms = with_target(terms, target)
    best = infer_topographic(signals, units, SHEET, 0.8, tolerance=1e-12, info=True, **terms)
    assert (best.relative_gap < 1.1e-12).all()
    for scale in (0, 1e-4, 1e-2, 1.0, 100.0):
        codes = best.codes + scale * rng.standard_normal(best.codes.shape)
        certificate = certify_topographic(signals, codes, units, SHEET, 0.8, **terms)
        excess = certificate.objective - best.objective
        assert (excess >= -1e-9).all()
        assert (certificate.gap >= excess - 1e-9).all()
        np.testing.assert_allclose(
            certificate.objective, topographic_energy(signals, codes, units, SHEET, 0.8, **terms)[0]
        )
    # Codes of zeros are the optimum, and certified, where the penalty is strong.
    empty = infer_topographic(signals, units, SHEET, 1e4, info=True)
    assert np.abs(empty.codes).max() < np.sqrt(1e-3)


def slow_group_lasso(y: np.ndarray, units: np.ndarray, groups: np.ndarray, sparsity: float) -> np.ndarray:
    """Block-coordinate descent (Yuan and Lin 2006) with an exact step per group, whose length is found by bisection."""
    z = np.zeros(len(units))
    for _ in range(100):
        for g in range(groups.max() + 1):
            own = np.flatnonzero(groups == g)
            rest = y - z @ units + z[own] @ units[own]
            correlation, (values, axes) = units[own] @ rest, np.linalg.eigh(units[own] @ units[own].T)
            if np.linalg.norm(correlation) <= sparsity:
                z[own] = 0
                continue
            along = axes.T @ correlation
            low, high = 0.0, np.linalg.norm(correlation) / max(values.min(), 1e-9)
            for _ in range(60):  # the length r of the group's code: Σ (a / (v·r + λ))² = 1
                r = (low + high) / 2
                low, high = (r, high) if np.sum((along / (values * r + sparsity)) ** 2) > 1 else (low, r)
            z[own] = axes @ (along / (values + sparsity / r))
    return z


def test_a_sheet_without_overlap_is_the_group_lasso(rng: np.random.Generator) -> None:
    sheet = Sheet((6, 4), (3, 2), (3, 2), weights="box")
    signals, units, _ = problem(rng, sheet, n=4)
    groups = np.argmax(sheet.matrix() > 0, axis=0)
    # A pool's weights add up to 1, so that each root is the norm over √6: √6 times the sparsity gives the plain norms.
    found = infer_topographic(
        signals, units, sheet, np.sqrt(6) * 5.0, epsilon=1e-16, tolerance=1e-9, max_iterations=20_000
    )
    n_active = []
    for i, signal in enumerate(signals):
        slow = slow_group_lasso(signal, units, groups, 5.0)
        np.testing.assert_allclose(found[i], slow, atol=2e-4)
        n_active.append(len(np.unique(groups[slow != 0])))
    assert 0 < sum(n_active) < 4 * sheet.n_pools  # some groups are active, and some are not


def test_pools_of_one_unit_are_the_lasso(rng: np.random.Generator) -> None:
    sheet = Sheet(24, 1, 1)
    signals, units, _ = problem(rng, sheet)
    found = infer_topographic(signals, units, sheet, 2.0, epsilon=1e-16, tolerance=1e-9, max_iterations=20_000)
    np.testing.assert_allclose(found, infer(signals, units, 2.0, tolerance=1e-10), atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_threads_and_starts_make_no_difference(dtype: Any, rng: np.random.Generator) -> None:
    signals, units, target = problem(rng, n=150, dtype=dtype)
    codes = infer_topographic(signals, units, SHEET, 0.8)
    assert codes.dtype == dtype
    with threads.limit(3):
        np.testing.assert_array_equal(infer_topographic(signals, PreparedDictionary(units), SHEET, 0.8), codes)
    again = infer_topographic(signals, units, SHEET, 0.8, start=codes, info=True)
    assert (again.iterations <= 5).all()
    # Nor do the other signals of the batch: those that have converged wait for the rest.
    few = infer_topographic(signals[70:73], units, SHEET, 0.8)
    np.testing.assert_allclose(few, codes[70:73], atol=1e-3 if dtype == np.float32 else 1e-8)
    other = infer_topographic(signals, units, SHEET, 0.8, start=target)
    np.testing.assert_allclose(other, codes, atol=0.1)


def test_too_few_iterations_are_told(rng: np.random.Generator) -> None:
    signals, units, _ = problem(rng)
    with pytest.warns(UserWarning, match="did not reach a relative gap"):
        infer_topographic(signals, units, SHEET, 0.8, max_iterations=2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sparsity": 0}, "sparsity is 0"),
        ({"epsilon": 0}, "epsilon is 0"),
        ({"sheet": (6, 4)}, "it must be a Sheet"),
        ({"sheet": Sheet((5, 5))}, "the dictionary has 24 units, but the sheet of 5×5 25"),
        ({"prediction": 1.0}, "prediction > 0 needs a target"),
        ({"prediction": 1.0, "target": np.zeros((2, 24))}, "target has 2 rows, but there are 9 signals"),
        ({"start": np.zeros((9, 3))}, "start have shape"),
        ({"signals": np.full((9, 15), np.nan)}, "NaN"),
        ({"signals": np.full((9, 15), 1e30, np.float32), "dictionary": np.full((24, 15), 1e30, np.float32)}, "scale"),
        ({"signals": np.zeros((9, 14))}, "signals have shape"),
    ],
)
def test_bad_arguments_say_what_to_do(changed: dict[str, Any], message: str, rng: np.random.Generator) -> None:
    signals, units, _ = problem(rng)
    arguments: dict[str, Any] = {"signals": signals, "dictionary": units, "sheet": SHEET, "sparsity": 1.0} | changed
    with pytest.raises(UsageError, match=message):
        infer_topographic(**arguments)
