from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from striate.coding import infer
from striate.encoders import LinearEncoder, ShrinkageEncoder, SmoothShrinkageEncoder
from striate.errors import UsageError
from tests.encoders.twin import assert_twin_agrees_and_differentiates


def some_dictionary(rng: np.random.Generator, n_components: int = 12, n_features: int = 8) -> np.ndarray:
    components = rng.standard_normal((n_components, n_features))
    return components / np.linalg.norm(components, axis=1, keepdims=True)


def sharp(value: float, threshold: float) -> float:
    return math.copysign(max(abs(value) - threshold, 0.0), value)


def smooth(value: float, beta: float, bias: float) -> float:
    """Equation 7 of Kavukcuoglu et al. 2010, as it is written."""
    inside = math.log(math.exp(beta * bias) + math.exp(beta * abs(value)) - 1)
    return math.copysign(inside / beta - bias, value)


@pytest.mark.kernels
def test_shrinkage_by_the_formula(rng: np.random.Generator) -> None:
    filters, thresholds = rng.standard_normal((12, 8)), rng.uniform(0.2, 2, 12)
    signals = rng.standard_normal((300, 8))
    codes = ShrinkageEncoder.from_arrays(filters, thresholds).encode(signals)
    expected = [
        [sharp(value, threshold) for value, threshold in zip(filters @ signal, thresholds, strict=True)]
        for signal in signals
    ]
    np.testing.assert_allclose(codes, expected, atol=1e-14)
    assert (codes == 0).any()


@pytest.mark.kernels
def test_one_step_of_ista(rng: np.random.Generator) -> None:
    components, signals = some_dictionary(rng), rng.standard_normal((5, 8))
    weights = rng.uniform(0.1, 0.5, 12)
    curvature = 1.001 * np.linalg.norm(components, 2) ** 2
    expected = [
        [sharp(v / curvature, w / curvature) for v, w in zip(components @ signal, weights, strict=True)]
        for signal in signals
    ]
    np.testing.assert_allclose(ShrinkageEncoder.from_dictionary(components, weights).encode(signals), expected)


