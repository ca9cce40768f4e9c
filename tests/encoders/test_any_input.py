"""Every encoder takes signals and parameters of every layout and scale, or says why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from striate.encoders import (
    LISTA,
    LCoD,
    LinearEncoder,
    ShrinkageEncoder,
    SmoothShrinkageEncoder,
    TanhEncoder,
    make_encoder,
    train_predictor,
)
from striate.errors import UsageError
from tests.learning.test_any_input import LAYOUTS

N_FEATURES = 7


def _units(n: int, n_features: int, dtype: Any) -> np.ndarray:
    rows = np.random.default_rng(1).standard_normal((n, n_features))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(dtype)


def _tanh(units: np.ndarray) -> TanhEncoder:
    return TanhEncoder.from_arrays(units, np.linspace(-1, 1, len(units)).astype(units.dtype), units[:, 0] + 2)


ENCODERS: dict[str, Callable[[np.ndarray], Any]] = {
    "tanh": _tanh,
    "linear": lambda units: LinearEncoder.from_arrays(units, units[:, 0]),
    "shrinkage": lambda units: ShrinkageEncoder.from_dictionary(units, 0.1),
    "smooth shrinkage": lambda units: SmoothShrinkageEncoder.from_dictionary(units, 0.1),
    "lista": lambda units: LISTA.from_dictionary(units, 0.1, 3),
    "lista, untied": lambda units: LISTA.from_dictionary(units, 0.1, 3, untied=True),
    "lista, pruned": lambda units: LISTA.from_dictionary(units, 0.1, 3).prune(0.1),
    "lcod": lambda units: LCoD.from_dictionary(units, 0.1, 4),
}


def _signals(n: int, dtype: Any, n_features: int = N_FEATURES) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((n, n_features)).astype(dtype)


@pytest.mark.parametrize("n", [6, 300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ENCODERS)
def test_layouts_make_no_difference(name: str, dtype: Any, n: int, tmp_path: Path) -> None:
    units, signals = _units(12, N_FEATURES, dtype), _signals(n, dtype)
    encoder = ENCODERS[name](units)
    expected = encoder.encode(signals)
    assert expected.dtype == dtype
    np.save(tmp_path / "rows.npy", signals)
    np.save(tmp_path / "units.npy", units)
    mapped = ENCODERS[name](np.load(tmp_path / "units.npy", mmap_mode="r"))
    np.testing.assert_array_equal(mapped.encode(np.load(tmp_path / "rows.npy", mmap_mode="r")), expected)
    for layout, change in LAYOUTS.items():
        np.testing.assert_array_equal(encoder.encode(change(signals)), expected, err_msg=layout)
        np.testing.assert_array_equal(ENCODERS[name](change(units)).encode(signals), expected, err_msg=layout)
    np.testing.assert_array_equal(encoder.encode(signals.tolist()), encoder.encode(signals.astype(float)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ENCODERS)
def test_parameters_that_are_mapped_or_of_another_order(name: str, dtype: Any, tmp_path: Path) -> None:
    signals, encoder = _signals(9, dtype), ENCODERS[name](_units(12, N_FEATURES, dtype))
    arrays, header = encoder.to_state()
    for number, (key, array) in enumerate(arrays.items()):
        np.save(tmp_path / f"{number}.npy", array)
        changed = {**arrays, key: np.load(tmp_path / f"{number}.npy", mmap_mode="r")}
        np.testing.assert_array_equal(
            type(encoder).from_state(changed, header).encode(signals), encoder.encode(signals)
        )
    turned = {key: array.astype(array.dtype.newbyteorder(">")) for key, array in arrays.items()}
    np.testing.assert_array_equal(type(encoder).from_state(turned, header).encode(signals), encoder.encode(signals))


@pytest.mark.parametrize("name", ENCODERS)
def test_half_precision_integers_and_truth_values(name: str) -> None:
    half = _signals(9, np.float16)
    encoder = ENCODERS[name](_units(12, N_FEATURES, np.float16))
    assert encoder.filters.dtype == np.float32
    np.testing.assert_array_equal(encoder.encode(half), encoder.encode(half.astype(np.float32)))
    double = ENCODERS[name](_units(12, N_FEATURES, np.float64))
    whole = np.round(3 * half).astype(np.int8)
    np.testing.assert_array_equal(double.encode(whole), double.encode(whole.astype(float)))
    np.testing.assert_array_equal(double.encode(whole > 0), double.encode((whole > 0).astype(float)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ENCODERS)
def test_one_row_one_unit_and_one_feature(name: str, dtype: Any) -> None:
    signals = _signals(9, dtype)
    encoder = ENCODERS[name](_units(12, N_FEATURES, dtype))
    whole = encoder.encode(signals)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(encoder.encode(signals[:1]), whole[:1], atol=tolerance)
    np.testing.assert_allclose(encoder.encode(signals[0]), whole[0], atol=tolerance)
    assert encoder.encode(signals[:0]).shape == (0, 12)
    single = ENCODERS[name](_units(1, N_FEATURES, dtype)).encode(signals)
    assert single.shape == (9, 1)
    assert np.isfinite(single).all()
    column = ENCODERS[name](_units(12, 1, dtype)).encode(signals[:, :1])
    assert column.shape == (9, 12)
    assert np.isfinite(ENCODERS[name](_units(1, 1, dtype)).encode(signals[:1, :1])).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda rows: rows[:, :5], r"shape \(9, 5\)"),
        (lambda rows: rows[0, :5], r"shape \(1, 5\)"),
        (lambda rows: rows[np.newaxis], "shape"),
        (lambda rows: 3.0, "shape"),
        (lambda rows: rows.astype(str), "real numbers"),
        (lambda rows: rows * 1j, "real numbers"),
        (lambda rows: [[1.0], [1.0, 2.0]], "rows of one length"),
        (lambda rows: np.ma.masked_greater(rows, 0.5), "masked"),
        (scipy.sparse.csr_array, "sparse"),
    ],
)
@pytest.mark.parametrize("name", ENCODERS)
def test_anything_else_is_refused(name: str, wrong: Callable[..., Any], message: str) -> None:
    signals = _signals(9, np.float64)
    with pytest.raises(UsageError, match=message):
        ENCODERS[name](_units(12, N_FEATURES, np.float64)).encode(wrong(signals))


@pytest.mark.parametrize("name", ENCODERS)
def test_parameters_are_checked(name: str) -> None:
    encoder = ENCODERS[name](_units(12, N_FEATURES, np.float64))
    arrays, header = encoder.to_state()
    for key, array in arrays.items():
        for wrong in (array * np.nan, array * 1j, array.astype(str), array[..., np.newaxis], [[1.0], [1.0, 2.0]], None):
            with pytest.raises(UsageError):
                type(encoder).from_state({**arrays, key: wrong}, header)


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-30, 1e30, 1e170, 1e300])
def test_a_linear_encoder_is_fitted_at_any_scale(scale: float) -> None:
    rng = np.random.default_rng(0)
    signals = rng.standard_normal((200, 5))
    codes = signals @ rng.standard_normal((5, 3)) + 1
    expected = LinearEncoder().fit(signals, codes).encode(signals)
    np.testing.assert_allclose(LinearEncoder().fit(scale * signals, codes).encode(scale * signals), expected, rtol=1e-9)
    exact = LinearEncoder().fit(np.ldexp(signals, 500), codes)
    np.testing.assert_array_equal(exact.encode(np.ldexp(signals, 500)), expected)


def test_filters_that_single_precision_cannot_hold() -> None:
    signals = _signals(50, np.float32)
    with pytest.raises(UsageError, match="beyond what float32"):
        LinearEncoder().fit(signals * np.float32(1e-40), signals)


def test_a_linear_encoder_is_fitted_to_any_layout(tmp_path: Path) -> None:
    signals, codes = _signals(50, np.float32), _signals(50, np.float32, 3)
    expected = LinearEncoder().fit(signals, codes).filters
    np.save(tmp_path / "rows.npy", signals)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    np.testing.assert_array_equal(LinearEncoder().fit(mapped, codes).filters, expected)
    for change in LAYOUTS.values():
        np.testing.assert_array_equal(LinearEncoder().fit(change(signals), change(codes)).filters, expected)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("encoder", "sigmoid"),
        ("sparsity", -1.0),
        ("sparsity", "a"),
        ("steps", 0),
        ("steps", 1.5),
        ("components", [["a"]]),
    ],
)
def test_options_are_named(name: str, wrong: Any) -> None:
    given: dict[str, Any] = {
        "encoder": "lista", "components": _units(12, N_FEATURES, np.float64), "sparsity": 0.1, "steps": 2, name: wrong
    }  # fmt: skip
    with pytest.raises(UsageError, match="dictionary" if name == "components" else name):
        make_encoder(given["encoder"], steps=given["steps"]).start(given["components"], given["sparsity"])


def test_numpy_numbers_and_a_predictor() -> None:
    units, signals = _units(12, N_FEATURES, np.float64), _signals(60, np.float64)
    one = make_encoder("lista", steps=np.int32(3)).start(units, np.float64(0.1))
    np.testing.assert_array_equal(one.encode(signals), make_encoder("lista", steps=3).start(units, 0.1).encode(signals))
    found = train_predictor("linear", np.asfortranarray(signals), units, 0.1)
    np.testing.assert_array_equal(found.encode(signals), train_predictor("linear", signals, units, 0.1).encode(signals))
