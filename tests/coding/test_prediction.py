from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.coding import energy, fista, infer, infer_with_prediction
from striate.errors import UsageError


def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dictionary = rng.standard_normal((30, 16))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    return 3 * rng.standard_normal((12, 16)), dictionary, rng.standard_normal((12, 30))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), sparsity=st.floats(0.01, 5), prediction=st.sampled_from([0.2, 1.0, 5.0]))
def test_codes_are_optimal(seed: int, sparsity: float, prediction: float) -> None:
    signals, dictionary, target = problem(np.random.default_rng(seed))
    codes = infer_with_prediction(
        signals, dictionary, sparsity, prediction=prediction, target=target, tolerance=1e-13
    )  # fmt: skip
    # The conditions of Karush, Kuhn and Tucker.
    gradient = (codes @ dictionary - signals) @ dictionary.T + prediction * (codes - target)
    violation = np.where(codes == 0, np.abs(gradient) - sparsity, np.abs(gradient + sparsity * np.sign(codes)))
    assert violation.max() < 1e-5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_what_fista_converges_to(rng: np.random.Generator, dtype: Any) -> None:
    signals, dictionary, target = (array.astype(dtype) for array in problem(rng))
    options: dict[str, Any] = {"prediction": 0.7, "target": target}
    codes = infer_with_prediction(signals, dictionary, 0.5, **options)
    assert codes.dtype == dtype
    expected = fista(signals, dictionary, 0.5, steps=3000, **options)
    np.testing.assert_allclose(
        energy(signals, codes, dictionary, 0.5, **options),
        energy(signals, expected, dictionary, 0.5, **options),
        rtol=1e-4 if dtype == np.float32 else 1e-6,
    )


def test_certifies_the_energy_with_its_prediction_term(rng: np.random.Generator) -> None:
    signals, dictionary, target = problem(rng)
    found = infer_with_prediction(signals, dictionary, 0.5, prediction=0.7, target=target, info=True)
    energies = energy(signals, found.codes, dictionary, 0.5, prediction=0.7, target=target)
    np.testing.assert_allclose(found.objective, energies, rtol=1e-12)
    assert found.converged.all()


def test_without_a_prediction_it_is_infer(rng: np.random.Generator) -> None:
    signals, dictionary, target = problem(rng)
    codes = infer_with_prediction(signals, dictionary, 0.5, prediction=0, target=target, tolerance=1e-12)
    np.testing.assert_allclose(codes, infer(signals, dictionary, 0.5, tolerance=1e-12), atol=1e-5)


def test_a_target_that_does_not_fit(rng: np.random.Generator) -> None:
    signals, dictionary, target = problem(rng)
    with pytest.raises(UsageError, match="target"):
        infer_with_prediction(signals, dictionary, 0.5, prediction=1, target=target[:, 1:])
    with pytest.raises(UsageError, match="target has 11 rows, but there are 12 signals"):
        infer_with_prediction(signals, dictionary, 0.5, prediction=1, target=target[1:])
