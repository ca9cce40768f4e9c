from __future__ import annotations

import warnings
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from striate.coding import infer
from striate.encoders import LCoD
from striate.errors import UsageError
from tests.encoders.twin import assert_twin_agrees_and_differentiates


def some_dictionary(rng: np.random.Generator, n_components: int = 21, n_features: int = 12) -> np.ndarray:
    components = rng.standard_normal((n_components, n_features))
    return components / np.linalg.norm(components, axis=1, keepdims=True)


def shrink(values: np.ndarray, thresholds: Any) -> np.ndarray:
    return np.sign(values) * np.maximum(np.abs(values) - thresholds, 0)


def descend(
    signal: np.ndarray, filters: np.ndarray, inhibition: np.ndarray, thresholds: Any, steps: int, final: bool
) -> np.ndarray:
    """Algorithms 2 and 3 of Gregor & LeCun 2010, line by line."""
    b = filters @ signal
    z = np.zeros(len(b))
    for _ in range(steps):
        z_bar = shrink(b, thresholds)
        k = int(np.argmax(np.abs(z - z_bar)))
        for j in range(len(b)):
            b[j] += inhibition[j, k] * (z_bar[k] - z[k])
        z[k] = z_bar[k]
    return shrink(b, thresholds) if final else z


def some_encoder(rng: np.random.Generator, *, steps: int, final: bool = True, dtype: Any = np.float64) -> LCoD:
    encoder = LCoD.from_dictionary(some_dictionary(rng), rng.uniform(0.1, 0.4, 21), steps, final_shrinkage=final)
    changed = {n: a * rng.uniform(0.7, 1.3, a.shape) for n, a in encoder.arrays().items()}
    return encoder.with_arrays({name: array.astype(dtype) for name, array in changed.items()})


@pytest.mark.kernels
@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 10, 60])
def test_the_start_is_coordinate_descent(rng: np.random.Generator, steps: int, final: bool) -> None:
    components, signals = some_dictionary(rng), rng.standard_normal((30, 12))
    weights = rng.uniform(0.1, 0.4, 21)
    encoder = LCoD.from_dictionary(components, weights, steps, final_shrinkage=final)
    inhibition = np.eye(21) - components @ components.T
    expected = [descend(signal, components, inhibition, weights, steps, final) for signal in signals]
    np.testing.assert_allclose(encoder.encode(signals), expected, atol=1e-12)


@pytest.mark.kernels
@pytest.mark.parametrize("final", [True, False])
def test_learned_parameters_by_the_algorithm(rng: np.random.Generator, final: bool) -> None:
    encoder = some_encoder(rng, steps=8, final=final)
    signals = rng.standard_normal((30, 12))
    filters, inhibition, thresholds = encoder.arrays().values()
    expected = [descend(signal, filters, inhibition, thresholds, 8, final) for signal in signals]
    np.testing.assert_allclose(encoder.encode(signals), expected, atol=1e-12)
    single = some_encoder(np.random.default_rng(0), steps=8, final=final, dtype=np.float32)
    assert single.encode(signals).dtype == np.float32


def test_without_the_final_shrinkage_it_is_the_greedy_solver(rng: np.random.Generator) -> None:
    components, signals = some_dictionary(rng), rng.standard_normal((30, 12))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected = infer(signals, components, 0.3, method="greedy_descent", max_iterations=5)
    encoder = LCoD.from_dictionary(components, 0.3, 5, final_shrinkage=False)
    np.testing.assert_allclose(encoder.encode(signals), expected, atol=1e-12)
    optimal = infer(signals, components, 0.3, tolerance=1e-12)
    for final in (True, False):
        codes = LCoD.from_dictionary(components, 0.3, 30_000, final_shrinkage=final).encode(signals)
        np.testing.assert_allclose(codes, optimal, atol=1e-5)


@pytest.mark.kernels
def test_odd_signals(rng: np.random.Generator) -> None:
    encoder = LCoD.from_dictionary(some_dictionary(rng), 0.3, 5)
    signals = rng.standard_normal((4, 12))
    codes = encoder.encode(signals)
    np.testing.assert_array_equal(encoder.encode(np.zeros(12)), np.zeros(21))
    spoiled = signals.copy()
    spoiled[2, 3] = np.nan
    assert np.isnan(encoder.encode(spoiled)[2]).all()
    np.testing.assert_array_equal(encoder.encode(spoiled)[[0, 1, 3]], codes[[0, 1, 3]])
    # Equal changes: the first unit is chosen, as argmax does.
    twins = LCoD.from_arrays(
        np.eye(3)[[0, 0, 1]], -np.ones((3, 3)) + np.eye(3), np.full(3, 0.5), steps=1, final_shrinkage=False
    )
    np.testing.assert_array_equal(twins.encode(np.array([2.0, 0.0, 0.0])), [1.5, 0, 0])


@pytest.mark.parametrize("final", [True, False])
def test_the_twin_agrees_and_its_gradients_are_right(rng: np.random.Generator, final: bool) -> None:
    assert_twin_agrees_and_differentiates(some_encoder(rng, steps=6, final=final), rng.standard_normal((4, 12)))


@pytest.mark.parametrize("final", [True, False])
def test_training_lowers_the_held_out_error(rng: np.random.Generator, final: bool) -> None:
    pytest.importorskip("torch")
    components = some_dictionary(rng, 32, 16).astype(np.float32)
    signals = rng.standard_normal((2500, 16), dtype=np.float32)
    codes = infer(signals, components, 0.5)
    start = LCoD.from_dictionary(components, 0.5, 6, final_shrinkage=final)
    trained = deepcopy(start).fit(signals[:2000], codes[:2000], n_batches=400, batch_size=128, random_state=0)
    assert trained.dtype == np.float32
    assert trained.final_shrinkage == final

    def error(encoder: LCoD) -> float:
        return float(np.square(encoder.encode(signals[2000:]) - codes[2000:]).sum(axis=1).mean())

    assert error(trained) < 0.9 * error(start)


def test_state_round_trip_and_bad_input(rng: np.random.Generator) -> None:
    encoder, signals = some_encoder(rng, steps=3, final=False), rng.standard_normal((4, 12))
    arrays, header = encoder.to_state()
    assert header == {"kind": "lcod", "steps": 3, "final_shrinkage": False}
    np.testing.assert_array_equal(LCoD.from_state(arrays, header).encode(signals), encoder.encode(signals))
    filters, inhibition, thresholds = encoder.arrays().values()
    with pytest.raises(UsageError, match="LCoD needs"):
        LCoD.from_arrays(filters, inhibition[:5], thresholds, steps=3)
    with pytest.raises(UsageError, match="LCoD needs"):
        LCoD.from_arrays(filters[0], inhibition, thresholds, steps=3)
    with pytest.raises(UsageError, match="thresholds must be above 0"):
        LCoD.from_arrays(filters, inhibition, -thresholds, steps=3)
    with pytest.raises(UsageError, match="steps"):
        LCoD.from_arrays(filters, inhibition, thresholds, steps=0)
    with pytest.raises(UsageError, match="divide each row by its norm"):
        LCoD.from_dictionary(2 * some_dictionary(rng), 0.3, 3)
