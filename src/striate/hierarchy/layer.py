"""The interface of a layer: everything that the rest of the library uses of it, in one class.

A layer is one file. It defines its notation, its computation, its storage, its name and drawing in a report, and its
differentiable twin; the rest of the library has no list of layers::

    @register_layer
    @dataclass(frozen=True)
    class Flip(Layer):
        kind = "flip"              # its name in a model file
        grammar = "FLIP"           # a regular expression of its notation
        examples = "FLIP"          # notation that error messages show
        notation = "FLIP"

        def output_shape(self, shape):
            return shape

        def apply(self, maps):
            return maps[:, ::-1]

Registration is an explicit decorator and not a hook on subclassing: a subclass for an experiment can be used in a
hierarchy, but does not silently define a notation or a kind of layer in model files.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Literal, Protocol, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.stored import field

__all__ = ["LAYERS", "Layer", "Maps", "Operations", "Shape", "Step", "register_layer"]

Maps: TypeAlias = NDArray[np.float32]
"""The feature maps of an image inside a hierarchy, ``(height, width, n_maps)``.

The values of all maps at a pixel are adjacent in memory, so that filters and windows read long runs.
"""

Shape: TypeAlias = tuple[int, int, int]
"""``(n_maps, height, width)`` of one image's maps."""

Step: TypeAlias = Callable[[Maps, int], Maps]
"""A function of an image's maps and a number of threads that gives the next maps."""


class Operations(Protocol):
    """Operations for differentiable twins, in addition to arithmetic, `abs` and powers.

    They hide the order of axes from the twins. Maps are those of a batch of images.
    """

    def correlate(self, maps: Any, filters: Any, bias: Any, table: NDArray[np.int64] | None) -> Any:
        """Correlate maps with filters where they fit, and add a bias per output map; see `FilterBank`."""
        ...

    def per_map(self, values: Any) -> Any:
        """One number per map, (n_maps,), for arithmetic with maps."""
        ...

    def tanh(self, maps: Any) -> Any:
        """The hyperbolic tangent."""
        ...

    def soft_threshold(self, maps: Any, threshold: Any) -> Any:
        """``sign(a)·max(|a| − threshold, 0)``."""
        ...

    def root(self, maps: Any) -> Any:
        """The square root, with a finite derivative at 0."""
        ...

    def maximum(self, first: Any, second: Any) -> Any:
        """The larger of two."""
        ...

    def local_mean(self, maps: Any, size: int, sigma: float) -> Any:
        """The mean over all maps in a Gaussian window of ``size`` pixels: one map, broadcast over the others."""
        ...

    def mean_over_image(self, maps: Any) -> Any:
        """The mean of each map."""
        ...

    def pool(self, maps: Any, how: Literal["average", "max"], size: int, stride: int) -> Any:
        """Average or maximum over windows, as in `Pooling`."""
        ...


class Layer(ABC):
    """One step of a hierarchy: a frozen dataclass with NumPy parameters, and its computation.

    A subclass must have `notation`, `output_shape` and `apply`; one that is registered also `kind`, `grammar` and
    `examples`. The other methods have defaults for layers whose parameters are numbers and words.

    Attributes
    ----------
    kind : str
        Its name in a model file.
    grammar : str
        A regular expression that matches the whole of its notation, see `from_notation`.
    examples : str
        Examples of its notation, for error messages.
    drawn_as : "fixed" or "learned"
        Its color in a drawing: whether it has parameters that are learned from images.
    """

    kind: ClassVar[str]
    grammar: ClassVar[str]
    examples: ClassVar[str]
    drawn_as: ClassVar[Literal["fixed", "learned"]] = "fixed"

    @property
    @abstractmethod
    def notation(self) -> str:
        """The layer in the papers' notation."""

    @classmethod
    def from_notation(cls, match: re.Match[str]) -> Self:
        """The layer for a match of `grammar`: named groups that matched are parameters, as integers."""
        return cls(**{name: int(text) for name, text in match.groupdict().items() if text is not None})

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Shape of an image's maps after this layer; UsageError if they are too small for it."""

    @abstractmethod
    def apply(self, maps: Maps) -> Maps:
        """The layer's output for the maps of one image, ``(height, width, n_maps)``."""

    def as_step(self, following: Sequence[Layer]) -> tuple[Step, int]:
        """The function that runs this layer in a hierarchy, and the number of following layers that it includes.

        Layers whose kernels also compute the next layers override this.
        """
        return lambda maps, threads: np.ascontiguousarray(self.apply(maps)), 0

    @property
    def is_learned(self) -> bool:
        """Whether the layer has all of its parameters."""
        return True

    @property
    def spacing(self) -> int:
        """Distance of neighboring output positions, in positions of the input."""
        return 1

    @property
    def words(self) -> str:
        """Its name in a report."""
        return self.notation

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON for the model file; by default all parameters as JSON."""
        return {}, {each.name: getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`."""
        return cls(**{each.name: field(header, each.name) for each in fields(cls)})  # type: ignore[arg-type]

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The arrays that gradient descent may change, by name; UsageError if they are not learned yet."""
        return {}

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """The same as `apply`, differentiable, for the maps of a batch of images.

        Parameters
        ----------
        maps : torch.Tensor
        weights : dict of str to torch.Tensor
            Those of `weights`, possibly changed by training.
        operations : Operations

        Returns
        -------
        torch.Tensor
        """
        raise UsageError(f"{self.notation} has no twin in torch")


LAYERS: dict[str, type[Layer]] = {}
"""The registered layers by their kind."""

_Class = TypeVar("_Class", bound=type[Layer])


def register_layer(layer: _Class) -> _Class:
    """Register a layer's notation and kind: a decorator of its class.

    A class that is defined again, for example by a notebook cell that runs twice, replaces itself.

    Raises
    ------
    UsageError
        If the class does not define its kind, grammar and examples, or another layer has that kind or grammar.
    """
    for name in ("kind", "grammar", "examples"):
        if not isinstance(getattr(layer, name, None), str):
            raise UsageError(f"{layer.__name__} has no {name}: a layer that is registered states it as text")
    for other in LAYERS.values():
        is_same = (other.__module__, other.__qualname__) == (layer.__module__, layer.__qualname__)
        if not is_same and (other.kind == layer.kind or other.grammar == layer.grammar):
            raise UsageError(
                f"{layer.__name__} has the kind {layer.kind!r} and the grammar {layer.grammar!r}, of which "
                f"{other.__name__} has one already: give it its own"
            )
    LAYERS[layer.kind] = layer
    return layer
