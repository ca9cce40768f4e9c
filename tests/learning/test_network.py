"""The small network: geometry, gradients by finite differences, and torch as a reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.errors import UsageError
from striate.learning.network import Network, layers_of

_CASES: list[tuple[Any, ...]] = [
    ((7, 1, 1), (), (5, 3)),
    ((2, 9, 8), ((3, 3, 2, 2, 3), (4, 2, 2, 1, 1)), (5, 3)),
    ((1, 8, 9), ((2, 3, 3, 1, 4),), (2,)),
    ((3, 12, 25), ((4, 7, 6, 1, 4), (6, 6, 5, 1, 1)), ()),
]


@pytest.mark.parametrize("activation", ["tanh", "logistic", "elu"])
@pytest.mark.parametrize("case", _CASES)
def test_gradients_are_finite_differences(rng: np.random.Generator, case: Any, activation: str) -> None:
    shape, stages, dense = case
    network = Network.random(layers_of(shape, stages, dense), activation, np.float64, rng)
    for number in range(len(network.layers)):
        network.parameters[f"biases.{number}"] += rng.standard_normal(network.layers[number].n_outputs)
    rows = rng.standard_normal((5, int(np.prod(shape))))
    weights = rng.standard_normal((5, network.layers[-1].n_outputs))
    found = network.gradients(network.forward(rows), weights)
    for name, parameter in network.parameters.items():
        flat = parameter.reshape(-1)
        for place in rng.integers(flat.size, size=6):
            kept, values = flat[place], []
            for step in (1e-6, -1e-6):
                flat[place] = kept + step
                values.append(float((weights * network.outputs(rows)).sum()))
            flat[place] = kept
            assert found[name].reshape(-1)[place] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-6)


def test_equal_numbers_in_a_pooling_window_count_once(rng: np.random.Generator) -> None:
    network = Network.random(layers_of((1, 9, 9), ((2, 3, 3, 3, 3),), (1,)), "tanh", np.float64, rng)
    blank = np.zeros((4, 81))  # each window has nine equal sums
    bias = network.parameters["biases.0"]
    found = network.gradients(network.forward(blank), np.ones((4, 1)))["biases.0"]
    for unit in range(2):
        values = []
        for step in (1e-6, -2e-6):
            bias[unit] += step
            values.append(float(network.outputs(blank).sum()))
        bias[unit] += 1e-6
        assert found[unit] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("case", _CASES)
def test_layers_are_those_of_a_plain_convolution(rng: np.random.Generator, case: Any) -> None:
    shape, stages, dense = case
    network = Network.random(layers_of(shape, stages, dense), "tanh", np.float64, rng)
    rows = rng.standard_normal((3, int(np.prod(shape))))
    values = rows.reshape(3, *shape)
    for number, layer in enumerate(network.layers):
        filters, (height, width), (high, wide) = network.filters(number), layer.kernel, layer.pool
        windows = np.lib.stride_tricks.sliding_window_view(values, (height, width), axis=(2, 3))
        sums = np.einsum("ncyxhw,kchw->nkyx", windows, filters)
        n_rows, n_columns = layer.pooled
        sums = sums[:, :, : n_rows * high, : n_columns * wide]
        values = sums.reshape(3, -1, n_rows, high, n_columns, wide).max(axis=(3, 5))
        if number < len(network.layers) - 1:
            values = np.tanh(values)
    np.testing.assert_allclose(network.outputs(rows), values.reshape(3, -1), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(network.forward(rows)[-1].output.reshape(-1, 3).T, network.outputs(rows))


def test_filters_go_in_as_they_come_out(rng: np.random.Generator) -> None:
    layers = layers_of((3, 12, 25), ((20, 7, 6, 1, 4), (100, 6, 5, 1, 1)), ())
    assert [layer.pooled for layer in layers] == [(6, 5), (1, 1)]  # the talk's 20 maps of 6×5, then 100 numbers
    one, other = (Network.random(layers, "tanh", np.float32, rng) for _ in range(2))
    for number in range(2):
        other.set_filters(number, one.filters(number), one.parameters[f"biases.{number}"])
    rows = rng.standard_normal((4, 900)).astype(np.float32)
    np.testing.assert_array_equal(one.outputs(rows), other.outputs(rows))


@pytest.mark.parametrize("stages", [((4, 9, 9, 1, 1),), ((4, 3, 3, 7, 7),), ((4, 3, 3, 3, 3), (4, 3, 3, 1, 1))])
def test_stages_that_are_too_large_are_refused(stages: Any) -> None:
    with pytest.raises(UsageError, match="take smaller ones, or fewer stages"):
        layers_of((1, 8, 8), stages, (2,))
