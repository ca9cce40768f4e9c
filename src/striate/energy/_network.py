"""A small multilayer perceptron with exact derivatives by its inputs, from which it can learn.

With every value, its jet is computed: the first and, on request, the second derivative along each coordinate of the
input. A linear layer is applied to all of them alike, and a squashing function h = σ(a) by the chain rule::

    h′ = σ′(a)·a′        h″ = σ″(a)·a′² + σ′(a)·a″

One backward pass through these equations gives the gradient by the weights of any function of the energy, its slope
and the diagonal of its Hessian, which is sufficient for likelihood, contrastive divergence and score matching.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from striate.learning.adam import Adam

__all__ = ["Network", "Tape"]


class Tape(NamedTuple):
    """Results of the forward pass that the backward pass needs, layer by layer."""

    inputs: list[np.ndarray]  # jets before the weights
    sums: list[np.ndarray]  # jets before the squashing function
    tangents: list[np.ndarray | None]  # its values; None where there is none
    order: int


class Network:
    """Layers of weights and biases with tanh between them; the last is linear.

    Parameters
    ----------
    sizes : sequence of int
        Widths from the input to the output.
    rng : Generator
    gain : float
        Standard deviation of a first-layer unit's sum per unit length of the input; larger values give finer structure
        at the start.
    linear : sequence of int
        Hidden layers without a squashing function, counted from 1: a code.
    dtype : float32 or float64
    """

    def __init__(
        self,
        sizes: Sequence[int],
        rng: np.random.Generator,
        *,
        gain: float = 1.0,
        linear: Sequence[int] = (),
        dtype: type = np.float64,
    ) -> None:
        self.sizes, self.linear, self.dtype = tuple(sizes), frozenset(linear), np.dtype(dtype)
        self.parameters: dict[str, np.ndarray] = {}
        for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
            scale = gain if layer == 0 else 1 / np.sqrt(n_in)
            # The biases of the first layer distribute the borders of its units over the data, mostly within 1.
            bias = scale * rng.uniform(-1, 1, n_out) if layer == 0 else np.zeros(n_out)
            self.parameters[f"weights{layer}"] = (scale * rng.standard_normal((n_in, n_out))).astype(dtype)
            self.parameters[f"bias{layer}"] = bias.astype(dtype)

    @property
    def n_layers(self) -> int:
        """Layers of weights."""
        return len(self.sizes) - 1

    def train(
        self, loss: Callable[[], tuple[float, dict[str, np.ndarray]]], *, n_batches: int, rate: float
    ) -> list[float]:
        """Follow gradients by Adam, whose rate falls linearly to 0 after half the batches; the losses.

        `loss` gives the loss of the next batch and its gradient by the parameters.
        """
        adam = Adam(self.parameters, dict.fromkeys(self.parameters, rate))
        losses = []
        for batch in range(n_batches):
            value, gradients = loss()
            adam.step(gradients, min(1.0, 2 * (1 - batch / n_batches)))
            losses.append(value)
        return losses

    def values(self, inputs: np.ndarray) -> np.ndarray:
        """(n, n_inputs) → (n, n_outputs)."""
        return self.jets(inputs, 0)[0][0]

    def jets(self, inputs: np.ndarray, order: int) -> tuple[np.ndarray, Tape]:
        """Values and derivatives.

        Parameters
        ----------
        inputs : float (n, n_inputs)
        order : {0, 1, 2}

        Returns
        -------
        jets : float (1 + order · n_inputs, n, n_outputs)
            The value; the first derivatives; the second derivatives, each along one coordinate.
        tape : Tape
        """
        n, n_inputs = inputs.shape
        flow = np.zeros((1 + order * n_inputs, n, n_inputs), self.dtype)
        flow[0] = inputs
        if order:
            for axis in range(n_inputs):
                flow[1 + axis, :, axis] = 1
        tape = Tape([], [], [], order)
        for layer in range(self.n_layers):
            tape.inputs.append(flow)
            flow = flow @ self.parameters[f"weights{layer}"]
            flow[0] += self.parameters[f"bias{layer}"]
            tape.sums.append(flow)
            tape.tangents.append(None if self._is_linear(layer) else np.tanh(flow[0]))
            if (tangent := tape.tangents[-1]) is not None:
                flow = self._squashed(tangent, flow, order)
        return flow, tape

    def backward(self, tape: Tape, weights: np.ndarray) -> dict[str, np.ndarray]:
        """The gradient by the parameters of Σ weights · jets.

        Parameters
        ----------
        tape : Tape
        weights : float, the shape of the jets

        Returns
        -------
        dict of str to ndarray
            Names and shapes of `parameters`.
        """
        gradients = {}
        flow = weights.astype(self.dtype, copy=False)
        for layer in reversed(range(self.n_layers)):
            if (tangent := tape.tangents[layer]) is not None:
                flow = self._squashed_back(tangent, tape.sums[layer], flow, tape.order)
            inputs = tape.inputs[layer]
            gradients[f"weights{layer}"] = inputs.reshape(-1, inputs.shape[2]).T @ flow.reshape(-1, flow.shape[2])
            gradients[f"bias{layer}"] = flow[0].sum(axis=0)
            if layer:
                flow = flow @ self.parameters[f"weights{layer}"].T
        return gradients

    def _is_linear(self, layer: int) -> bool:
        return layer + 1 == self.n_layers or layer + 1 in self.linear

    def _squashed(self, tangent: np.ndarray, sums: np.ndarray, order: int) -> np.ndarray:
        if not order:
            return tangent[np.newaxis]
        squashed = np.empty_like(sums)
        squashed[0] = tangent
        axes = self.sizes[0]
        slope = 1 - np.square(tangent)
        np.multiply(slope, sums[1:], out=squashed[1:])
        if order == 2:
            squashed[1 + axes :] -= 2 * tangent * slope * np.square(sums[1 : 1 + axes])
        return squashed

    def _squashed_back(self, tangent: np.ndarray, sums: np.ndarray, flow: np.ndarray, order: int) -> np.ndarray:
        slope = 1 - np.square(tangent)
        back = slope * flow
        if order:
            axes = self.sizes[0]
            curve = -2 * tangent * slope  # σ″
            first = slice(1, 1 + axes)
            back[0] += curve * (flow[1:] * sums[1:]).sum(axis=0)
            if order == 2:
                second = slice(1 + axes, None)
                twist = slope * (6 * np.square(tangent) - 2)  # σ‴
                back[0] += twist * (flow[second] * np.square(sums[first])).sum(axis=0)
                back[first] += 2 * curve * flow[second] * sums[first]
        return back
