"""The kernels of the classical solvers, called as `infer` calls them, against formulas and scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Lasso, lars_path, lasso_path

from striate.coding import PreparedDictionary, _coordinate_descent, _feature_sign, _greedy_descent, _homotopy
from striate.coding._exact_path import Limits, exact_path

SOLVERS: dict[str, tuple[ModuleType, Callable[..., Any], Callable[..., None]]] = {
    "coordinate_descent": (
        _coordinate_descent, _coordinate_descent.compile_coordinate_descent, _coordinate_descent._descend,
    ),
    "feature_sign": (_feature_sign, _feature_sign.compile_feature_sign, _feature_sign._search),
    "homotopy": (_homotopy, _homotopy.compile_homotopy, _homotopy._follow),
    "greedy_descent": (_greedy_descent, _greedy_descent.compile_greedy_descent, _greedy_descent._descend),
}  # fmt: skip
EVERY_SOLVER = pytest.mark.parametrize("solver", list(SOLVERS))
# Greedy descent has no cure for units that are nearly dependent; that it is slow there is a finding, not a bug.
ROBUST = pytest.mark.parametrize("solver", ["coordinate_descent", "feature_sign", "homotopy"])
WARM = pytest.mark.parametrize("solver", ["coordinate_descent", "feature_sign", "greedy_descent"])


def problem(
    rng: np.random.Generator, n_signals: int = 8, n_units: int = 30, n_features: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    dictionary = rng.standard_normal((n_units, n_features)) * rng.uniform(0.3, 2, (n_units, 1))
    return 3 * rng.standard_normal((n_signals, n_features)), dictionary


def degenerate_problem(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, bool]:
    """Low rank, twins, bad scales, neighbours that are nearly the same, small integers: signals, units, weights, ..."""
    rng = np.random.default_rng(seed)
    n_units, n_features = int(rng.integers(1, 50)), int(rng.integers(1, 25))
    dictionary = rng.standard_normal((n_units, n_features))
    kind = seed % 6
    if kind == 1:
        rank = max(1, n_features // 3)
        dictionary = rng.standard_normal((n_units, rank)) @ rng.standard_normal((rank, n_features))
    elif kind == 2:
        half = n_units // 2
        dictionary[half : 2 * half] = dictionary[:half] * rng.choice([-1, 1], (half, 1))
    elif kind == 3:
        dictionary *= 10 ** rng.uniform(-3, 3, (n_units, 1))
    elif kind == 4:
        dictionary = np.cumsum(dictionary, axis=0)
    elif kind == 5:
        dictionary = np.sign(np.round(dictionary))
    dictionary[rng.random(n_units) < 0.05] = 0
    signals = 3 * rng.standard_normal((4, n_features))
    weights = np.ones(n_units) if seed % 2 else rng.uniform(0.3, 3, n_units)
    highest = max(np.abs(signals @ dictionary.T / weights).max(), 1e-9)
    return signals, dictionary, weights, highest * 10 ** rng.uniform(-3, 0), bool(rng.integers(0, 2))


def solve(
    solver: str,
    signals: np.ndarray,
    dictionary: np.ndarray,
    sparsity: Any,
    *,
    dtype: Any = np.float64,
    weights: Any = 1.0,
    tolerance: float = 1e-13,
    positive: bool = False,
    start: Any = 0.0,
    max_iterations: int = 1_000_000,
    max_nonzero: int | None = None,
    residual: float = 0.0,
    rows: tuple[int, int] | None = None,
    kernel: Callable[..., None] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes, iterations, and whether they converged."""
    signals, dictionary = signals.astype(dtype), dictionary.astype(dtype)
    n, n_units = len(signals), len(dictionary)
    # As the solvers get them, to the same bits on every processor.
    arrays = PreparedDictionary(dictionary).arrays(np.dtype(dtype))
    gram, correlations = arrays.gram, arrays.correlations(signals)
    codes = np.zeros((n, n_units), dtype)
    codes += np.asarray(start, dtype)
    iterations, converged = np.full(n, -1), np.zeros(n, bool)
    stops = (n_units + 1 if max_nonzero is None else max_nonzero, residual) if solver == "homotopy" else ()
    kernel = kernel or SOLVERS[solver][1](np.dtype(dtype))
    kernel(
        *(rows or (0, n)), correlations, np.square(signals, dtype=np.float64).sum(axis=1), gram,
        np.diag(gram).copy(), np.full(n_units, 1, dtype) * np.asarray(weights, dtype),
        np.full(n, 1.0) * sparsity, tolerance, positive, max_iterations, *stops, codes, iterations, converged,
    )  # fmt: skip
    return codes, iterations, converged


