"""The forward pass of an unrolled autoencoder, and the gradients of its loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax

__all__ = ["ACTIVATIONS", "Activation", "forward", "gradients"]

Array = NDArray[Any]
# An activation function, and its derivative as a function of its output: a pass keeps outputs only.
Activation = tuple[Callable[[Array], Array], Callable[[Array], Array]]


def _elu(values: Array) -> Array:
    return np.maximum(values, np.exp(np.minimum(values, 0)) - 1)  # below 0, eˣ − 1 is above x


def _slope_of_elu(given: Array) -> Array:
    return np.minimum(given, 0) + 1


ACTIVATIONS: dict[str, Activation] = {
    "logistic": (expit, lambda given: given * (1 - given)),
    "tanh": (np.tanh, lambda given: 1 - np.square(given)),
    "relu": (lambda values: np.maximum(values, 0), lambda given: given > 0),
    "elu": (_elu, _slope_of_elu),
}


def forward(
    parameters: Mapping[str, Array], inputs: Array, *, activation: str, code: str, code_noise: Array | None = None
) -> list[Array]:
    """The inputs, and the output of each layer; for the last layer, its linear part.

    Parameters
    ----------
    parameters : mapping
        ``weights.0``, ``biases.0`` and so on for all layers in the order of the pass; the first half encodes.
    inputs : ndarray (n_samples, n_features)
        Including input noise, if there is any.
    activation, code : str
        As in `DeepAutoencoder`, but not "auto".
    code_noise : ndarray (n_samples, n_components), optional
        Added before the code's logistic.
    """
    n_layers = len(parameters) // 2
    given = [inputs]
    for layer in range(n_layers):
        values = given[-1] @ parameters[f"weights.{layer}"].T
        values += parameters[f"biases.{layer}"]
        if layer == n_layers // 2 - 1:
            if code_noise is not None:
                values += code_noise
            values = values if code == "linear" else expit(values)
        elif layer < n_layers - 1:
            values = ACTIVATIONS[activation][0](values)
        given.append(values)
    return given


def gradients(
    parameters: Mapping[str, Array], given: list[Array], targets: Array, *, activation: str, code: str, visible: str,
    loss: str,
) -> dict[str, Array]:  # fmt: skip
    """Gradients of the loss, a mean over samples, with the names and shapes of the parameters.

    The loss is the multinomial cross-entropy for words, otherwise the cross-entropy or the squared error.

    Parameters
    ----------
    parameters, activation, code : as in `forward`
    given : list of ndarray
        What `forward` returned.
    targets : ndarray (n_samples, n_features)
        The desired outputs.
    visible, loss : str
    """
    n_layers = len(parameters) // 2
    found: dict[str, Array] = {}
    flow = _slope_of_loss(given[-1], targets, visible=visible, loss=loss)
    flow *= flow.dtype.type(1 / len(targets))
    for layer in range(n_layers - 1, -1, -1):
        found[f"weights.{layer}"] = flow.T @ given[layer]
        found[f"biases.{layer}"] = flow.sum(axis=0)
        if layer:
            flow = flow @ parameters[f"weights.{layer}"]
            if layer != n_layers // 2:
                flow *= ACTIVATIONS[activation][1](given[layer])
            elif code != "linear":
                flow *= ACTIVATIONS["logistic"][1](given[layer])
    return found


def _slope_of_loss(outputs: Array, targets: Array, *, visible: str, loss: str) -> Array:
    """The slope of the sum over samples with respect to the linear outputs."""
    slope: Array
    if visible == "softmax":
        slope = np.exp(log_softmax(outputs, axis=1)) * targets.sum(axis=1, keepdims=True) - targets
    elif visible == "binary":
        values = expit(outputs)
        slope = values - targets
        if loss == "squared":
            slope *= 2 * values * (1 - values)
    else:
        slope = 2 * (outputs - targets)
    return slope
