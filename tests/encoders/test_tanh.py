from __future__ import annotations

import numpy as np
import pytest

from striate.encoders import TanhEncoder
from striate.errors import UsageError


def some_encoder(rng: np.random.Generator) -> TanhEncoder:
    return TanhEncoder(rng.standard_normal((4, 6)), rng.standard_normal(4), rng.uniform(0.5, 2, 4))


def test_encode_by_the_formula(rng: np.random.Generator) -> None:
    encoder = some_encoder(rng)
    patches = rng.standard_normal((5, 6))
    expected = [encoder.gain * np.tanh(encoder.filters @ patch + encoder.bias) for patch in patches]
    np.testing.assert_allclose(encoder.encode(patches), expected, atol=1e-14)
    assert np.abs(encoder.activations(patches)).max() <= 1


@pytest.mark.parametrize("name", ["filters", "bias", "gain"])
def test_gradients_equal_finite_differences(rng: np.random.Generator, name: str) -> None:
    encoder = some_encoder(rng)
    patches, codes = rng.standard_normal((7, 6)), rng.standard_normal((7, 4))

    def loss() -> float:
        return float(0.5 * np.square(codes - encoder.encode(patches)).sum(axis=1).mean())

    analytic = getattr(encoder.gradients(patches, encoder.activations(patches), codes), name)
    parameter, numeric = getattr(encoder, name), np.zeros_like(analytic)
    for index in np.ndindex(parameter.shape):
        kept = parameter[index]
        parameter[index] = kept + 1e-6
        above = loss()
        parameter[index] = kept - 1e-6
        numeric[index] = (above - loss()) / 2e-6
        parameter[index] = kept
    np.testing.assert_allclose(analytic, numeric, atol=1e-8)


def test_float32_stays_float32_and_inputs_are_left_alone(rng: np.random.Generator) -> None:
    encoder = TanhEncoder(*(rng.standard_normal(shape, dtype=np.float32) for shape in ((4, 6), 4, 4)))
    patches = rng.standard_normal((3, 6), dtype=np.float32)
    codes, activations = encoder.encode(patches), encoder.activations(patches)
    before = activations.copy()
    gradients = encoder.gradients(patches, activations, codes + 1)
    assert {array.dtype for array in (codes, *gradients)} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(activations, before)


def test_state_round_trip_and_shapes(rng: np.random.Generator) -> None:
    encoder = some_encoder(rng)
    again = TanhEncoder.from_state(*encoder.to_state())
    patches = rng.standard_normal((3, 6))
    np.testing.assert_array_equal(again.encode(patches), encoder.encode(patches))
    with pytest.raises(UsageError, match="one gain each"):
        TanhEncoder(encoder.filters, encoder.bias[:2], encoder.gain)
