"""A small feed-forward network by hand: stages of convolution and max pooling, then dense layers; the last is linear.

All layers are convolutions: a dense layer is one whose filters are as large as its input. A maximum and an increasing
activation may change places, so that pooling comes before bias and activation, which then see fewer numbers.

Roofline: products with the windows of a batch, bound by arithmetic for many filters and by memory for few; a window is
a column, so that the copies that make the columns are long runs. For 15 filters of 6×6 on 28×28 pixels, a step of
learning takes about as long for the columns as for the three products.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.learning._unrolled import ACTIVATIONS
from striate.parameters import IntegerTuple, Rule

__all__ = ["Layer", "Network", "StagesRule", "layers_of"]

Array = NDArray[Any]
# Weights begin at this multiple of 1/√(number of inputs): the variance then stays about the same from layer to layer.
_GAINS = {"logistic": 4.0, "tanh": 1.0, "relu": float(np.sqrt(2.0)), "elu": 1.2}
_OF_A_STAGE = 5  # numbers: filters, height and width of a filter, height and width of a pooling window


class StagesRule(Rule):
    """Stages of convolution, each (n_filters, height, width, pool height, pool width); there may be none."""

    def _take(self, value: object) -> tuple[tuple[int, ...], ...]:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ValueError
        stages = value.tolist() if isinstance(value, np.ndarray) else value
        each = IntegerTuple(_OF_A_STAGE, low=1)
        return tuple(each._take(stage) for stage in stages)

    def __str__(self) -> str:
        return "a tuple of stages, each 5 integers of at least 1: filters, height, width, pool height, pool width"


class Layer(NamedTuple):
    """The geometry of a layer."""

    n_inputs: int
    height: int
    width: int
    n_outputs: int
    kernel: tuple[int, int]
    pool: tuple[int, int] = (1, 1)

    @property
    def pooled(self) -> tuple[int, int]:
        """Rows and columns of the output; pooling windows that exceed the map are dropped."""
        rows, columns = self.height - self.kernel[0] + 1, self.width - self.kernel[1] + 1
        return rows // self.pool[0], columns // self.pool[1]

    @property
    def fan_in(self) -> int:
        """Numbers that a filter sees."""
        return self.n_inputs * self.kernel[0] * self.kernel[1]


def layers_of(
    shape: tuple[int, int, int], stages: Sequence[tuple[int, ...]], dense: Sequence[int]
) -> tuple[Layer, ...]:
    """Layers for inputs of a shape.

    Parameters
    ----------
    shape : (channels, height, width)
        Rows of n features have the shape (n, 1, 1).
    stages : sequence of (n_filters, height, width, pool height, pool width)
    dense : sequence of int
        Units of the layers after the stages.

    Raises
    ------
    UsageError
        If a stage's filters or pooling windows are larger than what they see.
    """
    n, height, width = shape
    found: list[Layer] = []
    for number, (n_filters, *sizes) in enumerate(stages):
        layer = Layer(n, height, width, n_filters, (sizes[0], sizes[1]), (sizes[2], sizes[3]))
        if min(layer.pooled) < 1:
            raise UsageError(
                f"stage {number + 1} has filters of {sizes[0]}×{sizes[1]} and pooling of {sizes[2]}×{sizes[3]}, but "
                f"sees only {height}×{width} pixels: take smaller ones, or fewer stages"
            )
        found.append(layer)
        n, (height, width) = n_filters, layer.pooled
    for n_units in dense:
        found.append(Layer(n, height, width, n_units, (height, width)))
        n, height, width = n_units, 1, 1
    return tuple(found)


class _Given(NamedTuple):
    """What a layer has computed, as the way back needs it."""

    columns: Array  # windows of the input, (fan_in, n_samples · rows · columns)
    sums: Array | None  # before pooling, (n_outputs, n_samples, rows, columns); None without pooling
    largest: Array  # after pooling, without the bias
    output: Array  # (n_outputs, n_samples, rows, columns)


class Network:
    """Layers with weights.

    Parameters
    ----------
    layers : sequence of Layer
    activation : str
        Of all layers but the last.
    parameters : dict of str to ndarray
        ``weights.0`` (n_outputs, fan_in), its filters with channels last, ``biases.0`` (n_outputs,), and so on.
    """

    def __init__(self, layers: Sequence[Layer], activation: str, parameters: dict[str, Array]) -> None:
        self.layers, self.activation, self.parameters = tuple(layers), activation, parameters

    @classmethod
    def random(cls, layers: Sequence[Layer], activation: str, dtype: Any, rng: np.random.Generator) -> Network:
        """Random weights, at scales that keep the variance from layer to layer; biases of 0."""
        parameters: dict[str, Array] = {}
        for number, layer in enumerate(layers):
            gain = _GAINS[activation] if number else 1.0
            weights = gain / np.sqrt(layer.fan_in) * rng.standard_normal((layer.n_outputs, layer.fan_in))
            parameters[f"weights.{number}"] = weights.astype(dtype)
            parameters[f"biases.{number}"] = np.zeros(layer.n_outputs, dtype)
        return cls(layers, activation, parameters)

    def filters(self, number: int) -> Array:
        """A layer's filters, (n_outputs, n_inputs, height, width)."""
        layer = self.layers[number]
        weights = self.parameters[f"weights.{number}"].reshape(layer.n_outputs, *layer.kernel, layer.n_inputs)
        return np.ascontiguousarray(weights.transpose(0, 3, 1, 2))

    def set_filters(self, number: int, filters: Array, biases: Array) -> None:
        """Copy filters, (n_outputs, n_inputs, height, width), and biases, (n_outputs,), into a layer."""
        weights = self.parameters[f"weights.{number}"]
        weights[...] = filters.transpose(0, 2, 3, 1).reshape(weights.shape)
        self.parameters[f"biases.{number}"][...] = biases

    def outputs(self, rows: Array) -> Array:
        """The outputs of the last layer, (n_samples, n_outputs), in the type of the rows."""
        values = self._as_maps(rows)
        for number in range(len(self.layers)):
            values = self._layer(number, values).output
        return np.ascontiguousarray(values.reshape(-1, len(rows)).T)

    def forward(self, rows: Array) -> list[_Given]:
        """What each layer computes from rows (n_samples, n_features), each an image (channels, height, width)."""
        found: list[_Given] = []
        values = self._as_maps(rows)
        for number in range(len(self.layers)):
            found.append(self._layer(number, values))
            values = found[-1].output
        return found

    def gradients(self, given: Sequence[_Given], flow: Array) -> dict[str, Array]:
        """Gradients of the parameters, from `flow`, (n_samples, n_outputs): the loss's slope in the outputs."""
        found: dict[str, Array] = {}
        slope = ACTIVATIONS[self.activation][1]
        back = np.ascontiguousarray(flow.T).reshape(given[-1].output.shape)
        for number in range(len(self.layers) - 1, -1, -1):
            layer, computed = self.layers[number], given[number]
            if number < len(self.layers) - 1:
                back = back * slope(computed.output)
            found[f"biases.{number}"] = back.reshape(layer.n_outputs, -1).sum(axis=1)
            sums = back if computed.sums is None else _unpooled(back, computed.sums, computed.largest, layer.pool)
            sums = sums.reshape(layer.n_outputs, -1)
            found[f"weights.{number}"] = sums @ computed.columns.T
            if number:
                columns = self.parameters[f"weights.{number}"].T @ sums
                back = _added_up(columns, layer, given[number - 1].output.shape)
        return found

    def _as_maps(self, rows: Array) -> Array:
        first = self.layers[0]
        return rows.reshape(len(rows), first.n_inputs, -1).transpose(1, 0, 2).reshape(
            first.n_inputs, len(rows), first.height, first.width
        )  # fmt: skip

    def _layer(self, number: int, values: Array) -> _Given:
        layer = self.layers[number]
        weights, biases = (
            self.parameters[f"{name}.{number}"].astype(values.dtype, copy=False) for name in ("weights", "biases")
        )
        columns = _columns(values, layer)
        rows, width = layer.pooled
        shape = (layer.n_outputs, values.shape[1], rows * layer.pool[0], width * layer.pool[1])
        sums = (weights @ columns).reshape(shape)
        pooled = layer.pool != (1, 1)
        largest = _largest(sums, layer.pool) if pooled else sums
        output = largest + biases[:, np.newaxis, np.newaxis, np.newaxis]
        if number < len(self.layers) - 1:
            output = ACTIVATIONS[self.activation][0](output)
        return _Given(columns, sums if pooled else None, largest, output)


