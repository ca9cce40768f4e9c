from __future__ import annotations

import numpy as np
import pytest

from striate.energy._network import Network


def network(rng: np.random.Generator) -> Network:
    return Network((2, 7, 3, 5, 1), rng, gain=2.0, linear=(2,))


@pytest.mark.parametrize("order", [0, 1, 2])
def test_gradients_by_the_parameters(rng: np.random.Generator, order: int) -> None:
    net, inputs = network(rng), rng.standard_normal((6, 2))
    jets, tape = net.jets(inputs, order)
    weights = rng.standard_normal(jets.shape)
    gradients = net.backward(tape, weights)
    for name, parameter in net.parameters.items():
        for place in np.ndindex(*parameter.shape):
            kept = parameter[place]
            sides = []
            for moved in (kept + 1e-5, kept - 1e-5):
                parameter[place] = moved
                sides.append(float((net.jets(inputs, order)[0] * weights).sum()))
            parameter[place] = kept
            assert gradients[name][place] == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-5, abs=1e-6)


def test_derivatives_by_the_inputs(rng: np.random.Generator) -> None:
    net, inputs = network(rng), rng.standard_normal((6, 2))
    jets, _ = net.jets(inputs, 2)
    np.testing.assert_array_equal(jets[0], net.values(inputs))
    step = 1e-4
    for axis in (0, 1):
        move = step * np.eye(2)[axis]
        ahead, behind = net.values(inputs + move), net.values(inputs - move)
        np.testing.assert_allclose(jets[1 + axis], (ahead - behind) / (2 * step), atol=1e-6)
        np.testing.assert_allclose(jets[3 + axis], (ahead - 2 * jets[0] + behind) / step**2, atol=1e-5)