def objective(signals: np.ndarray, dictionary: np.ndarray, codes: np.ndarray, sparsity: Any) -> np.ndarray:
    rest = signals - codes @ dictionary
    return np.asarray(0.5 * (rest**2).sum(axis=1) + (np.abs(codes) * sparsity).sum(axis=1))


def relative_gap(
    signals: np.ndarray, dictionary: np.ndarray, codes: np.ndarray, sparsity: Any, positive: bool = False
) -> np.ndarray:
    """Objective minus the dual's ½‖y‖² − ½‖y − θ‖² at the residual, shrunk until it is feasible."""
    codes = codes.astype(float)
    rest = signals - codes @ dictionary
    slope = rest @ dictionary.T / sparsity
    highest = (slope if positive else np.abs(slope)).max(axis=1, keepdims=True)
    dual = rest / np.maximum(highest, 1)
    half = 0.5 * (signals**2).sum(axis=1)
    gap = objective(signals, dictionary, codes, sparsity) - half + 0.5 * ((signals - dual) ** 2).sum(axis=1)
    return np.asarray(gap / np.maximum(half, 1e-300))


def violation(
    signals: np.ndarray, dictionary: np.ndarray, codes: np.ndarray, sparsity: Any, positive: bool = False
) -> float:
    """Distance of 0 from the subdifferential of the objective (Karush, Kuhn, Tucker)."""
    slope = (signals - codes @ dictionary) @ dictionary.T
    at_zero = np.maximum((slope if positive else np.abs(slope)) - sparsity, 0)
    return float(np.where(codes == 0, at_zero, np.abs(slope - sparsity * np.sign(codes))).max())


def plain(monkeypatch: pytest.MonkeyPatch, solver: str) -> Callable[..., None]:
    """The kernel as Python, with everything that it calls."""
    module, _, kernel = SOLVERS[solver]
    for part in (module, _feature_sign):
        for name, value in list(vars(part).items()):
            if hasattr(value, "py_func"):
                monkeypatch.setattr(part, name, value.py_func)
    return kernel


@EVERY_SOLVER
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(30, 16), (12, 20)])
def test_optimality_conditions(
    rng: np.random.Generator, solver: str, positive: bool, weighted: bool, shape: tuple[int, int]
) -> None:
    signals, dictionary = problem(rng, 8, *shape)
    weights = rng.uniform(0.3, 2, shape[0]) if weighted else np.ones(shape[0])
    sparsities = rng.uniform(0.5, 2, 8)
    codes, _, converged = solve(solver, signals, dictionary, sparsities, weights=weights, positive=positive)
    limits = sparsities[:, np.newaxis] * weights
    assert converged.all()
    assert relative_gap(signals, dictionary, codes, limits, positive).max() < 2e-13
    assert violation(signals, dictionary, codes, limits, positive) < 2e-5
    assert 0.1 < (codes != 0).mean() < 0.9
    if positive:
        assert codes.min() >= 0


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("shape", [(30, 16), (12, 20)])
def test_all_agree_with_each_other_and_with_scikit_learn(
    rng: np.random.Generator, positive: bool, shape: tuple[int, int]
) -> None:
    signals, dictionary = problem(rng, 8, *shape)
    alpha = 0.7 / shape[1]
    lasso = Lasso(alpha, fit_intercept=False, positive=positive, tol=1e-13, max_iter=100_000)
    expected = lasso.fit(dictionary.T, signals.T).coef_
    _, path, _ = lasso_path(dictionary.T, signals[0], alphas=[alpha], positive=positive, tol=1e-13, max_iter=100_000)
    np.testing.assert_allclose(path[:, 0], expected[0], atol=1e-5)
    for solver in SOLVERS:
        codes, _, _ = solve(solver, signals, dictionary, 0.7, positive=positive)
        np.testing.assert_allclose(codes, expected, atol=1e-5)
        np.testing.assert_allclose(
            objective(signals, dictionary, codes, 0.7), objective(signals, dictionary, expected, 0.7), rtol=1e-8
        )


