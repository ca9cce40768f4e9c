"""The mean of the features of an image and of its mirror image (``MIRROR{...}``)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.hierarchy.hierarchy import Hierarchy, weights_of
from striate.hierarchy.layer import Layer, Maps, Operations, Shape, Step, register_layer
from striate.stored import Table, field, part

__all__ = ["Mirrored"]


@register_layer
@dataclass(frozen=True, eq=False)
class Mirrored(Layer):
    """A hierarchy whose features are those of the maps and of the mirrored maps, averaged.

    For a linear classifier this is the same as to learn from both images and to average the logits of both, with half
    the training samples (Chatfield et al. 2014 for mirrored copies). Left and right must not matter for the classes.

    Parameters
    ----------
    inside : Hierarchy, or str in the papers' notation
    """

    inside: Hierarchy | str

    kind: ClassVar[str] = "mirrored"
    grammar: ClassVar[str] = r"MIRROR\{(?P<inside>.*)\}"
    examples: ClassVar[str] = "MIRROR{64F9x9 - Rabs - PA8x8/4} (the mean over an image and its mirror image)"

    def __post_init__(self) -> None:
        made = self.inside if isinstance(self.inside, Hierarchy) else Hierarchy(self.inside)
        if not len(made):
            raise UsageError("MIRROR{} has no layers inside: give it at least one")
        object.__setattr__(self, "inside", made)

    def __repr__(self) -> str:
        return f"Mirrored({self.hierarchy!r})"

    @property
    def hierarchy(self) -> Hierarchy:
        """What is inside."""
        return self.inside  # type: ignore[return-value]  # __post_init__ has parsed what was given as text

    @property
    def hierarchies(self) -> tuple[Hierarchy, ...]:
        """What is inside, alone."""
        return (self.hierarchy,)

    def with_hierarchies(self, hierarchies: Sequence[Hierarchy]) -> Mirrored:
        """See `Layer.with_hierarchies`."""
        (inside,) = hierarchies
        return Mirrored(inside)

    @property
    def notation(self) -> str:
        """E.g. ``MIRROR{64F9x9 - Rabs - PA8x8/4}``."""
        return f"MIRROR{{{self.hierarchy}}}"

    @property
    def words(self) -> str:
        """Its name in a report."""
        return f"mean over the image and its mirror image: {', '.join(layer.words for layer in self.hierarchy)}"

    @property
    def drawn_as(self) -> Literal["fixed", "learned"]:  # type: ignore[override]
        """Learned, if a layer inside is."""
        return "learned" if any(layer.drawn_as == "learned" for layer in self.hierarchy) else "fixed"

    @classmethod
    def from_notation(cls, match: re.Match[str]) -> Mirrored:
        """See `Layer.from_notation`."""
        return cls(match["inside"].strip())

    @property
    def is_learned(self) -> bool:
        """Whether all layers inside are."""
        return self.hierarchy.is_learned

    @property
    def is_learnable(self) -> bool:
        """Whether `learn_filters` learns a layer inside."""
        return any(layer.is_learnable for layer in self.hierarchy)

    @property
    def drawn_filters(self) -> NDArray[np.float32] | None:
        """Those of the first layer inside that has some."""
        drawn = (layer.drawn_filters for layer in self.hierarchy)
        return next((filters for filters in drawn if filters is not None), None)

    def check_learnable(self, shape: Shape) -> None:
        """Raise UsageError if a layer inside cannot be learned from maps of this shape."""
        self.hierarchy.check_learnable(shape)

    def output_shape(self, shape: Shape) -> Shape:
        """That of the hierarchy inside."""
        return self.hierarchy.output_shape(shape)

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_maps)."""
        height, width, n_maps = maps.shape
        self.output_shape((n_maps, height, width))
        return self._run(self.hierarchy.steps(), np.require(maps, np.float32, ["C", "A"]), 1)

    def as_step(self, following: Sequence[Layer]) -> tuple[Step, int]:
        """The function that runs the steps inside twice."""
        steps = self.hierarchy.steps()
        return lambda maps, threads: self._run(steps, maps, threads), 0

    @staticmethod
    def _run(steps: Sequence[Step], maps: Maps, threads: int) -> Maps:
        both = []
        for made in (maps, np.ascontiguousarray(maps[:, ::-1])):
            for step in steps:
                made = step(made, threads)
            both.append(made)
        return np.ascontiguousarray((both[0] + both[1]) * np.float32(0.5))

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The weights of all layers inside, as ``<layer>_<name>``."""
        return self.hierarchy.weights()

    def with_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> Mirrored:
        """See `Layer.with_weights`."""
        return Mirrored(self.hierarchy.with_weights(weights))

    @property
    def decayed_weights(self) -> frozenset[str]:
        """Those of the layers inside."""
        return self.hierarchy.decayed_weights

    @property
    def has_twin(self) -> bool:
        """Whether all layers inside have one."""
        return self.hierarchy.has_twin

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`."""
        both = []
        for made in (maps, operations.mirror(maps)):
            for place, layer in enumerate(self.hierarchy):
                made = layer.twin(made, weights_of(place, weights), operations)
            both.append(made)
        return 0.5 * (both[0] + both[1])

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The arrays and the header of the hierarchy inside."""
        arrays, header = self.hierarchy.to_state()
        return arrays, {"inside": header}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Mirrored:
        """The inverse of `to_state`."""
        inside = field(header, "inside", Table())
        with part("inside"):
            return cls(Hierarchy.from_state(arrays, inside))
