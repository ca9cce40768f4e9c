"""The interface of a layer: everything that the rest of the library uses of it, in one class.

A layer is one file. It defines its notation, its computation, its storage, its name and drawing in a report, and its
differentiable twin, and how it is learned; the rest of the library has no list of layers::

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
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from typing import Any, ClassVar, Literal, Protocol, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.hierarchy.operations import Operations
from striate.progress import Progress
from striate.stored import field

__all__ = [
    "LAYERS", "SHOWN", "LearnedStage", "Layer", "Maps", "Operations", "Shape", "Source", "Step", "register_layer",
]  # fmt: skip

Maps: TypeAlias = NDArray[np.float32]
"""The feature maps of an image inside a hierarchy, ``(height, width, n_maps)``.

The values of all maps at a pixel are adjacent in memory, so that filters and windows read long runs.
"""

Shape: TypeAlias = tuple[int, int, int]
"""``(n_maps, height, width)`` of one image's maps."""

Step: TypeAlias = Callable[[Maps, int], Maps]
"""A function of an image's maps and a number of threads that gives the next maps."""


SHOWN = 256
"""Patches that a learned stage keeps, to draw codes and reconstructions."""


class Source(Protocol):
    """The data that a layer learns from: the features of the layers below it, for a number of images.

    Attributes
    ----------
    number : int
        Of the learned layers up to this one: 1 for the first.
    name : str
        For phases of the progress and messages, such as "stage 1" or "path 2, stage 1".
    n_maps : int
    size : (int, int)
        Number of the maps that come in, and their height and width.
    n_patches : int
        How many patches were asked for.
    min_std : float
        Patches with a lower standard deviation are flat, for layers that leave them out.
    learner : object
        That of `learn_filters` for a filter bank; None for other layers.
    seed : int
        For everything that the layer draws.
    checkpoint : Checkpoint or None
    progress : Progress
    """

    number: int
    name: str
    n_patches: int
    min_std: float
    learner: Any
    seed: int
    checkpoint: Checkpoint | None
    progress: Progress

    @property
    def n_maps(self) -> int: ...  # noqa: D102

    @property
    def size(self) -> tuple[int, int]: ...  # noqa: D102

    def features(self, n_images: int) -> NDArray[np.float32]:
        """The maps of up to `n_images` images, evenly from all, fewer where they would take more than 256 MB.

        Returns
        -------
        float32 (n, n_maps, height, width)
        """
        ...

    def draw(self, side: int, n_patches: int, min_std: float) -> NDArray[np.float32]:
        """Patches of the maps, evenly over images, in random order; fewer where they would take more than 256 MB.

        Parameters
        ----------
        side : int
            In pixels.
        n_patches : int
        min_std : float
            Patches with a standard deviation that is not above this are left out.

        Returns
        -------
        float32 (n, n_maps · side · side)
            In the order (maps, height, width).

        Raises
        ------
        UsageError
            If all patches are flat.
        """
        ...


@dataclass
class LearnedStage:
    """A layer with what it learned.

    Attributes
    ----------
    bank : Layer
        With its filters, units or dictionary.
    learners : list of fitted estimators
        One, or one for each set of input maps of a sparse connection table; none where no estimator was fitted.
    patches : float32 (n, fan_in · height · width)
        Some of the first learner's patches, to draw codes and reconstructions.
    name : str
        "stage 1", or "path 2, stage 1"; `learn_filters` writes it.
    """

    bank: Layer
    learners: Sequence[Any]
    patches: NDArray[np.float32] = dataclass_field(repr=False)
    name: str = ""


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
    def is_learnable(self) -> bool:
        """Whether `learn_filters` learns it: by default whether its class overrides `learn`."""
        return type(self).learn is not Layer.learn

    def check_learnable(self, shape: Shape) -> None:  # noqa: B027
        """Raise UsageError if it cannot be learned from maps of this shape; the message continues its notation."""

    def learn(self, source: Source) -> LearnedStage:
        """Learn its parameters; layers with parameters that are learned override this.

        The same seed, machine and number of threads must give the same bits.

        Returns
        -------
        LearnedStage
            With a new layer; this one stays as it is.
        """
        raise UsageError(f"{self.notation} has nothing to learn")

    @property
    def hierarchies(self) -> Sequence[Any]:
        """The hierarchies inside it, each a `Hierarchy`, as those of `Paths`; none for other layers."""
        return ()

    def with_hierarchies(self, hierarchies: Sequence[Any]) -> Layer:
        """The same layer with other hierarchies inside it, as many as it has."""
        raise UsageError(f"{self.notation} has no hierarchies inside")

    @property
    def drawn_filters(self) -> NDArray[np.float32] | None:
        """Its filters or units, (n, n_inputs, height, width), to be drawn as images; None if there are none."""
        return None

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

    def with_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> Layer:
        """The same layer with other weights, of the names and shapes of `weights`: what gradient descent has found."""
        if weights:
            raise UsageError(f"{self.notation} cannot take other weights: its class has no with_weights")
        return self

    @property
    def decayed_weights(self) -> frozenset[str]:
        """The names of those weights that weight decay shrinks: of filters, and not of biases, gains and means."""
        return frozenset()

    @property
    def has_twin(self) -> bool:
        """Whether it has a differentiable twin; that of `Paths` computes paths without one by their kernels."""
        return type(self).twin is not Layer.twin

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