@EVERY_SOLVER
@pytest.mark.parametrize("positive", [False, True])
def test_single_precision(rng: np.random.Generator, solver: str, positive: bool) -> None:
    signals, dictionary = problem(rng)
    codes, _, converged = solve(solver, signals, dictionary, 0.7, dtype=np.float32, tolerance=5e-5, positive=positive)
    assert codes.dtype == np.float32
    assert converged.all()
    assert relative_gap(signals, dictionary, codes, 0.7, positive).max() < 1e-4


@EVERY_SOLVER
def test_convergence_is_claimed_exactly_where_the_gap_is_small(rng: np.random.Generator, solver: str) -> None:
    signals, dictionary = problem(rng, 40)
    for limit in (0, 1, 7, 12, 20, 33, 100):
        codes, iterations, converged = solve(solver, signals, dictionary, 0.7, tolerance=0.05, max_iterations=limit)
        assert iterations.max() <= limit
        gap = relative_gap(signals, dictionary, codes, 0.7)
        np.testing.assert_array_equal(converged, gap <= 0.05)


@EVERY_SOLVER
def test_only_the_range_is_touched(rng: np.random.Generator, solver: str) -> None:
    signals, dictionary = problem(rng)
    full, steps, _ = solve(solver, signals, dictionary, 0.7)
    codes, iterations, converged = solve(solver, signals, dictionary, 0.7, rows=(2, 5))
    np.testing.assert_array_equal(codes[2:5], full[2:5])
    np.testing.assert_array_equal(iterations, np.where((np.arange(8) >= 2) & (np.arange(8) < 5), steps, -1))
    assert converged.sum() == 3
    assert not codes[:2].any()
    assert not codes[5:].any()


@WARM
def test_a_start_at_the_optimum_ends_at_once_and_any_other_ends_there_too(
    rng: np.random.Generator, solver: str
) -> None:
    signals, dictionary = problem(rng)
    best, _, _ = solve("homotopy", signals, dictionary, 0.7)
    _, iterations, converged = solve(solver, signals, dictionary, 0.7, tolerance=1e-9, start=best)
    assert converged.all()
    assert iterations.max() <= (1 if solver == "feature_sign" else 0)
    wild, _, _ = solve(solver, signals, dictionary, 0.7, start=5 * rng.standard_normal(best.shape))
    np.testing.assert_allclose(wild, best, atol=1e-5)
    wild, _, _ = solve(solver, signals, dictionary, 0.7, start=5 * rng.random(best.shape), positive=True)
    best, _, _ = solve("homotopy", signals, dictionary, 0.7, positive=True)
    np.testing.assert_allclose(wild, best, atol=1e-5)


@EVERY_SOLVER
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_zeros_twins_and_sparsities_above_the_maximum(
    rng: np.random.Generator, solver: str, dtype: Any, start: float
) -> None:
    signals, dictionary = problem(rng)
    dictionary[3] = 0
    dictionary[7] = dictionary[8]
    dictionary[9] = -dictionary[10]
    signals[2] = 0
    sparsities = np.full(8, 0.7)
    sparsities[5] = 1.01 * np.abs(signals[5] @ dictionary.T).max()
    tolerance = 5e-5 if dtype == np.float32 else 1e-9
    codes, _, converged = solve(
        solver, signals, dictionary, sparsities, dtype=dtype, tolerance=tolerance, start=start, max_iterations=100_000
    )
    assert converged.all()
    assert not codes[2].any()
    assert not codes[5].any()
    assert not codes[:, 3].any()  # a start does not stay where nothing would move it
    assert relative_gap(signals, dictionary, codes, sparsities[:, np.newaxis]).max() <= 2 * tolerance


