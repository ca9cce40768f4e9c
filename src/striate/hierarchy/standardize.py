"""Each feature without its mean and divided by its deviation (``Z``), which are learned from images without labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.hierarchy.layer import Layer, LearnedStage, Maps, Operations, Shape, Source, register_layer
from striate.stored import array

__all__ = ["Standardize"]

_IMAGES = 2000  # whose features give means and deviations
_FLOOR = 0.05  # of the root mean square of all deviations: rarer features are not enlarged further


@register_layer
@dataclass(frozen=True, eq=False)
class Standardize(Layer):
    """Features minus their means, divided by their deviations over the images that the filters are learned from.

    A classifier that standardizes features by its labeled samples has poor estimates of their deviations where labels
    are few; here all images count. It is the last layer of a hierarchy, or of one of several `Paths`, which then weigh
    equally: the features of an image have a norm of about 1.

    Parameters
    ----------
    mean, factor : float32 (n_maps, height, width), optional
        Of each feature, and what its difference from the mean is multiplied by: 1 / (deviation · √n_features). The
        deviation is that over 2,000 images, at least a twentieth of the root mean square of all deviations; the factor
        is 0 where all features are constant. `learn_filters` finds them.
    """

    mean: NDArray[np.float32] | None = None
    factor: NDArray[np.float32] | None = None

    kind: ClassVar[str] = "standardize"
    grammar: ClassVar[str] = "Z"
    examples: ClassVar[str] = "Z"
    notation: ClassVar[str] = "Z"

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.factor is None):
            raise UsageError("Standardize: mean and factor belong together; give both, or neither")
        if self.mean is None or self.factor is None:
            return
        for name, values in (("mean", self.mean), ("factor", self.factor)):
            made = np.asarray(values, np.float32)
            if made.ndim != 3 or not made.size or not np.isfinite(made).all():
                raise UsageError(
                    f"Standardize: {name} of shape {made.shape} must be finite numbers (n_maps, height, width)"
                )
            object.__setattr__(self, name, made)
        if self.mean.shape != self.factor.shape:
            raise UsageError(
                f"Standardize: mean of shape {self.mean.shape} and factor of {self.factor.shape} do not fit"
            )

    def __repr__(self) -> str:
        return "Standardize()" if self.mean is None else f"Standardize(of {self.mean.size:,} features)"

    @property
    def words(self) -> str:
        """Its name in a report."""
        return "standardized features"

    @property
    def is_learned(self) -> bool:
        """Whether it has means and deviations."""
        return self.mean is not None

    def output_shape(self, shape: Shape) -> Shape:
        """Unchanged."""
        if self.mean is not None and self.mean.shape != shape:
            raise UsageError(f"Z was learned for features of shape {self.mean.shape}, and gets {shape}")
        return shape

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_maps)."""
        height, width, n_maps = maps.shape
        if self.mean is None or self.factor is None:
            raise UsageError("Z has no means and deviations yet: learn_filters finds them")
        self.output_shape((n_maps, height, width))
        return (maps - self.mean.transpose(1, 2, 0)) * self.factor.transpose(1, 2, 0)

    def learn(self, source: Source) -> LearnedStage:
        """Means and deviations over images, see `Layer.learn`."""
        features = source.features(_IMAGES)
        mean = features.mean(axis=0, dtype=np.float64)
        deviations = features.std(axis=0, dtype=np.float64)
        floor = _FLOOR * np.sqrt(np.square(deviations).mean())
        scale = np.maximum(deviations, floor) * np.sqrt(deviations.size)
        factor = np.divide(1, scale, out=np.zeros_like(scale), where=scale > np.finfo(np.float32).tiny)
        layer = replace(self, mean=mean.astype(np.float32), factor=factor.astype(np.float32))
        return LearnedStage(layer, [], np.empty((0, 1), np.float32))

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Means and factors."""
        if self.mean is None or self.factor is None:
            return {}, {}
        return {"mean": self.mean, "factor": self.factor}, {}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Standardize:
        """The inverse of `to_state`."""
        if "mean" not in arrays and "factor" not in arrays:
            return cls()
        return cls(array(arrays, "mean", (None, None, None)), array(arrays, "factor", (None, None, None)))

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Means and factors."""
        if self.mean is None or self.factor is None:
            raise UsageError("Z has no means and deviations yet: learn_filters finds them")
        return {"mean": self.mean, "factor": self.factor}

    def with_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> Standardize:
        """See `Layer.with_weights`."""
        return replace(self, **weights)

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`."""
        return (maps - operations.per_feature(weights["mean"])) * operations.per_feature(weights["factor"])
