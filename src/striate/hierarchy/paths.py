"""Paths: several hierarchies side by side on the same maps, whose features are joined."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.hierarchy.hierarchy import Hierarchy, weights_of
from striate.hierarchy.layer import Layer, Maps, Operations, Shape, Step, register_layer
from striate.hierarchy.notation import split_outside_braces
from striate.hierarchy.standardize import Standardize
from striate.model_file import arrays_of, prefixed
from striate.stored import ListOf, Table, field, part

__all__ = ["Paths"]

_BAR = re.compile(r"\s*\|\s*")


@register_layer
@dataclass(frozen=True, eq=False)
class Paths(Layer):
    """Several hierarchies on the same maps; their features, each divided by its norm, are put side by side.

    A path sees what the others miss: colors beside edges of the luma, or patches of another size. Without the division,
    the path with the largest numbers would decide alone; all paths weigh equally after it. Features that are all
    0, as those of a blank image, stay 0. A path that ends with `Standardize` is not divided, since the norm of its
    features is 1 on average: images that differ more from the mean than others keep this difference.

    `learn_filters` learns each path on the same images, with seeds of its own.

    Parameters
    ----------
    paths : sequence of Hierarchy, or of str in the papers' notation
        At least one.

    Examples
    --------
    >>> from striate.hierarchy import Hierarchy
    >>> Hierarchy("{800WP6x6 - GA3 | GREY - LCN - 64F9x9 - Rabs - PA8x8/4}").output_shape((3, 32, 32))
    (16000, 1, 1)
    """

    paths: Sequence[Hierarchy | str]

    kind: ClassVar[str] = "paths"
    grammar: ClassVar[str] = r"\{(?P<inside>.*)\}"
    examples: ClassVar[str] = "{800WP6x6 - GA3 | GREY - LCN - 64F9x9 - Rabs - PA8x8/4} (paths, side by side)"

    def __post_init__(self) -> None:
        given: Any = self.paths
        if isinstance(given, str) or not isinstance(given, Iterable) or not (paths := list(given)):
            raise UsageError(f"Paths: paths is {given!r}; it must be hierarchies, at least one, or their notation")
        object.__setattr__(self, "paths", tuple(_hierarchy(path, number) for number, path in enumerate(paths, 1)))

    def __repr__(self) -> str:
        return f"Paths({', '.join(map(repr, self.hierarchies))})"

    @property
    def hierarchies(self) -> tuple[Hierarchy, ...]:
        """The paths."""
        return self.paths  # type: ignore[return-value]  # __post_init__ has parsed those given as text

    def with_hierarchies(self, hierarchies: Sequence[Hierarchy]) -> Paths:
        """See `Layer.with_hierarchies`."""
        return Paths(hierarchies)

    @property
    def notation(self) -> str:
        """E.g. ``{800WP6x6 - GA3 | GREY - 64F9x9 - Rabs - PA8x8/4}``."""
        return f"{{{' | '.join(map(str, self.hierarchies))}}}"

    @property
    def words(self) -> str:
        """Its name in a report."""
        n = len(self.hierarchies)
        return "one path" if n == 1 else f"{n} paths side by side"

    @property
    def drawn_as(self) -> Literal["fixed", "learned"]:  # type: ignore[override]
        """Learned, if a layer of a path is."""
        return "learned" if any(layer.drawn_as == "learned" for path in self.hierarchies for layer in path) else "fixed"

    @classmethod
    def from_notation(cls, match: re.Match[str]) -> Paths:
        """See `Layer.from_notation`."""
        texts = split_outside_braces(match["inside"].strip(), _BAR)
        paths = []
        for number, text in enumerate(texts, 1):
            try:
                paths.append(Hierarchy(text))
            except UsageError as error:
                raise UsageError(f"path {number} of {len(texts)}: {error}") from None
        return cls(paths)

    @property
    def is_learned(self) -> bool:
        """Whether all paths are."""
        return all(path.is_learned for path in self.hierarchies)

    @property
    def is_learnable(self) -> bool:
        """Whether `learn_filters` learns a layer of a path."""
        return any(layer.is_learnable for path in self.hierarchies for layer in path)

    @property
    def drawn_filters(self) -> NDArray[np.float32] | None:
        """Those of the first path that has some."""
        drawn = (layer.drawn_filters for path in self.hierarchies for layer in path)
        return next((filters for filters in drawn if filters is not None), None)

    def check_learnable(self, shape: Shape) -> None:
        """Raise UsageError if a path cannot be learned from maps of this shape."""
        for number, path in enumerate(self.hierarchies, 1):
            try:
                path.check_learnable(shape)
            except UsageError as error:
                raise UsageError(f"path {number} of {len(self.hierarchies)}: {error}") from None

    def output_shape(self, shape: Shape) -> Shape:
        """The features of all paths at one position."""
        n_features = 0
        for number, path in enumerate(self.hierarchies, 1):
            try:
                n_features += math.prod(path.output_shape(shape))
            except UsageError as error:
                raise UsageError(f"path {number} of {len(self.hierarchies)}: {error}") from None
        return (n_features, 1, 1)

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_maps) → (1, 1, n_features), path after path.

        The features of a path are in the order of `Hierarchy.transform`: map after map.
        """
        height, width, n_maps = maps.shape
        self.output_shape((n_maps, height, width))
        return self._run(self._steps(), np.require(maps, np.float32, ["C", "A"]), 1)

    def as_step(self, following: Sequence[Layer]) -> tuple[Step, int]:
        """The function that runs the steps of all paths."""
        steps = self._steps()
        return lambda maps, threads: self._run(steps, maps, threads), 0

    def columns(self, shape: Shape) -> list[slice]:
        """Where the features of each path are among all, for maps of this shape."""
        ends = np.cumsum([math.prod(path.output_shape(shape)) for path in self.hierarchies]).tolist()
        return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def _steps(self) -> list[tuple[list[Step], bool]]:
        """The steps of each path, and whether its features are divided by their norm."""
        return [(path.steps(), not _is_standardized(path)) for path in self.hierarchies]

    @staticmethod
    def _run(paths: Sequence[tuple[Sequence[Step], bool]], maps: Maps, threads: int) -> Maps:
        features = []
        for steps, divide in paths:
            made = maps
            for step in steps:
                made = step(made, threads)
            values = made.transpose(2, 0, 1).ravel()
            if divide:
                norm = np.sqrt(np.einsum("i,i", values, values, dtype=np.float64))
                values = values / np.float32(norm) if norm > np.finfo(np.float32).tiny else 0 * values
            features.append(values)
        return np.concatenate(features).reshape(1, 1, -1)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The weights of the paths that have a twin, as ``<path>_<layer>_<name>``."""
        return {f"{n}_{name}": each for n, path in self._refined() for name, each in path.weights().items()}

    def with_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> Paths:
        """See `Layer.with_weights`."""
        paths = list(self.hierarchies)
        for number, path in self._refined():
            paths[number] = path.with_weights(weights_of(number, weights))
        return Paths(paths)

    @property
    def decayed_weights(self) -> frozenset[str]:
        """Those of the layers of all paths."""
        return frozenset(f"{n}_{name}" for n, path in self._refined() for name in path.decayed_weights)

    @property
    def has_twin(self) -> bool:
        """Whether a path has one."""
        return bool(self._refined())

    def _refined(self) -> list[tuple[int, Hierarchy]]:
        """The numbers of the paths that have a twin, and these paths."""
        return [(number, path) for number, path in enumerate(self.hierarchies) if path.has_twin]

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`; paths with a layer that has no twin are computed by their kernels."""
        if not self.has_twin:
            raise UsageError(f"{self.notation} has no twin in torch, since none of its paths has one")
        joined = None
        for number, path in enumerate(self.hierarchies):
            if path.has_twin:
                made, own = maps, weights_of(number, weights)
                for place, layer in enumerate(path):
                    made = layer.twin(made, weights_of(place, own), operations)
            else:
                made = operations.computed(path.transform, maps)
            made = operations.flat_features(made) if _is_standardized(path) else operations.unit_features(made)
            joined = made if joined is None else operations.concatenate(joined, made)
        return joined

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays named ``<path>.<layer>.<name>`` and the headers of all paths."""
        arrays: dict[str, NDArray[Any]] = {}
        headers = []
        for number, path in enumerate(self.hierarchies):
            path_arrays, header = path.to_state()
            arrays |= prefixed(str(number), path_arrays)
            headers.append(header)
        return arrays, {"paths": headers}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Paths:
        """The inverse of `to_state`."""
        paths = []
        for number, path_header in enumerate(field(header, "paths", ListOf(Table()))):
            with part(f"paths.{number}"):
                paths.append(Hierarchy.from_state(arrays_of(str(number), arrays), path_header))
        return cls(paths)


def _is_standardized(path: Hierarchy) -> bool:
    return isinstance(path.layers[-1], Standardize)


def _hierarchy(path: Any, number: int) -> Hierarchy:
    try:
        found = path if isinstance(path, Hierarchy) else Hierarchy(path)
    except UsageError as error:
        raise UsageError(f"path {number} of Paths: {error}") from None
    if not len(found):
        raise UsageError(f"path {number} of Paths has no layers: give it at least one")
    return found