@ROBUST
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_degenerate_dictionaries_are_solved(solver: str, dtype: Any) -> None:
    tolerance = 1e-4 if dtype == np.float32 else 1e-9
    for seed in range(240):
        signals, dictionary, weights, sparsity, positive = degenerate_problem(seed)
        signals, dictionary = signals.astype(dtype).astype(float), dictionary.astype(dtype).astype(float)
        weights = weights.astype(dtype)
        start = np.random.default_rng(seed).random((4, len(dictionary))) if seed % 3 else 0.0
        codes, iterations, _ = solve(
            solver, signals, dictionary, sparsity, dtype=dtype, weights=weights, tolerance=tolerance,
            positive=positive, start=start, max_iterations=10_000,
        )  # fmt: skip
        gap = relative_gap(signals, dictionary, codes, sparsity * weights.astype(float), positive)
        # A gap that is this small is rounding, in single precision, where units are nearly the same.
        assert gap.max() <= (5 if dtype == np.float32 else 1.5) * tolerance, (seed, gap, iterations)


def test_a_unit_too_many_does_not_make_coordinate_descent_creep() -> None:
    # Supports of nearly full rank: sweeps alone took up to 10,000, along directions that change no residual.
    rng = np.random.default_rng(0)
    dictionary = np.sign(np.round(rng.standard_normal((60, 40, 12))))
    signals = 3 * rng.standard_normal((60, 1, 12))
    for patch, units in zip(signals, dictionary, strict=True):
        sparsity = 1e-3 * np.abs(patch @ units.T).max()
        _, iterations, converged = solve("coordinate_descent", patch, units, sparsity, tolerance=1e-9)
        assert converged.all()
        assert iterations.max() < 2000


def test_feature_sign_search_solves_once_for_each_orthogonal_unit(rng: np.random.Generator) -> None:
    units = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    signals = 3 * rng.standard_normal((20, 12))
    codes, solves, _ = solve("feature_sign", signals, units, 1.0)
    correlation = signals @ units.T
    np.testing.assert_allclose(codes, np.sign(correlation) * np.maximum(np.abs(correlation) - 1, 0), atol=1e-12)
    np.testing.assert_array_equal(solves, (codes != 0).sum(axis=1))


@EVERY_SOLVER
def test_a_unit_that_nearly_depends_on_others_is_not_refused_when_it_is_needed(solver: str) -> None:
    # Only the third unit reaches the signal's third feature, by 2⁻¹⁰; single precision holds all of this exactly.
    dictionary = np.array([[1, 0, 0], [0, 1, 0], [0.25, 0.25, 2.0**-10]])
    signals = np.array([[64.0, 64.0, 64.0]])
    codes, _, converged = solve(solver, signals, dictionary, 0.05, dtype=np.float32, tolerance=1e-4)
    assert converged.all()
    assert relative_gap(signals, dictionary, codes, 0.05).max() < 1.1e-4


def test_homotopy_may_take_a_unit_back_with_the_other_sign_at_once(rng: np.random.Generator) -> None:
    # A unit that leaves runs from one bound towards the other, and often reaches it before anything else happens.
    for _ in range(40):
        signals, dictionary = problem(rng, 10, 11, 11)
        # Some of these square dictionaries have a condition number of 10⁸: rounding on the way stays in the code.
        _, _, converged = solve("homotopy", signals, dictionary, 0.002, tolerance=1e-6)
        assert converged.all()


