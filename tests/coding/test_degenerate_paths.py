"""Paths of dictionaries whose units depend on each other, nearly or exactly, or differ in scale; weights of units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

from striate.coding import PreparedDictionary, certify, infer, infer_until, regularization_path
from striate.errors import UsageError

FAMILIES = (
    "healthy", "twins", "negatives", "near twins", "combinations", "near combinations", "low rank", "scaled features",
    "scaled units", "integers", "ties", "tiny", "huge", "one unit", "one feature", "with empty units",
)  # fmt: skip


def problem(family: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A signal and a dictionary."""
    rng = np.random.default_rng(seed)
    d = rng.standard_normal((20, 10))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    y = rng.standard_normal(10)
    match family:
        case "twins":
            return d[0] + 0.05 * y, np.vstack([d, d[:8]])
        case "negatives":
            return y, np.vstack([d, -d[:8]])
        case "near twins":
            return y, np.vstack([d, d[:8] + 10.0 ** -(6 + seed) * rng.standard_normal((8, 10))])
        case "combinations":
            return y, np.vstack([d, d[:8] + d[1:9], d[:4] - 2 * d[5:9]])
        case "near combinations":
            return y, np.vstack([d, (d[:8] + d[1:9]) / 2 + 1e-8 * rng.standard_normal((8, 10))])
        case "low rank":
            return y, rng.standard_normal((20, 3)) @ rng.standard_normal((3, 10))
        case "scaled features":
            return rng.standard_normal(30), rng.standard_normal((60, 30)) * np.geomspace(1, 1e-4, 30)
        case "scaled units":
            return y, d * np.geomspace(1, 1e-6, 20)[:, np.newaxis]
        case "integers":
            return rng.integers(-2, 3, 10).astype(float), rng.integers(-1, 2, (20, 10)).astype(float)
        case "ties":
            return np.ones(10), np.vstack([np.eye(10), np.ones((1, 10)), -np.eye(10)[:3]])
        case "tiny":
            return 1e-180 * y, 1e-120 * d
        case "huge":
            return 1e150 * y, 1e120 * d
        case "one unit":
            return y, d[:1]
        case "one feature":
            return y[:1], d[:, :1]
        case "with empty units":
            return y, np.vstack([d[:3], np.zeros((2, 10)), d[3:]])
    return y, d


def violation(y: np.ndarray, d: np.ndarray, z: np.ndarray, sparsity: float, weights: Any, positive: bool) -> float:
    """Of the optimality conditions, of units and signals of norm 1."""
    size_y, sizes = np.linalg.norm(y) or 1.0, np.linalg.norm(d, axis=1)
    used = (sizes > 0) & np.isfinite(weights)
    assert not z[~used].any()
    sizes, z, weights = sizes[used], z[used] * sizes[used] / size_y, np.broadcast_to(weights, used.shape)[used]
    units = d[used] / sizes[:, np.newaxis]
    q = units @ (y / size_y - z @ units)
    bound = sparsity / size_y * (weights / sizes)
    inactive = np.maximum((q if positive else np.abs(q)) - bound, 0)
    active = np.minimum(np.abs(q - bound * np.sign(z)), np.abs(z) + inactive)
    assert not positive or (z >= 0).all()
    return float(np.where(z != 0, active, inactive).max(initial=0))


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_breakpoint_of_a_degenerate_path_is_optimal(family: str, positive: bool) -> None:
    for seed in range(6):
        y, d = problem(family, seed)
        rng = np.random.default_rng(seed)
        some = np.where(rng.random(len(d)) < 0.3, np.inf, rng.uniform(0.5, 2, len(d)))
        for weights in (None, some):
            path = regularization_path(y, d, weights=weights, positive=positive)
            assert path.converged
            assert path.residuals.max() < 1e-10
            assert (np.diff(path.sparsities) < 0).all()
            assert path.sparsities[-1] == 0
            used = np.ones(len(d)) if weights is None else weights
            middle = rng.uniform(0, path.sparsities[0])
            for sparsity, code in [*zip(path.sparsities, path.codes, strict=True), (middle, path.at(middle))]:
                assert violation(y, d, code, sparsity, used, positive) < 1e-9


