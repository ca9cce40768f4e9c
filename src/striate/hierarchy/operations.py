"""What a layer's differentiable twin is written with, whatever computes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Operations"]


class Operations(Protocol):
    """Operations for differentiable twins, in addition to arithmetic, `abs` and powers.

    They hide the order of axes from the twins. Maps are those of a batch of images.
    """

    def correlate(self, maps: Any, filters: Any, bias: Any, table: NDArray[np.int64] | None, *, stride: int = 1) -> Any:
        """Correlate maps with filters where they fit, and add a bias per output map; see `FilterBank`."""
        ...

    def per_map(self, values: Any) -> Any:
        """One number per map, (n_maps,), for arithmetic with maps."""
        ...

    def mirror(self, maps: Any) -> Any:
        """Left and right exchanged."""
        ...

    def per_feature(self, values: Any) -> Any:
        """One number per map and position, (n_maps, height, width), for arithmetic with maps."""
        ...

    def constant(self, values: NDArray[Any], maps: Any) -> Any:
        """An array that is not learned, for arithmetic with weights, of the type of `maps` and on their device."""
        ...

    def computed(self, transform: Callable[[NDArray[np.float32]], NDArray[np.float32]], maps: Any) -> Any:
        """Features that a function of arrays (n, n_maps, height, width) computes, without derivatives."""
        ...

    def pad(self, maps: Any, width: int) -> Any:
        """Zeros on all four sides."""
        ...

    def tanh(self, maps: Any) -> Any:
        """The hyperbolic tangent."""
        ...

    def soft_threshold(self, maps: Any, threshold: Any) -> Any:
        """``sign(a)·max(|a| − threshold, 0)``."""
        ...

    def smooth_threshold(self, maps: Any, threshold: Any, beta: Any) -> Any:
        """``sign(a)·(log(exp(β·threshold) + exp(β|a|) − 1)/β − threshold)``; see `FilterBank`."""
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

    def normalize_contrast(self, maps: Any, size: int, sigma: float) -> Any:
        """Local contrast normalization with a Gaussian window of ``size`` pixels; see `LocalContrastNormalization`."""
        ...

    def mean_over_image(self, maps: Any) -> Any:
        """The mean of each map."""
        ...

    def concatenate(self, first: Any, second: Any) -> Any:
        """All maps of the first, then all maps of the second."""
        ...

    def mix(self, maps: Any, weights: Callable[[int], Sequence[float]]) -> Any:
        """One map: the sum of the first maps times these weights, which depend on the number of maps."""
        ...

    def flat_features(self, maps: Any) -> Any:
        """All values of an image at one position, map after map."""
        ...

    def unit_features(self, maps: Any) -> Any:
        """All values of an image at one position, map after map, divided by their norm, as in `Paths`."""
        ...

    def pool_cells(self, maps: Any, how: Literal["average", "max"], cells: int) -> Any:
        """Average or maximum over the cells of a grid, as in `GridPooling`."""
        ...

    def pool(self, maps: Any, how: Literal["average", "max"], size: int, stride: int) -> Any:
        """Average or maximum over windows, as in `Pooling`."""
        ...