def _places(layer: Layer) -> list[tuple[slice, slice]]:
    """For each pixel of a filter, in the order of the weights, the pixels of the input that it meets."""
    (high, wide), (rows, columns) = layer.pool, layer.pooled
    return [
        (slice(i, i + rows * high), slice(j, j + columns * wide))
        for i in range(layer.kernel[0])
        for j in range(layer.kernel[1])
    ]


def _columns(values: Array, layer: Layer) -> Array:
    """Windows of maps, (n_inputs, n_samples, height, width), as columns: (fan_in, n_samples · rows · columns)."""
    if layer.kernel == (1, 1) == layer.pool:
        return values.reshape(layer.n_inputs, -1)
    places = _places(layer)
    rows, columns = layer.pooled
    shape = (len(places), layer.n_inputs, values.shape[1], rows * layer.pool[0], columns * layer.pool[1])
    found = np.empty(shape, values.dtype)
    for to, (above, beside) in zip(found, places, strict=True):
        to[...] = values[:, :, above, beside]
    return found.reshape(layer.fan_in, -1)


def _added_up(columns: Array, layer: Layer, shape: tuple[int, ...]) -> Array:
    """The transpose of `_columns`: windows are added where they lie, in maps of a shape."""
    if layer.kernel == (1, 1) == layer.pool:
        return columns.reshape(shape)
    found = np.zeros(shape, columns.dtype)
    places = _places(layer)
    rows, width = layer.pooled
    windows = columns.reshape(len(places), layer.n_inputs, shape[1], rows * layer.pool[0], width * layer.pool[1])
    for window, (above, beside) in zip(windows, places, strict=True):
        found[:, :, above, beside] += window
    return found


def _largest(sums: Array, pool: tuple[int, int]) -> Array:
    """The maximum of each pooling window."""
    high, wide = pool
    found = sums[:, :, ::high, ::wide].copy()
    for i in range(high):
        for j in range(wide):
            if i or j:
                np.maximum(found, sums[:, :, i::high, j::wide], out=found)
    return found


def _unpooled(flow: Array, sums: Array, largest: Array, pool: tuple[int, int]) -> Array:
    """Slopes of the sums: those of the maxima where the maximum is, in the first of several equal places."""
    high, wide = pool
    found = np.empty_like(sums)
    waiting = flow.copy()
    for i in range(high):
        for j in range(wide):
            here = np.where(sums[:, :, i::high, j::wide] == largest, waiting, 0)
            found[:, :, i::high, j::wide] = here
            waiting[here != 0] = 0
    return found
