from __future__ import annotations

from pathlib import Path

import numba
import numpy as np
import pytest

from striate import threads
from striate.encoders import TanhEncoder
from striate.errors import UsageError


def some_encoder(rng: np.random.Generator) -> TanhEncoder:
    return TanhEncoder.from_arrays(rng.standard_normal((4, 6)), rng.standard_normal(4), rng.uniform(0.5, 2, 4))


def in_single(encoder: TanhEncoder) -> TanhEncoder:
    return TanhEncoder.from_arrays(
        *(array.astype(np.float32) for array in (encoder.filters, encoder.bias, encoder.gain))
    )


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

    analytic = encoder.gradients(patches, encoder.activations(patches), codes)[name]
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
    encoder = TanhEncoder.from_arrays(*(rng.standard_normal(shape, dtype=np.float32) for shape in ((4, 6), 4, 4)))
    patches = rng.standard_normal((3, 6), dtype=np.float32)
    codes, activations = encoder.encode(patches), encoder.activations(patches)
    before = activations.copy()
    gradients = encoder.gradients(patches, activations, codes + 1)
    assert {array.dtype for array in (codes, *gradients.values())} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(activations, before)


def test_state_round_trip_and_shapes(rng: np.random.Generator) -> None:
    encoder = some_encoder(rng)
    again = TanhEncoder.from_state(*encoder.to_state())
    patches = rng.standard_normal((3, 6))
    np.testing.assert_array_equal(again.encode(patches), encoder.encode(patches))
    with pytest.raises(UsageError, match="one gain each"):
        TanhEncoder.from_arrays(encoder.filters, encoder.bias[:2], encoder.gain)


def tangent_of(values: np.ndarray) -> np.ndarray:
    """What an encoder of one filter, which is 1, makes of float32 numbers."""
    one = np.ones(1, np.float32)
    return TanhEncoder.from_arrays(one[:, np.newaxis], 0 * one, one).encode(values[:, np.newaxis])[:, 0]


@pytest.mark.kernels
def test_the_kernel_s_tangent_is_close_everywhere(rng: np.random.Generator) -> None:
    n = 2_000 if numba.config.DISABLE_JIT else 2_000_000  # type: ignore[attr-defined]
    for values in (
        np.linspace(-12, 12, n),
        rng.standard_normal(n) * 10.0 ** rng.uniform(-30, 30, n),
        np.logspace(-44, 38, n),
    ):
        single = values.astype(np.float32)
        found, exact = tangent_of(single), np.tanh(single.astype(np.float64))
        assert found.dtype == np.float32
        assert np.abs(found - exact).max() < 5e-7
        assert np.abs(found).max() <= 1
        np.testing.assert_array_equal(tangent_of(-single), -found)
        large = np.abs(single) >= 9.5
        np.testing.assert_array_equal(found[large], np.sign(single[large]))
        small = (np.abs(single) < 0.1) & (np.abs(single) > 1e-37)  # relative to the value: nothing is lost near 0
        np.testing.assert_allclose(found[small], exact[small], rtol=3e-7)


@pytest.mark.kernels
def test_infinity_gives_one_and_nan_spoils_its_own_code_alone(rng: np.random.Generator) -> None:
    values = np.zeros(300, np.float32)
    values[:5] = np.inf, -np.inf, np.nan, 3e38, -3e38
    with np.errstate(invalid="ignore"):  # where NumPy computes: infinity times 0, in columns that are padding
        found = tangent_of(values)
    np.testing.assert_array_equal(found[:6], [1, -1, np.nan, 1, -1, 0])
    encoder, patches = in_single(some_encoder(rng)), rng.standard_normal((300, 6), dtype=np.float32)
    codes = encoder.encode(patches)
    patches[7, 2] = np.nan
    spoiled = encoder.encode(patches)
    assert np.isnan(spoiled[7]).all()
    np.testing.assert_array_equal(np.delete(spoiled, 7, axis=0), np.delete(codes, 7, axis=0))


@pytest.mark.kernels
@pytest.mark.parametrize("n_components", [1, 16, 64, 71])
def test_the_kernel_gives_what_float64_gives(rng: np.random.Generator, n_components: int) -> None:
    encoder = TanhEncoder.from_arrays(
        rng.standard_normal((n_components, 9)), rng.standard_normal(n_components), rng.uniform(-2, 2, n_components)
    )
    patches = rng.standard_normal((301, 9))
    exact = encoder.encode(patches)
    np.testing.assert_allclose(exact, encoder.gain * np.tanh(patches @ encoder.filters.T + encoder.bias), atol=1e-14)
    single = patches.astype(np.float32)
    codes = in_single(encoder).encode(single)
    assert codes.dtype == np.float32
    np.testing.assert_allclose(codes, exact, atol=1e-5)
    np.testing.assert_allclose(in_single(encoder).encode(single[:20]), codes[:20], atol=5e-6)  # NumPy's way


def test_the_kernel_reads_any_layout_and_gives_the_same_bits_in_threads(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    encoder = TanhEncoder.from_arrays(*(rng.standard_normal(shape, dtype=np.float32) for shape in ((70, 40), 70, 70)))
    patches = rng.standard_normal((3000, 40), dtype=np.float32)
    codes = encoder.encode(patches)
    for n in (1, 2, 3):
        with threads.limit(n):
            np.testing.assert_array_equal(encoder.encode(patches), codes)
    np.testing.assert_array_equal(encoder.encode(np.asfortranarray(patches)), codes)
    np.save(tmp_path / "patches.npy", patches)
    np.testing.assert_array_equal(encoder.encode(np.load(tmp_path / "patches.npy", mmap_mode="r")), codes)
    turned = TanhEncoder.from_arrays(np.asfortranarray(encoder.filters), encoder.bias, encoder.gain)
    np.testing.assert_array_equal(turned.encode(patches), codes)
    # Filters change in place while they are learned.
    encoder.filters *= 2
    assert np.abs(encoder.encode(patches) - codes).max() > 0.1
    with pytest.raises(UsageError, match="signals have shape"):
        encoder.encode(patches[:, :5])
