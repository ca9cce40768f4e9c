"""A hierarchy: layers in a row, run over batches of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.hierarchy._layer import Layer, Maps, Shape
from striate.hierarchy.filter_bank import FilterBank
from striate.hierarchy.normalization import LocalContrastNormalization
from striate.hierarchy.notation import format_notation, parse_notation
from striate.hierarchy.pooling import Pooling
from striate.hierarchy.rectification import Rectification
from striate.threads import map_ordered, n_threads, single_threaded_blas

# Floats in the largest maps of the images that one thread takes at a time: 8 MB, a share of the last cache.
BLOCK = 1 << 21
LAYERS: dict[str, type[Layer]] = {
    layer.kind: layer for layer in (FilterBank, Rectification, LocalContrastNormalization, Pooling)
}


class Hierarchy:
    """Filter bank → rectification → normalization → pooling, any number of times.

    An ordinary list of layers with a shape: iterate over it, slice it, add to it.

    Parameters
    ----------
    layers : sequence of layers, or str
        A string is the papers' notation, e.g. ``"64F9x9 - Rabs - N - PA10x10/5"``; its filter banks wait for
        `learn_filters`.

    Examples
    --------
    >>> hierarchy = Hierarchy("64F9x9 - Rabs - N - PA10x10/5 - 256F9x9:16 - Rabs - N - PA6x6/4")
    >>> hierarchy.output_shape((1, 143, 143))
    (256, 4, 4)
    """

    def __init__(self, layers: Sequence[Layer] | str) -> None:
        self.layers: tuple[Layer, ...] = tuple(parse_notation(layers) if isinstance(layers, str) else layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __str__(self) -> str:
        return format_notation(self.layers)

    def __repr__(self) -> str:
        return f"Hierarchy({str(self)!r})"

    @property
    def stages(self) -> list[Hierarchy]:
        """The stages: each begins at a filter bank and ends before the next."""
        starts = [i for i, layer in enumerate(self.layers) if isinstance(layer, FilterBank)]
        ends = [*starts[1:], len(self.layers)]
        return [Hierarchy(self.layers[start:end]) for start, end in zip(starts, ends, strict=True)]

    @property
    def filter_banks(self) -> list[FilterBank]:
        """The filter banks, first stage first."""
        return [layer for layer in self.layers if isinstance(layer, FilterBank)]

    def shapes(self, shape: Shape) -> list[Shape]:
        """``(n_maps, height, width)`` after every layer, for images of ``shape`` (channels, height, width)."""
        shapes = []
        for layer in self.layers:
            shape = layer.output_shape(shape)
            shapes.append(shape)
        return shapes

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the features of an image of ``shape`` (channels, height, width)."""
        return self.shapes(shape)[-1] if self.layers else shape

    def transform(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Features of a batch of images.

        Blocks of images go through all layers, one block a thread, so that memory is bounded by a few blocks
        beside input and output, and the result does not depend on the number of threads.

        Parameters
        ----------
        images : (n_images, channels, height, width), any float type

        Returns
        -------
        float32 (n_images, n_maps, new_height, new_width)
        """
        if images.ndim != 4:
            raise UsageError(
                f"images must be (n_images, channels, height, width), not an array of shape {images.shape}."
            )
        shapes = self.shapes(images.shape[1:])
        features = np.empty((len(images), *(shapes[-1] if shapes else images.shape[1:])), dtype=np.float32)
        if not len(images):
            return features
        largest = max(int(np.prod(shape)) for shape in (images.shape[1:], *shapes))
        block = max(1, min(32, BLOCK // largest))

        def run(start: int) -> None:
            maps: Maps = images[start : start + block].transpose(1, 2, 3, 0).astype(np.float32, order="C")
            for layer in self.layers:
                maps = layer.apply(maps)
            features[start : start + block] = maps.transpose(3, 0, 1, 2)

        starts = range(0, len(images), block)
        if len(starts) == 1:
            run(0)
        else:
            with single_threaded_blas():
                for _ in map_ordered(run, starts, n_threads=n_threads()):
                    pass
        return features

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays named ``<layer>.<name>`` and JSON for the model file."""
        arrays: dict[str, NDArray[Any]] = {}
        headers = []
        for number, layer in enumerate(self.layers):
            layer_arrays, layer_header = layer.to_state()
            arrays |= {f"{number}.{name}": array for name, array in layer_arrays.items()}
            headers.append({"kind": layer.kind, **layer_header})
        return arrays, {"notation": str(self), "layers": headers}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Hierarchy:
        """The inverse of `to_state`."""
        layers = []
        for number, layer_header in enumerate(header["layers"]):
            prefix = f"{number}."
            own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            layers.append(LAYERS[layer_header["kind"]].from_state(own, layer_header))
        return cls(layers)