def path_of(
    signal: np.ndarray,
    dictionary: np.ndarray,
    sparsity: float,
    *,
    weights: Any = 1.0,
    positive: bool = False,
    max_nonzero: int | None = None,
    residual: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    limits = Limits(sparsity, max_nonzero, residual)
    return exact_path(signal, dictionary, np.ones(len(dictionary)) * weights, limits, positive=positive)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("shape", [(30, 16), (12, 20), (80, 50)])
def test_breakpoints_are_those_of_scikit_learn(
    rng: np.random.Generator, positive: bool, shape: tuple[int, int]
) -> None:
    signals, dictionary = problem(rng, 1, *shape)
    levels, codes = path_of(signals[0], dictionary, 0.05, positive=positive)
    alphas, _, coefficients = lars_path(
        dictionary.T, signals[0], method="lasso", alpha_min=0.05 / shape[1], positive=positive
    )
    np.testing.assert_allclose(levels, shape[1] * alphas, rtol=1e-9)
    # Its last code, where it ends between two breakpoints, is not optimal for positive codes; ours is.
    np.testing.assert_allclose(codes[:-1], coefficients.T[:-1], atol=1e-9)
    assert violation(signals, dictionary, codes[-1:], 0.05, positive) < 1e-9
    assert len(levels) > 16 or shape[0] == 12  # more than fit at first
    if not positive and shape[0] > shape[1]:
        assert (np.diff((codes != 0).sum(axis=1)) < 0).any()  # some left


def test_codes_are_optimal_at_breakpoints_and_linear_between_them(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng, 1)
    weights = rng.uniform(0.3, 2, 30)
    levels, codes = path_of(signals[0], dictionary, 0.1, weights=weights)
    assert levels[0] == pytest.approx(np.abs(signals[0] @ dictionary.T / weights).max())
    assert levels[-1] == pytest.approx(0.1)
    assert not codes[0].any()
    assert (np.diff(levels) < 0).all()
    for level, code in zip(levels, codes, strict=True):
        slope = (signals[0] - code @ dictionary) @ dictionary.T
        assert np.abs(slope / weights).max() <= level * (1 + 1e-9)
        on = code != 0
        np.testing.assert_allclose(slope[on], level * (weights * np.sign(code))[on], rtol=1e-9)
    for level in rng.uniform(0.1, levels[0], 20):
        expected = [np.interp(level, levels[::-1], column[::-1]) for column in codes.T]
        found, _, _ = solve("homotopy", signals, dictionary, level, weights=weights)
        np.testing.assert_allclose(found[0], expected, atol=1e-9)


def test_ends_of_the_path(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng, 1)
    levels, codes = path_of(signals[0], dictionary, 1e9)
    assert len(levels) == 1
    assert not codes.any()
    _, codes = path_of(signals[0], dictionary, 0.0)  # down to interpolation, since there are more units than features
    np.testing.assert_allclose(codes[-1] @ dictionary, signals[0], atol=1e-9)
    levels, codes = path_of(0 * signals[0], dictionary, 0.1)
    assert len(levels) == 1
    assert not codes.any()
    _, codes = path_of(signals[0], dictionary, 0.0, max_nonzero=4)
    assert (codes[-1] != 0).sum() == 4
    _, codes = path_of(signals[0], dictionary, 0.0, residual=1.5)
    assert np.linalg.norm(signals[0] - codes[-1] @ dictionary) == pytest.approx(1.5)


@pytest.mark.parametrize("positive", [False, True])
def test_homotopy_stops_at_a_number_of_units_or_a_residual(rng: np.random.Generator, positive: bool) -> None:
    signals, dictionary = problem(rng, 12)
    signals[3] *= 1e-3  # shorter than the residual that is asked for
    codes, _, converged = solve("homotopy", signals, dictionary, 1e-9, max_nonzero=3, positive=positive)
    assert ((codes != 0).sum(axis=1) == 3).all()
    assert not converged.any()
    # Where it stops, the code is the optimum for the sparsity that it has come to.
    reached = (signals - codes @ dictionary) @ dictionary.T
    reached = (reached if positive else np.abs(reached)).max(axis=1, keepdims=True)
    assert violation(signals, dictionary, codes, reached, positive) < 1e-9
    longest = 6.0 if positive else 1.0
    codes, _, converged = solve("homotopy", signals, dictionary, 1e-9, residual=longest, positive=positive)
    rest = np.linalg.norm(signals - codes @ dictionary, axis=1)
    assert not codes[3].any()
    assert converged[3]
    assert converged.sum() > 6
    np.testing.assert_allclose(rest[converged & (np.arange(12) != 3)], longest, rtol=1e-9)
    reached = (signals - codes @ dictionary) @ dictionary.T
    reached = (reached if positive else np.abs(reached)).max(axis=1, keepdims=True)
    assert violation(signals, dictionary, codes, reached, positive) < 1e-9
    # And a residual below that of the sparsity is not reached.
    codes, _, converged = solve("homotopy", signals, dictionary, 2.0, residual=1e-6, positive=positive)
    assert not converged.any()
    assert relative_gap(signals, dictionary, codes, 2.0, positive).max() < 1e-12


def coordinate_descent_of_gregor_and_lecun(
    correlation: np.ndarray, gram: np.ndarray, sparsity: float, steps: int
) -> np.ndarray:
    """Algorithm 2 of their paper, line by line."""
    s, b, code = np.eye(len(gram)) - gram, correlation.copy(), np.zeros(len(gram))
    for _ in range(steps):
        shrunk = np.sign(b) * np.maximum(np.abs(b) - sparsity, 0)
        k = np.argmax(np.abs(code - shrunk))
        b += s[:, k] * (shrunk[k] - code[k])
        code[k] = shrunk[k]
    return code


def test_greedy_descent_takes_the_steps_of_the_paper(rng: np.random.Generator) -> None:
    signals, dictionary = problem(rng)
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    for steps in (1, 2, 3, 5, 8, 29, 30, 31, 50):
        codes, iterations, _ = solve("greedy_descent", signals, dictionary, 0.4, max_iterations=steps)
        assert (iterations == steps).all()
        for signal, code in zip(signals, codes, strict=True):
            expected = coordinate_descent_of_gregor_and_lecun(
                dictionary @ signal, dictionary @ dictionary.T, 0.4, steps
            )
            np.testing.assert_allclose(code, expected, atol=1e-12)


@EVERY_SOLVER
@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_are_right_as_plain_python_too(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, solver: str, dtype: Any
) -> None:
    signals, dictionary = problem(rng, 3, 14, 8)
    dictionary[3] = 0
    dictionary[7] = dictionary[8]
    sparsity = 2.0
    tolerance = 1e-4 if dtype == np.float32 else 1e-8
    compiled, _, _ = solve(solver, signals, dictionary, sparsity, dtype=dtype, tolerance=tolerance, start=0.5)
    codes, iterations, converged = solve(
        solver, signals, dictionary, sparsity, dtype=dtype, tolerance=tolerance, start=0.5, max_iterations=2000,
        kernel=plain(monkeypatch, solver),
    )  # fmt: skip
    assert converged.all()
    assert iterations.min() > 0
    assert relative_gap(signals, dictionary, codes, sparsity).max() < 2 * tolerance
    np.testing.assert_allclose(codes @ dictionary, compiled @ dictionary, atol=0.2 if dtype == np.float32 else 2e-3)


@pytest.mark.kernels
def test_closed_form_steps_are_right_as_plain_python_too(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = plain(monkeypatch, "coordinate_descent")
    monkeypatch.setattr(_coordinate_descent, "_SWEEPS", 3)  # soon tired of sweeps
    rng = np.random.default_rng(0)
    signals, dictionary = 3 * rng.standard_normal((2, 5)), np.sign(np.round(rng.standard_normal((14, 5))))
    codes, _, converged = solve(
        "coordinate_descent", signals, dictionary, 0.01, tolerance=1e-9, max_iterations=500, kernel=kernel
    )
    assert converged.all()
    assert relative_gap(signals, dictionary, codes, 0.01).max() < 2e-9
