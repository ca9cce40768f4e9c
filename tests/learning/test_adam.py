from __future__ import annotations

import numpy as np
import pytest

from striate.learning.adam import Adam


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_may_be_transposed_or_read_only_and_arrays_keep_their_dtype(
    rng: np.random.Generator, dtype: type[np.float32] | type[np.float64]
) -> None:
    gradient = rng.standard_normal((5, 3)).astype(dtype)
    one, other = np.ones((3, 5), dtype), np.ones((3, 5), dtype)
    read_only = np.ascontiguousarray(gradient.T)
    read_only.setflags(write=False)
    Adam({"w": one}, {"w": 0.1}).step({"w": gradient.T})
    Adam({"w": other}, {"w": 0.1}).step({"w": read_only})
    np.testing.assert_array_equal(one, other)
    assert one.dtype == dtype
    assert (one != 1).all()


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
