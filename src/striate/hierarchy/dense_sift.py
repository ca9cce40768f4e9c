"""Dense SIFT: histograms of gradients over 4×4 cells of every patch, on a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.hierarchy._checks import LARGEST_SIDE, check_layer, window_positions
from striate.hierarchy.layer import Layer, Maps, Shape, register_layer
from striate.parameters import Integer, Real

__all__ = ["DenseSIFT"]

_ORIENTATIONS = 8
_CELLS = 4  # per side
_LARGEST = 0.2  # entries of a normalized descriptor are cut at this value, as in Lowe
_SMOOTHING = 0.8  # pixels; together with the blur of a camera, about Lowe's 1.6 for cells of 4 pixels

_RULES = {
    "size": Integer(low=_CELLS, high=LARGEST_SIDE),
    "step": Integer(low=1, high=LARGEST_SIDE),
    "contrast": Real(low=1e-9, high=1e9),
}


@register_layer
@dataclass(frozen=True)
class DenseSIFT(Layer):
    """SIFT descriptors of one size and orientation on a grid: 128 maps.

    It resembles a stage without learning: eight oriented gradients are rectified, pooled over cells and normalized.

    Parameters
    ----------
    size : int, default 16
        Side of a patch in pixels, a multiple of 4.
    step : int, default 8
        Pixels from one patch to the next: Lazebnik et al. use 8, Yang et al. 6.
    contrast : float, default 0.02
        Descriptors with a smaller norm (for images of 0–1, with gradients averaged over a cell) are divided by this
        value instead of by their norm, so that the noise of flat patches is not amplified.

    References
    ----------
    Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 60, 2004, section 6; Lazebnik, Schmid,
    Ponce, CVPR 2006, section 4.
    """

    size: int = 16
    step: int = 8
    contrast: float = 0.02
    kind: ClassVar[str] = "dense_sift"
    grammar: ClassVar[str] = r"SIFT(?P<size>[0-9]+)x(?P=size)/(?P<step>[0-9]+)"
    examples: ClassVar[str] = "SIFT16x16/6"

    def __post_init__(self) -> None:
        check_layer(self, _RULES)
        if self.size % _CELLS:
            raise UsageError(f"DenseSIFT: size is {self.size}; it must be a multiple of {_CELLS}, such as 16")

    @property
    def notation(self) -> str:
        """E.g. ``SIFT16x16/6``."""
        return f"SIFT{self.size}x{self.size}/{self.step}"

    @property
    def words(self) -> str:
        """Its name in a report."""
        return f"SIFT of {self.size}×{self.size}, every {self.step}"

    @property
    def spacing(self) -> int:
        """The step."""
        return self.step

    def output_shape(self, shape: Shape) -> Shape:
        """A descriptor of 128 numbers per patch."""
        n_maps, height, width = shape
        if n_maps != 1:
            raise UsageError(f"{self.notation} is for grey images, but {n_maps} maps come in.")
        rows, columns = (window_positions(length, self.size, self.step, self.notation) for length in (height, width))
        return (_ORIENTATIONS * _CELLS**2, rows, columns)

    def apply(self, maps: Maps) -> Maps:
        """Descriptors of a grey image of 0–1.

        Parameters
        ----------
        maps : float32 (height, width, 1)

        Returns
        -------
        float32 (n_rows, n_columns, 128)
            The grid has all patches that fit and is centered in the image; orientations are innermost.
        """
        from scipy.ndimage import correlate1d, gaussian_filter1d

        height, width, n_maps = maps.shape
        self.output_shape((n_maps, height, width))
        image = maps[..., 0]
        smooth = gaussian_filter1d(gaussian_filter1d(image, _SMOOTHING, axis=0), _SMOOTHING, axis=1)
        vertical, horizontal = np.gradient(smooth)
        oriented = np.empty((_ORIENTATIONS, *image.shape), np.float32)
        magnitude = np.hypot(vertical, horizontal)
        turn = (np.arctan2(vertical, horizontal) / (2 * np.pi) * _ORIENTATIONS) % _ORIENTATIONS
        for k in range(_ORIENTATIONS):
            distance = np.abs((turn - k + _ORIENTATIONS / 2) % _ORIENTATIONS - _ORIENTATIONS / 2)
            oriented[k] = magnitude * np.maximum(1 - distance, 0)
        # Each pixel contributes to the cells around it by distance, with a triangle of the width of two cells.
        cell = self.size // _CELLS
        offsets = np.arange(2 * cell) - cell + 0.5
        triangle = np.maximum(1 - np.abs(offsets) / cell, 0).astype(np.float32)
        triangle /= triangle.sum()
        for axis in (1, 2):
            oriented = correlate1d(oriented, triangle, axis=axis, mode="constant")
        tops, lefts = (self._starts(length) for length in image.shape)
        # With an even number of weights, their center is half a pixel before the position of the sum.
        centers = cell // 2 + cell * np.arange(_CELLS)
        rows = (tops[:, None] + centers).ravel()
        columns = (lefts[:, None] + centers).ravel()
        found = oriented[:, rows][:, :, columns].reshape(_ORIENTATIONS, len(tops), _CELLS, len(lefts), _CELLS)
        descriptors = found.transpose(1, 3, 2, 4, 0).reshape(len(tops), len(lefts), -1)
        norms = np.linalg.norm(descriptors, axis=2, keepdims=True)
        descriptors = np.minimum(descriptors / np.maximum(norms, self.contrast), _LARGEST)
        clear = norms >= self.contrast
        norms = np.linalg.norm(descriptors, axis=2, keepdims=True)
        return np.where(clear, descriptors / np.maximum(norms, 1e-12), descriptors).astype(np.float32)

    def _starts(self, length: int) -> NDArray[np.int64]:
        n = window_positions(length, self.size, self.step, self.notation)
        return (length - self.size - (n - 1) * self.step) // 2 + self.step * np.arange(n)
