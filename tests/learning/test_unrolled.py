from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, log_softmax

from striate.learning import DeepAutoencoder
from striate.learning._unrolled import ACTIVATIONS, forward, gradients

KINDS = [
    ("gaussian", "squared", "linear", "tanh"),
    ("binary", "cross-entropy", "logistic", "logistic"),
    ("binary", "squared", "binary", "tanh"),
    ("softmax", "cross-entropy", "linear", "relu"),
    ("gaussian", "squared", "logistic", "elu"),
]


def network(rng: np.random.Generator, sizes: tuple[int, ...]) -> dict[str, np.ndarray]:
    parameters: dict[str, np.ndarray] = {}
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        parameters[f"weights.{layer}"] = rng.standard_normal((n_out, n_in)) / np.sqrt(n_in)
        parameters[f"biases.{layer}"] = rng.standard_normal(n_out)
    return parameters


def loss_of(outputs: np.ndarray, targets: np.ndarray, *, visible: str, loss: str) -> float:
    """The mean over samples of what is learned against, from linear outputs (n_samples, n_features)."""
    if visible == "softmax":
        errors = -(targets * log_softmax(outputs, axis=1))
    elif visible == "binary" and loss == "cross-entropy":
        errors = np.logaddexp(0, outputs) - outputs * targets
    else:
        errors = np.square((expit(outputs) if visible == "binary" else outputs) - targets)
    return float(errors.sum() / len(targets))


@pytest.mark.parametrize(("visible", "loss", "code", "activation"), KINDS)
def test_gradients_are_finite_differences(
    rng: np.random.Generator, visible: str, loss: str, code: str, activation: str
) -> None:
    parameters, inputs = network(rng, (6, 5, 3, 5, 6)), rng.random((7, 6))
    targets = rng.random((7, 6))  # other than the inputs: these may have noise; words need not add up to 1
    unit: dict[str, Any] = {"activation": activation, "code": code}
    noise = rng.standard_normal((7, 3)) if code == "binary" else None

    def value() -> float:
        return loss_of(forward(parameters, inputs, code_noise=noise, **unit)[-1], targets, visible=visible, loss=loss)

    given = forward(parameters, inputs, code_noise=noise, **unit)
    found = gradients(parameters, given, targets, visible=visible, loss=loss, **unit)
    assert set(found) == set(parameters)
    for name, array in parameters.items():
        place = tuple(int(rng.integers(size)) for size in array.shape)
        kept, step = array[place], 1e-5
        array[place] = kept + step
        above = value()
        array[place] = kept - step
        below = value()
        array[place] = kept
        assert found[name][place] == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(("visible", "loss", "code", "activation"), KINDS)
def test_gradients_are_those_of_torch(
    rng: np.random.Generator, visible: str, loss: str, code: str, activation: str
) -> None:
    torch = pytest.importorskip("torch")
    parameters, rows = network(rng, (6, 5, 3, 5, 6)), rng.random((7, 6))
    tensors = {name: torch.from_numpy(array.copy()).requires_grad_() for name, array in parameters.items()}
    units = {"logistic": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu, "elu": torch.nn.functional.elu}
    values = wanted = torch.from_numpy(rows)
    for layer in range(4):
        values = torch.nn.functional.linear(values, tensors[f"weights.{layer}"], tensors[f"biases.{layer}"])
        if layer == 1 and code != "linear":
            values = torch.sigmoid(values)
        elif layer in (0, 2):
            values = units[activation](values)
    if visible == "softmax":
        error = -(wanted * torch.log_softmax(values, dim=1)).sum()
    elif visible == "binary" and loss == "cross-entropy":
        error = torch.nn.functional.binary_cross_entropy_with_logits(values, wanted, reduction="sum")
    else:
        error = ((torch.sigmoid(values) if visible == "binary" else values) - wanted).square().sum()
    (error / 7).backward()
    unit: dict[str, Any] = {"activation": activation, "code": code}
    given = forward(parameters, rows, **unit)
    assert loss_of(given[-1], rows, visible=visible, loss=loss) == pytest.approx(error.item() / 7, rel=1e-12)
    for name, value in gradients(parameters, given, rows, visible=visible, loss=loss, **unit).items():
        np.testing.assert_allclose(value, tensors[name].grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_float32_stays_float32(rng: np.random.Generator, activation: str) -> None:
    parameters = {name: array.astype(np.float32) for name, array in network(rng, (6, 3, 6)).items()}
    rows = rng.random((7, 6), dtype=np.float32)
    for visible, loss in (("binary", "squared"), ("binary", "cross-entropy"), ("gaussian", ""), ("softmax", "")):
        given = forward(parameters, rows, activation=activation, code="logistic")
        found = gradients(parameters, given, rows, activation=activation, code="logistic", visible=visible, loss=loss)
        assert {array.dtype for array in (*given, *found.values())} == {np.dtype(np.float32)}


@pytest.mark.parametrize("code", ["linear", "logistic"])
@pytest.mark.parametrize("visible", ["binary", "gaussian", "softmax"])
def test_the_loss_is_what_is_reported(rng: np.random.Generator, visible: str, code: str) -> None:
    rows = rng.random((9, 6))
    learner = DeepAutoencoder((5, 3), visible=visible, code=code, random_state=0).partial_fit(rows)  # type: ignore[arg-type]
    inputs, targets = learner._inputs(rows)
    outputs = forward(learner._parameters(), inputs, activation=learner.activation_, code=code)[-1]
    in_units_of_data = learner.scale_**2 if visible == "gaussian" else 1
    loss = loss_of(outputs, targets, visible=visible, loss="squared") * in_units_of_data
    assert loss == pytest.approx(-learner.score(rows), rel=1e-9)
