from __future__ import annotations

import numpy as np

from striate.learning._adam import Adam


def adam_by_the_paper(value: float, gradients: list[float], rate: float) -> float:
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        value -= rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return value


def test_equals_algorithm_1_of_the_paper(rng: np.random.Generator) -> None:
    gradients = rng.standard_normal((9, 3))
    parameter = np.ones(3)
    adam = Adam({"w": parameter}, {"w": 0.02})
    for gradient in gradients:
        adam.step({"w": gradient})
    expected = [adam_by_the_paper(1.0, list(column), 0.02) for column in gradients.T]
    np.testing.assert_allclose(parameter, expected, rtol=1e-12)


def test_restored_goes_on_the_same_and_forgotten_units_start_anew(rng: np.random.Generator) -> None:
    gradients = rng.standard_normal((6, 4, 2))
    one, other = np.ones((4, 2)), np.ones((4, 2))
    first = Adam({"w": one}, {"w": 0.1})
    for gradient in gradients[:3]:
        first.step({"w": gradient})
    other[...] = one
    second = Adam({"w": other}, {"w": 0.1})
    second.restore({name: array.copy() for name, array in first.to_arrays().items()}, first.n_steps)
    for gradient in gradients[3:]:
        first.step({"w": gradient})
        second.step({"w": gradient})
    np.testing.assert_array_equal(one, other)
    first.forget(np.array([1]))
    assert not first.first["w"][1].any()
    assert first.first["w"][0].any()
