"""Accelerated proximal steps for the code maps of a batch of images, pulled towards predicted maps.

For each image x with weights m of its pixels' errors, filters d and predicted maps t::

    E(z) = ½‖m ⊙ (x − Σₖ dₖ * zₖ)‖² + sparsity·Σ|z| + ½·prediction·‖z − t‖²

A step costs two convolutions. With the prediction term, E is strongly convex: the error falls by a constant factor in
each step, about 1 − √(prediction / L), where L is the curvature of the first term, in the hundreds for smooth filters.

References
----------
Beck, Teboulle, "A fast iterative shrinkage-thresholding algorithm for linear inverse problems", SIAM Journal on Imaging
Sciences 2009. Nesterov, *Introductory lectures on convex optimization*, 2004, section 2.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding._descent import Descent
from striate.coding.convolutional.windows import correlate, synthesize

__all__ = ["MapDescent"]


class MapDescent(Descent):
    """The code maps of a batch of images on their way to the minimum; the images' codes are the rows of `Descent`.

    Parameters
    ----------
    images : float32 or float64 (n_images, channels, height, width)
    filters : (n_maps, channels, filter_height, filter_width), of the same type
    sparsity : (n_maps,) or float
    curvature : float
        At least that of the first term along any maps.
    weights : float (channels, height, width) or (height, width), optional
        The squares of m.
    start : (n_images, n_maps, n_rows, n_columns)
    prediction : float
    target : (n_images, n_maps, n_rows, n_columns), optional
        With `prediction` only.
    """

    def __init__(
        self,
        images: NDArray[Any],
        filters: NDArray[Any],
        sparsity: float | NDArray[np.float64],
        *,
        curvature: float,
        start: NDArray[Any],
        weights: NDArray[Any] | None = None,
        prediction: float = 0.0,
        target: NDArray[Any] | None = None,
    ) -> None:
        dtype = images.dtype
        self.filters, self.weights, self.shape = filters, weights, start.shape
        linear = correlate(images if weights is None else images * weights, filters)
        if target is not None:
            linear += dtype.type(prediction) * target
        lipschitz = curvature + prediction
        step = 1.0 / lipschitz if lipschitz > 0 else 1.0
        root = np.sqrt(prediction * step)
        n_images, n_maps, n_rows, n_columns = start.shape
        per_map = np.broadcast_to(np.asarray(sparsity, np.float64), n_maps)
        # The largest is a factor of all images, what is relative to it one of each map; infinity excludes a map.
        largest = float(per_map[np.isfinite(per_map)].max(initial=0.0)) or 1.0
        relative = per_map / largest
        super().__init__(
            start.reshape(n_images, -1), linear.reshape(n_images, -1), filters, step=step,
            thresholds=np.full(n_images, step * largest, dtype),
            weights=np.repeat(relative, n_rows * n_columns).astype(dtype), pull=prediction,
            momentum_limit=(1.0 - root) / (1.0 + root),
        )  # fmt: skip

    def _multiply(self, points: NDArray[Any], result: NDArray[Any]) -> None:
        seen = synthesize(points.reshape(len(points), *self.shape[1:]), self.filters)
        if self.weights is not None:
            seen *= self.weights
        result[:] = correlate(seen, self.filters).reshape(points.shape)

    @property
    def maps(self) -> NDArray[Any]:
        """The present maps, (n_images, n_maps, n_rows, n_columns)."""
        return self.codes.reshape(len(self.codes), *self.shape[1:])
