"""A hierarchy: a sequence of layers, run over batches of images."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.hierarchy.filter_bank import FilterBank
from striate.hierarchy.layer import LAYERS, Layer, Maps, Shape, Step
from striate.hierarchy.notation import format_notation, parse_notation
from striate.lazy import needs_torch
from striate.model_file import arrays_of, prefixed
from striate.parameters import Choice, plain
from striate.samples import check_finite
from striate.stored import ListOf, field, part
from striate.threads import n_threads, run_ranges

_MOST_NUMBERS = 1 << 28  # numbers in the maps of one image; 1 GB


class Hierarchy:
    """Filter bank → rectification → normalization → pooling, any number of times.

    It has a length and can be iterated over, layer by layer.

    Parameters
    ----------
    layers : sequence of layers, or str
        A string is the papers' notation, e.g. ``"64F9x9 - Rabs - N - PA10x10/5"``; `learn_filters` then learns its
        filters.

    Examples
    --------
    >>> hierarchy = Hierarchy("64F9x9 - Rabs - N - PA10x10/5 - 256F9x9:16 - Rabs - N - PA6x6/4")
    >>> hierarchy.output_shape((1, 143, 143))
    (256, 4, 4)
    """

    def __init__(self, layers: Sequence[Layer] | str) -> None:
        if isinstance(layers, str):
            self.layers: tuple[Layer, ...] = tuple(parse_notation(layers))
            return
        if not isinstance(layers, Iterable):
            raise UsageError(
                f"a hierarchy is made of layers, or of notation such as '64F9x9 - Rabs', not of {layers!r}"
            )
        self.layers = tuple(layers)
        for number, layer in enumerate(self.layers, 1):
            if not isinstance(layer, Layer):
                raise UsageError(
                    f"layer {number} of a hierarchy is {layer!r}, which is not a layer such as Pooling(...)"
                )

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __str__(self) -> str:
        return format_notation(self.layers)

    def __repr__(self) -> str:
        is_learned = self.is_learned and any(layer.drawn_as == "learned" for layer in self.layers)
        return f"Hierarchy({str(self)!r}{', learned' if is_learned else ''})"

    @property
    def stages(self) -> list[Hierarchy]:
        """The stages: each begins at a filter bank and ends before the next; none without filter banks."""
        starts = [i for i, layer in enumerate(self.layers) if isinstance(layer, FilterBank)]
        ends = [*starts[1:], len(self.layers)] if starts else []
        return [Hierarchy(self.layers[start:end]) for start, end in zip(starts, ends, strict=True)]

    @property
    def filter_banks(self) -> list[FilterBank]:
        """The filter banks, first stage first; also those of paths, path after path."""
        return [layer for layer in self.all_layers if isinstance(layer, FilterBank)]

    @property
    def all_layers(self) -> list[Layer]:
        """The layers, each followed by those of the hierarchies inside it, as in `Paths`."""
        found: list[Layer] = []
        for layer in self.layers:
            found.append(layer)
            for inner in layer.hierarchies:
                found += inner.all_layers
        return found

    @property
    def is_learned(self) -> bool:
        """Whether all layers have their filters or dictionary."""
        return all(layer.is_learned for layer in self.layers)

    def check_learnable(self, shape: Shape) -> None:
        """Raise UsageError if a layer cannot be learned from images of this shape (channels, height, width)."""
        for number, (layer, after) in enumerate(zip(self.layers, self.shapes(shape), strict=True), 1):
            try:
                layer.check_learnable(shape)
            except UsageError as error:
                raise UsageError(f"{layer.notation!r}, layer {number} of {len(self)}, {error}") from None
            shape = after

    def shapes(self, shape: Shape) -> list[Shape]:
        """``(n_maps, height, width)`` after every layer, for images of ``shape`` (channels, height, width).

        Raises
        ------
        UsageError
            For any other kind of shape, and when a layer cannot take its input or would make more than 1 GB of maps.
        """
        shape = _image_shape(shape)
        shapes = []
        for number, layer in enumerate(self.layers, 1):
            try:
                shape = layer.output_shape(shape)
            except UsageError as error:
                if len(self.layers) == 1:
                    raise
                message = str(error).removesuffix(".")
                raise UsageError(f"{message} (layer {number} of {len(self.layers)})") from None
            if math.prod(shape) > _MOST_NUMBERS:
                raise UsageError(
                    f"{layer.notation} (layer {number} of {len(self.layers)}) would make maps of "
                    f"{4e-9 * math.prod(shape):,.0f} GB of each image: take fewer maps, or pool before it"
                )
            shapes.append(shape)
        return shapes

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the features of an image of ``shape`` (channels, height, width)."""
        return self.shapes(shape)[-1] if self.layers else _image_shape(shape)

    def transform(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Features of a batch of images.

        Images are processed in parallel, one per thread; when there are fewer images than threads, the threads share
        the rows of each image. In addition to input and output, memory holds the maps of one image per thread. The
        result does not depend on the number of threads.

        Parameters
        ----------
        images : (n_images, channels, height, width)
            Real, finite numbers of any type and layout; computations use float32.

        Returns
        -------
        float32 (n_images, n_maps, new_height, new_width)

        Raises
        ------
        UsageError
            For anything else, and when a filter bank has no filters or an image is too small.
        """
        images = real_images(images)
        shapes = self.shapes(images.shape[1:])
        features = np.empty((len(images), *(shapes[-1] if shapes else images.shape[1:])), dtype=np.float32)
        if not len(images):
            return features
        steps = self.steps()
        threads = n_threads()
        alone = threads if len(images) < threads else 1

        def run(first: int, last: int) -> None:
            for number in range(first, last):
                maps = _maps_of(images[number], number)
                for step in steps:
                    maps = step(maps, alone)
                features[number] = maps.transpose(2, 0, 1)

        run_ranges(run, len(images), size=1, n_threads=1 if alone > 1 else threads)
        return features

    def to_torch(self) -> Any:
        """The same hierarchy as a torch module: ``torch.nn.Sequential``, with one module per layer.

        It maps images (n, channels, height, width) to features that agree with `transform` within 1e-4, passes
        gradients to images, filters, biases and gains, and moves to other devices. Needs the extra ``torch``.

        Raises
        ------
        UsageError
            When torch is not installed, or a filter bank has no filters yet.
        """
        with needs_torch("a twin in torch needs torch"):
            from striate.hierarchy._torch import twin_of
        return twin_of(self.layers)

    @property
    def has_twin(self) -> bool:
        """Whether `to_torch` can make its twin."""
        return all(layer.has_twin for layer in self.layers)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The arrays that gradient descent may change, as ``<layer>_<name>``; see `Layer.weights`."""
        return {
            f"{place}_{name}": values for place, layer in enumerate(self) for name, values in layer.weights().items()
        }

    def with_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> Hierarchy:
        """The same hierarchy with other weights, named as those of `weights`.

        Raises
        ------
        UsageError
            If a weight is missing, is not one of the hierarchy, or has another shape.
        """
        own = self.weights()
        if weights.keys() != own.keys():
            raise UsageError(f"the hierarchy has the weights {', '.join(own)}, and is given {', '.join(weights)}")
        for name, values in weights.items():
            if np.shape(values) != own[name].shape:
                raise UsageError(f"weights {name} have shape {np.shape(values)}; they must have {own[name].shape}")
        return Hierarchy([layer.with_weights(weights_of(place, weights)) for place, layer in enumerate(self)])

    @property
    def decayed_weights(self) -> frozenset[str]:
        """The names of those weights that weight decay shrinks, see `Layer.decayed_weights`."""
        return frozenset(f"{place}_{name}" for place, layer in enumerate(self) for name in layer.decayed_weights)

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays named ``<layer>.<name>`` and JSON for the model file.

        Raises
        ------
        UsageError
            For a layer whose class is not registered, which could not be loaded again.
        """
        arrays: dict[str, NDArray[Any]] = {}
        headers = []
        for number, layer in enumerate(self.layers):
            if LAYERS.get(getattr(layer, "kind", "")) is not type(layer):
                raise UsageError(
                    f"layer {number + 1}, {layer.notation}, is a {type(layer).__name__}, which a model file cannot "
                    f"hold: it holds {', '.join(kind.__name__ for kind in LAYERS.values())}, and those registered"
                )
            layer_arrays, layer_header = layer.to_state()
            arrays |= prefixed(str(number), layer_arrays)
            held = {name: plain(f"{layer.kind}.{name}", value) for name, value in layer_header.items()}
            headers.append({"kind": layer.kind, **held})
        return arrays, {"notation": str(self), "layers": headers}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Hierarchy:
        """The inverse of `to_state`."""
        layers = []
        for number, layer_header in enumerate(field(header, "layers", ListOf())):
            with part(f"layers.{number}"):
                kind = field(layer_header, "kind", Choice(*LAYERS))
                layers.append(LAYERS[kind].from_state(arrays_of(str(number), arrays), layer_header))
        return cls(layers)

    def steps(self) -> list[Step]:
        """The functions that run the layers, one for each group of layers that run together."""
        steps: list[Step] = []
        waiting = self.layers
        while waiting:
            step, n_included = waiting[0].as_step(waiting[1:])
            steps.append(step)
            waiting = waiting[1 + n_included :]
        return steps


def weights_of(place: int, weights: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of one layer, by its own names, from those of a hierarchy, see `Hierarchy.weights`."""
    start = f"{place}_"
    return {name.removeprefix(start): each for name, each in weights.items() if name.startswith(start)}


def _image_shape(shape: Any) -> Shape:
    """``(channels, height, width)`` as integers of Python."""
    try:
        sides = tuple(operator.index(length) for length in shape)
    except TypeError:
        raise UsageError(f"an image's shape is {shape!r}; it must be (channels, height, width), in integers") from None
    if len(sides) == 2:
        raise UsageError(
            f"an image's shape is {sides}, and (channels, height, width) is needed: for grey images write (1, *shape), "
            "and give images[:, np.newaxis] instead of images"
        )
    if len(sides) != 3 or min(sides) < 1:
        raise UsageError(f"an image's shape is {sides}; it must be (channels, height, width), each at least 1")
    return sides


def real_images(images: Any) -> NDArray[Any]:
    """Images as an array with four axes and a type of real numbers, without a copy."""
    try:
        images = np.asarray(images)
    except ValueError:
        raise UsageError("images must be one array: those of a list need one size") from None
    if images.ndim != 4:
        hint = ": give images[:, np.newaxis] where they are grey" if images.ndim == 3 else ""
        raise UsageError(
            f"images must be (n_images, channels, height, width), not an array of shape {images.shape}{hint}."
        )
    if images.dtype.kind not in "fiub":
        raise UsageError(f"images must be real numbers, not {images.dtype}")
    return images


def _maps_of(image: NDArray[Any], number: int) -> Maps:
    """One image as float32 maps."""
    with np.errstate(over="ignore"):  # checked just below
        maps = np.require(image.transpose(1, 2, 0), np.float32, ["C", "A", "W"])
    check_finite(maps[None], "images", first=number)
    return maps
