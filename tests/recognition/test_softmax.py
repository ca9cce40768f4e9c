from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize_scalar
from scipy.special import log_softmax, logsumexp

from striate.recognition.softmax import cross_entropy, fit_temperature, softmax


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_equal_those_of_scipy(rng: np.random.Generator, dtype: type, scale: float) -> None:
    logits: np.ndarray = (scale * rng.standard_normal((50, 7))).astype(dtype)
    probabilities = softmax(logits)
    assert probabilities.dtype == dtype
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    expected = np.exp(log_softmax(logits.astype(np.float64), axis=1))
    np.testing.assert_allclose(probabilities, expected, rtol=5e-5 if dtype == np.float32 else 1e-11, atol=1e-37)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loss_has_all_its_digits_however_sure_the_classifier(rng: np.random.Generator, dtype: type) -> None:
    labels = rng.integers(4, size=400)
    logits = rng.standard_normal((400, 4))
    logits[np.arange(400), labels] += rng.uniform(-60, 60, 400)  # losses from 1e-26 to 60
    logits = logits.astype(dtype)
    losses = cross_entropy(logits, labels)
    assert losses.dtype == dtype
    margins = logits.astype(np.float64) - logits[np.arange(400), labels].astype(np.float64)[:, None]
    margins[np.arange(400), labels] = -np.inf
    expected = np.log1p(np.exp(logsumexp(margins, axis=1)))
    assert expected.min() < 1e-20
    np.testing.assert_allclose(losses, expected, rtol=3e-5 if dtype == np.float32 else 1e-11)


def test_extreme_logits_do_not_overflow() -> None:
    logits = np.array([[1e30, 0, -1e30], [-1e30, -1e30, -1e30], [1e4, 1e4, 0]], dtype=np.float32)
    np.testing.assert_allclose(softmax(logits), np.array([[1, 0, 0], [1 / 3] * 3, [0.5, 0.5, 0]]), rtol=1e-6)
    np.testing.assert_allclose(cross_entropy(logits, np.array([0, 2, 1])), np.log([1, 3, 2]), rtol=1e-6)
    np.testing.assert_allclose(cross_entropy(logits, np.array([2, 0, 2])), [2e30, 1.0986, 1e4], rtol=1e-4)


def test_the_gradient_of_the_loss_is_probability_minus_truth(rng: np.random.Generator) -> None:
    logits = 2 * rng.standard_normal(5)
    for label in range(5):
        numeric = approx_fprime(logits, lambda values, label=label: cross_entropy(values[None], np.array([label]))[0])
        np.testing.assert_allclose(numeric, softmax(logits[None])[0] - np.eye(5)[label], atol=1e-6)


def overconfident(rng: np.random.Generator, n_samples: int = 500, factor: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `factor` times too large for labels that were drawn from honest ones."""
    honest = 2 * rng.standard_normal((n_samples, 4))
    labels = np.array([rng.choice(4, p=row) for row in softmax(honest)])
    return factor * honest, labels


@pytest.mark.parametrize("n_samples", [3, 40, 500])
@pytest.mark.parametrize("factor", [0.05, 1.0, 3.0, 20.0])
def test_temperature_is_the_minimum_that_scipy_finds(rng: np.random.Generator, n_samples: int, factor: float) -> None:
    logits, labels = overconfident(rng, n_samples, factor)
    targets = np.full(logits.shape, 1 / (n_samples + 2) / 3)
    targets[np.arange(n_samples), labels] = (n_samples + 1) / (n_samples + 2)

    def loss(log_temperature: float) -> float:
        return -(targets * log_softmax(logits / np.exp(log_temperature), axis=1)).sum(axis=1).mean()

    found = minimize_scalar(loss, bounds=(np.log(1e-3), np.log(1e3)), method="bounded", options={"xatol": 1e-8})
    assert fit_temperature(logits, labels) == pytest.approx(np.exp(found.x), rel=3e-4)
    # What all logits of a sample share says nothing.
    shifted = logits + rng.normal(size=(n_samples, 1))
    assert fit_temperature(shifted, labels) == pytest.approx(fit_temperature(logits, labels), rel=1e-6)


def test_temperature_undoes_overconfidence(rng: np.random.Generator) -> None:
    logits, labels = overconfident(rng, 4000, 3.0)
    assert fit_temperature(logits, labels) == pytest.approx(3.0, rel=0.1)
    assert fit_temperature(logits.astype(np.float32), labels) == pytest.approx(fit_temperature(logits, labels))


def test_a_few_right_answers_are_no_certainty() -> None:
    logits = np.array([[9.0, 0, 0], [0, 9.0, 0], [0, 0, 9.0]])
    # The optimum says 4 in 5, as the targets do, however far apart the logits are.
    for factor in (0.1, 1, 10):
        temperature = fit_temperature(factor * logits, np.arange(3))
        np.testing.assert_allclose(softmax(factor * logits / temperature).max(axis=1), 0.8, rtol=1e-3)


def test_without_samples_or_choice_the_temperature_is_1() -> None:
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, int)) == 1
    assert fit_temperature(np.zeros((4, 1)), np.zeros(4, int)) == 1