@pytest.mark.parametrize("family", ["healthy", "twins", "negatives", "low rank", "integers"])
def test_paths_have_the_objective_of_scikit_learns_lasso(family: str) -> None:
    y, d = problem(family, 3)
    path = regularization_path(y, d)
    sparsities = path.sparsities[0] * np.array([0.7, 0.3, 0.1])
    n = len(y)
    _, theirs, _ = lasso_path(d.T, y, alphas=sparsities / n, max_iter=1_000_000, tol=1e-14)
    for sparsity, their in zip(sparsities, theirs.T, strict=True):
        ours = certify(y[np.newaxis], path.at(sparsity)[np.newaxis], d, sparsity)
        assert ours.objective[0] <= certify(y[np.newaxis], their[np.newaxis], d, sparsity).objective[0] * (1 + 1e-9)
        assert ours.relative_gap[0] < 1e-9


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_path_of_badly_scaled_features_goes_as_far_as_scikit_learns() -> None:
    for seed in range(5, 10):
        rng = np.random.default_rng(seed)
        d = rng.standard_normal((60, 30)) * np.geomspace(1, 1e-4, 30)
        signals = rng.standard_normal((4, 30))
        codes = infer_until(signals, d, residual=0.2)
        np.testing.assert_allclose(np.linalg.norm(signals - codes @ d, axis=1), 0.2, rtol=1e-6)
        path = regularization_path(signals[0], d)
        assert np.linalg.norm(signals[0] - path.codes[-1] @ d) < 1e-6
        np.testing.assert_allclose(
            np.linalg.norm(signals[0] - regularization_path(signals[0], d, residual=0.2).codes[-1] @ d), 0.2, rtol=1e-9
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("family", ["healthy", "twins", "negatives", "near twins", "combinations", "low rank"])
def test_codes_of_a_wanted_size_are_not_cut_short_by_dependent_units(family: str, dtype: Any) -> None:
    for seed in range(4):
        y, d = (part.astype(dtype) for part in problem(family, seed))
        signals = np.stack([y, -y, y[::-1]])
        for wanted in (1, 2, 3):
            codes = infer_until(signals, d, max_nonzero=wanted)
            assert ((codes != 0).sum(axis=1) == wanted).all()
            for signal, code in zip(signals, codes, strict=True):
                reached = np.abs((signal - code @ d) @ d.T).max()
                assert violation(signal, d, code, reached, 1.0, False) < (5e-5 if dtype == np.float32 else 1e-8)


def test_copies_of_units_change_nothing_about_the_error_that_few_units_reach() -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        d = rng.standard_normal((20, 10))
        d /= np.linalg.norm(d, axis=1, keepdims=True)
        signals = d[:8] + 0.05 * rng.standard_normal((8, 10))
        for copies in (np.vstack([d, d[:8]]), np.vstack([d, -d[:8]]), np.vstack([d, d[:8], d[:8]])):
            alone, with_copies = infer_until(signals, d, max_nonzero=2), infer_until(signals, copies, max_nonzero=2)
            assert ((with_copies != 0).sum(axis=1) == 2).all()
            np.testing.assert_allclose(with_copies @ copies, alone @ d, atol=1e-9)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("family", ["healthy", "twins", "low rank", "scaled units", "integers"])
def test_units_of_weight_zero_are_never_penalized(family: str, positive: bool) -> None:
    for seed in range(4):
        y, d = problem(family, seed)
        weights = np.ones(len(d))
        weights[[1, 4]] = 0
        path = regularization_path(y, d, weights=weights, positive=positive)
        assert path.converged
        for sparsity, code in zip(path.sparsities, path.codes, strict=True):
            assert violation(y, d, code, sparsity, weights, positive) < 1e-9
        # From the first sparsity on, they alone explain the signal, as least squares do.
        first = path.at(2 * path.sparsities[0] + 1)
        expected = nnls(d[[1, 4]].T, y)[0] if positive else np.linalg.lstsq(d[[1, 4]].T, y, rcond=None)[0]
        np.testing.assert_allclose(first @ d, expected @ d[[1, 4]], atol=1e-9)
        assert not np.delete(first, [1, 4]).any()
        codes = infer_until(y[np.newaxis], d, weights=weights, max_nonzero=4, positive=positive)
        assert (codes != 0).sum() <= 4
    with pytest.raises(UsageError, match="below the 2 units of weight 0"):
        infer_until(y[np.newaxis], d, weights=weights, max_nonzero=1)


def test_units_of_infinite_weight_are_as_if_they_were_not_there(rng: np.random.Generator) -> None:
    _, d = problem("healthy", 0)
    signals = rng.standard_normal((5, 10))
    weights = np.ones(20)
    weights[3:9] = np.inf
    used = np.isfinite(weights)
    codes = infer_until(signals, d, weights=weights, max_nonzero=3)
    assert not codes[:, ~used].any()
    np.testing.assert_allclose(codes[:, used], infer_until(signals, d[used], max_nonzero=3), atol=1e-12)
    assert not infer_until(signals, d, weights=np.full(20, np.inf), residual=0.1).any()
    # A weight of two is a unit of half the length whose code counts twice.
    weights = rng.uniform(0.5, 2, 20)
    codes = infer_until(signals, d, weights=weights, residual=1.0)
    np.testing.assert_allclose(
        codes * weights, infer_until(signals, d / weights[:, np.newaxis], residual=1.0), atol=1e-9
    )
    path = regularization_path(signals[0], d, weights=weights)
    sparsity = 0.3 * path.sparsities[0]
    np.testing.assert_allclose(
        path.at(sparsity), infer(signals[:1], d, sparsity * weights, tolerance=1e-12)[0], atol=1e-5
    )


def test_a_path_says_where_its_codes_are_not_optimal() -> None:
    rng = np.random.default_rng(5)
    y, d = rng.standard_normal(30), rng.standard_normal((60, 30)) * np.geomspace(1, 1e-6, 30)
    with pytest.warns(ConvergenceWarning, match="give signals in float64"):
        path = regularization_path(y.astype(np.float32), d)
    assert not path.converged
    assert path.residuals.shape == path.sparsities.shape
    assert path.residuals[0] < 1e-6
    with pytest.warns(ConvergenceWarning, match="give signals in float64"):
        infer_until(np.stack([y]).astype(np.float32), d, residual=1e-4)
    with pytest.raises(UsageError, match="beyond what float32 can hold"):
        regularization_path(np.full(3, 1e30, np.float32), 1e-20 * np.eye(3))


def test_units_and_signals_of_any_scale_have_the_same_codes(rng: np.random.Generator) -> None:
    _, d = problem("healthy", 0)
    signals = rng.standard_normal((4, 10))
    for options in ({"max_nonzero": 3}, {"residual": 1.0}):
        expected = infer_until(signals, d, **options)
        for of_signals, of_units in ((600, 0), (-600, 0), (0, 500), (0, -500), (400, 500)):
            scaled = {name: value * 2.0**of_signals if name == "residual" else value for name, value in options.items()}
            codes = infer_until(signals * 2.0**of_signals, d * 2.0**of_units, **scaled)  # type: ignore[arg-type]
            np.testing.assert_allclose(np.ldexp(codes, of_units - of_signals), expected, atol=1e-9)
    for scale, message in ((2.0**300, "codes are too small for float32"), (2.0**-300, "beyond what float32 can hold")):
        with pytest.raises(UsageError, match=message):
            infer_until(signals.astype(np.float32), d * scale, residual=1.0)


def test_many_units_need_no_gram_matrix(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.coding.until._followed", None)  # what would form it
    d = rng.standard_normal((20_000, 6))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    signals = rng.standard_normal((2, 6))
    codes = infer_until(signals, d, max_nonzero=2)
    assert ((codes != 0).sum(axis=1) == 2).all()
    for signal, code in zip(signals, codes, strict=True):
        assert violation(signal, d, code, np.abs((signal - code @ d) @ d.T).max(), 1.0, False) < 1e-9


def layouts(array: np.ndarray, folder: Path) -> dict[str, np.ndarray]:
    """The same numbers in other forms."""
    read_only = array.copy()
    read_only.flags.writeable = False
    wide = np.zeros((2 * len(array), 3 * array.shape[1]), array.dtype)
    wide[::2, ::3] = array
    np.save(folder / "mapped.npy", array)
    return {
        "Fortran": np.asfortranarray(array),
        "strided": wide[::2, ::3],
        "reversed": array[::-1].copy()[::-1],
        "read-only": read_only,
        "mapped": np.load(folder / "mapped.npy", mmap_mode="r"),
        "big-endian": array.astype(array.dtype.newbyteorder(">")),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(4, 20, 10), (1, 20, 10), (3, 1, 8), (3, 5, 1), (1, 1, 1)])
def test_any_layout_gives_the_same_paths(
    rng: np.random.Generator, tmp_path: Path, dtype: Any, shape: tuple[int, int, int]
) -> None:
    n, n_units, n_features = shape
    signals = rng.standard_normal((n, n_features)).astype(dtype)
    d = rng.standard_normal((n_units, n_features)).astype(dtype)
    expected = infer_until(signals, d, max_nonzero=1)
    path = regularization_path(signals[0], d, max_nonzero=2)
    assert expected.dtype == path.codes.dtype == dtype
    (tmp_path / "units").mkdir()
    of_units = layouts(d, tmp_path / "units")
    two: Any = np.int64(2)
    for name, as_signals in layouts(signals, tmp_path).items():
        np.testing.assert_array_equal(infer_until(as_signals, of_units[name], max_nonzero=1), expected, name)
        again = regularization_path(as_signals[0], PreparedDictionary(of_units[name]), max_nonzero=two)
        np.testing.assert_array_equal(again.codes, path.codes)
    scalars: dict[str, Any] = {"max_nonzero": np.uint8(1), "residual": np.float32(0.01)}
    half = infer_until(signals.astype(np.float16), d, **scalars)
    assert half.dtype == np.float32
    assert infer_until(np.zeros((0, n_features)), d, max_nonzero=1).shape == (0, n_units)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_nonzero": 1.5}, "max_nonzero is 1.5; it must be an integer"),
        ({"max_nonzero": True}, "max_nonzero is True"),
        ({"residual": "little"}, "residual is 'little'; it must be a number above 0"),
        ({"residual": np.nan}, "residual is nan"),
        ({"max_nonzero": 1, "positive": "yes"}, "positive is 'yes'"),
        ({"max_nonzero": 1, "weights": np.ones(3)}, "20 numbers of at least 0"),
        ({"max_nonzero": 1, "weights": -np.ones(20)}, "unit 0 is -1"),
        ({"max_nonzero": 1, "weights": np.full(20, np.nan)}, "unit 0 is nan"),
        ({"max_nonzero": 1, "weights": "many"}, "20 numbers of at least 0"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    y, d = problem("healthy", 0)
    with pytest.raises(UsageError, match=message):
        infer_until(y[np.newaxis], d, **options)
    with pytest.raises(UsageError, match=message):
        regularization_path(y, d, **options)


@pytest.mark.parametrize("length", [1e-15, 1e9, 1e12, 1e15])
@pytest.mark.parametrize("until", [{"residual": 0.3}, {"max_nonzero": 3}, {"residual": 1e-9}, {"max_nonzero": 20}])
def test_units_of_lengths_far_apart_give_no_warning(length: float, until: dict[str, Any]) -> None:
    """The code's own sparsity is judged: the rounding of a long unit's correlation says nothing of a short one."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        y, d = rng.standard_normal(6), rng.standard_normal((9, 6))
        d[rng.integers(9)] *= length
        code = infer_until(y[np.newaxis], d, **until)[0]
        path = regularization_path(y, d, **until)
        np.testing.assert_allclose(code @ d, path.codes[-1] @ d, rtol=0, atol=1e-7)
        assert path.residuals.max() < 1e-12