def test_smooth_shrinkage_by_the_formula(rng: np.random.Generator) -> None:
    filters, beta, bias = rng.standard_normal((12, 8)), rng.uniform(0.5, 5, 12), rng.uniform(0.2, 2, 12)
    signals = rng.standard_normal((40, 8))
    expected = [[smooth(*each) for each in zip(filters @ signal, beta, bias, strict=True)] for signal in signals]
    np.testing.assert_allclose(
        SmoothShrinkageEncoder.from_arrays(filters, beta, bias).encode(signals), expected, atol=1e-13
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_smooth_shrinkage_is_safe_and_becomes_sharp(dtype: Any) -> None:
    values = np.array([[-1e6], [-3.0], [-1e-9], [0.0], [1e-9], [0.9], [1.1], [1e6]], dtype)
    for beta in (1e-3, 1.0, 1e3, 1e5):
        encoder = SmoothShrinkageEncoder.from_arrays(np.ones((1, 1), dtype), np.full(1, beta, dtype), np.ones(1, dtype))
        codes = encoder.encode(values)[:, 0]
        assert np.isfinite(codes).all()
        assert codes[3] == 0
        np.testing.assert_array_equal(codes[[0, 2]], -codes[[-1, 4]])
        # The slope at rest is exp(−β b).
        np.testing.assert_allclose(codes[4], 1e-9 * math.exp(-beta), rtol=1e-4, atol=1e-37)
    np.testing.assert_allclose(codes, [sharp(v, 1) for v in values[:, 0]], atol=1e-4, rtol=1e-6)


def test_smooth_shrinkage_from_a_dictionary_is_a_rounded_step(rng: np.random.Generator) -> None:
    components, signals = some_dictionary(rng), rng.standard_normal((50, 8))
    codes = ShrinkageEncoder.from_dictionary(components, 0.3).encode(signals)
    rounded = SmoothShrinkageEncoder.from_dictionary(components, 0.3, sharpness=200).encode(signals)
    np.testing.assert_allclose(rounded, codes, atol=2e-3)


@pytest.mark.parametrize("kind", [ShrinkageEncoder, SmoothShrinkageEncoder])
def test_the_twin_agrees_and_its_gradients_are_right(rng: np.random.Generator, kind: Any) -> None:
    encoder = kind.from_dictionary(some_dictionary(rng), rng.uniform(0.2, 0.6, 12))
    assert_twin_agrees_and_differentiates(encoder, rng.standard_normal((6, 8)))


@pytest.mark.parametrize("kind", [ShrinkageEncoder, SmoothShrinkageEncoder])
def test_training_lowers_the_held_out_error(rng: np.random.Generator, kind: Any) -> None:
    pytest.importorskip("torch")
    components = some_dictionary(rng, 24, 16).astype(np.float32)
    signals = rng.standard_normal((2500, 16), dtype=np.float32)
    codes = infer(signals, components, 0.5)
    start = kind.from_dictionary(components, 0.5)
    trained = deepcopy(start).fit(signals[:2000], codes[:2000], n_batches=400, batch_size=128, random_state=0)
    assert trained.dtype == np.float32

    def error(encoder: Any) -> float:
        return float(np.square(encoder.encode(signals[2000:]) - codes[2000:]).sum(axis=1).mean())

    assert error(trained) < 0.6 * error(start)
    assert error(trained) < error(LinearEncoder().fit(signals[:2000], codes[:2000]))


@pytest.mark.kernels
def test_nan_float32_and_one_signal(rng: np.random.Generator) -> None:
    encoder = ShrinkageEncoder.from_dictionary(some_dictionary(rng).astype(np.float32), 0.3)
    signals = rng.standard_normal((4, 8))
    codes = encoder.encode(signals)
    assert codes.dtype == encoder.dtype == np.float32
    np.testing.assert_allclose(encoder.encode(signals[1]), codes[1], atol=1e-6)
    spoiled = signals.copy()
    spoiled[2, 3] = np.nan
    assert np.isnan(encoder.encode(spoiled)[2]).all()
    np.testing.assert_array_equal(encoder.encode(spoiled)[[0, 1, 3]], codes[[0, 1, 3]])
    assert encoder.encode(signals[:0]).shape == (0, 12)


def test_state_round_trip_and_bad_input(rng: np.random.Generator) -> None:
    components, signals = some_dictionary(rng), rng.standard_normal((4, 8))
    encoder, other = (kind.from_dictionary(components, 0.3) for kind in (ShrinkageEncoder, SmoothShrinkageEncoder))
    for one in (encoder, other):
        again = type(one).from_state(*one.to_state())
        np.testing.assert_array_equal(again.encode(signals), one.encode(signals))
    with pytest.raises(UsageError, match="'smooth shrinkage'"):
        ShrinkageEncoder.from_state(*other.to_state())
    with pytest.raises(UsageError, match="one threshold each"):
        ShrinkageEncoder.from_arrays(components, np.ones(3))
    with pytest.raises(UsageError, match="one beta and one bias"):
        SmoothShrinkageEncoder.from_arrays(components, np.ones(12), np.ones(3))
    with pytest.raises(UsageError, match="thresholds must be above 0"):
        ShrinkageEncoder.from_arrays(components, np.zeros(12))
    with pytest.raises(UsageError, match="beta and bias"):
        SmoothShrinkageEncoder.from_arrays(components, np.ones(12), -np.ones(12))
    with pytest.raises(UsageError, match="filters must not hold NaN"):
        ShrinkageEncoder.from_arrays(np.full((2, 2), np.nan), np.ones(2))
    with pytest.raises(UsageError, match="sparsity"):
        ShrinkageEncoder.from_dictionary(components, 0.0)
    with pytest.raises(UsageError, match="zeros alone"):
        ShrinkageEncoder.from_dictionary(np.zeros((3, 4)), 1.0)
    with pytest.raises(UsageError, match="signals have shape"):
        encoder.encode(signals[:, :5])


def test_smooth_shrinkage_has_the_derivatives_of_finite_differences(rng: np.random.Generator) -> None:
    encoder = SmoothShrinkageEncoder.from_arrays(
        rng.standard_normal((5, 8)), rng.uniform(0.5, 5, 5), rng.uniform(0.2, 2, 5)
    )
    signals, codes = rng.standard_normal((7, 8)), rng.standard_normal((7, 5))

    def loss(name: str, array: np.ndarray) -> float:
        changed = encoder.with_arrays(encoder.arrays() | {name: array})
        return 0.5 * float(np.square(changed.encode(signals) - codes).sum()) / len(signals)

    predicted, known = encoder.forward(signals)
    np.testing.assert_array_equal(predicted, encoder.encode(signals))
    for name, found in encoder.gradients(signals, known, codes).items():
        array = encoder.arrays()[name]
        for place in np.ndindex(array.shape):
            step = np.zeros_like(array)
            step[place] = 1e-6
            expected = (loss(name, array + step) - loss(name, array - step)) / 2e-6
            assert found[place] == pytest.approx(expected, abs=1e-8, rel=1e-6), (name, place)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_derivatives_of_smooth_shrinkage_never_overflow(dtype: Any) -> None:
    signals = np.array([[-1e4], [-1.0], [0.0], [1e-20], [0.999], [1e4]], dtype)
    for beta in (1e-3, 1.0, 1e4):
        encoder = SmoothShrinkageEncoder.from_arrays(np.ones((1, 1), dtype), np.full(1, beta, dtype), np.ones(1, dtype))
        with np.errstate(all="raise", under="ignore"):
            codes, known = encoder.forward(signals)
            found = encoder.gradients(signals, known, np.zeros_like(codes))
        assert all(np.isfinite(slope).all() for slope in found.values())


def test_smooth_shrinkage_learns_as_with_torch(rng: np.random.Generator) -> None:
    pytest.importorskip("torch")
    from striate.encoders._torch import TorchLearner

    encoder = SmoothShrinkageEncoder.from_dictionary(some_dictionary(rng), rng.uniform(0.2, 0.6, 12))
    signals, codes = rng.standard_normal((20, 8)), rng.standard_normal((20, 12))
    own, other = encoder.learner(0.01, 0.3), TorchLearner(encoder, 0.01, 0.3)
    for _ in range(3):
        np.testing.assert_allclose(own.predict(signals), other.predict(signals), rtol=1e-10)
        slopes, expected = own.gradients(signals, codes), other.gradients(signals, codes)
        for name, rate in own.rates.items():
            assert rate == pytest.approx(other.rates[name])
            np.testing.assert_allclose(slopes[name], expected[name], rtol=1e-8, atol=1e-14)
            own.arrays[name] -= rate * slopes[name]
            other.arrays[name] -= rate * slopes[name]
    for one, learner in (("own", own), ("other", other)):
        learner.restart(np.array([3]), some_dictionary(rng))
        assert learner.encoder().arrays()["bias"][3] > 0, one
    again = encoder.learner(1.0, 0.3)
    again.restore(own.to_arrays())
    np.testing.assert_array_equal(again.predict(signals), own.predict(signals))
