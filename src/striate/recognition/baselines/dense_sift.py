"""Dense SIFT: histograms of gradients over 4×4 cells of every patch, on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, gaussian_filter1d

from striate.errors import UsageError

__all__ = ["DenseSIFT"]

_ORIENTATIONS = 8
_CELLS = 4  # a side
_LARGEST = 0.2  # of a normalized descriptor's entries, as Lowe cuts them
_SMOOTHING = 0.8  # pixels; with what a camera does, about Lowe's 1.6 at the scale of cells of 4 pixels


@dataclass(frozen=True)
class DenseSIFT:
    """SIFT descriptors, upright and of one size, on a grid.

    A stage like others: eight oriented gradients, rectified, pooled over cells, normalized.

    Parameters
    ----------
    size : int, default 16
        Side of a patch in pixels, a multiple of 4.
    step : int, default 8
        From one patch to the next: 8 is Lazebnik's, 6 Yang's.
    contrast : float, default 0.02
        Descriptors whose norm is below, for gradients of pictures of 0–1 averaged over a cell's pixels, are divided by
        it instead of by their norm: the noise of flat patches is not blown up.

    References
    ----------
    Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 60, 2004, section 6; Lazebnik, Schmid,
    Ponce, CVPR 2006, section 4.
    """

    size: int = 16
    step: int = 8
    contrast: float = 0.02

    def __post_init__(self) -> None:
        if self.size < _CELLS or self.size % _CELLS or self.step < 1:
            raise UsageError(
                f"SIFT needs a size that is a multiple of {_CELLS} and a step of at least 1, "
                f"not {self.size} and {self.step}"
            )

    def transform(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Descriptors of one picture.

        Parameters
        ----------
        image : float32 (height, width)
            Grey, 0–1.

        Returns
        -------
        float32 (n_rows, n_columns, 128)
            Patches in the middle of the picture, as many as fit; orientations innermost.
        """
        if image.ndim != 2 or min(image.shape) < self.size:
            raise UsageError(
                f"SIFT of {self.size}×{self.size} patches needs a grey picture of at least that size, "
                f"not an array of shape {image.shape}"
            )
        smooth = gaussian_filter1d(gaussian_filter1d(image, _SMOOTHING, axis=0), _SMOOTHING, axis=1)
        vertical, horizontal = np.gradient(smooth)
        oriented = np.empty((_ORIENTATIONS, *image.shape), np.float32)
        magnitude = np.hypot(vertical, horizontal)
        turn = (np.arctan2(vertical, horizontal) / (2 * np.pi) * _ORIENTATIONS) % _ORIENTATIONS
        for k in range(_ORIENTATIONS):
            distance = np.abs((turn - k + _ORIENTATIONS / 2) % _ORIENTATIONS - _ORIENTATIONS / 2)
            oriented[k] = magnitude * np.maximum(1 - distance, 0)
        # Each pixel counts for the cells around it by its distance: a triangle as wide as two cells.
        cell = self.size // _CELLS
        offsets = np.arange(2 * cell) - cell + 0.5
        triangle = np.maximum(1 - np.abs(offsets) / cell, 0).astype(np.float32)
        triangle /= triangle.sum()
        for axis in (1, 2):
            oriented = correlate1d(oriented, triangle, axis=axis, mode="constant")
        tops, lefts = (self._starts(length) for length in image.shape)
        # Of an even number of weights the middle is half a pixel before the position that they are summed at.
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

    def sample(self, pictures: Sequence[NDArray[np.float32]], n: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """About `n` descriptors, float32 (n, 128), as many of each grey picture (height, width) as there are."""
        share = -(-n // len(pictures))
        drawn = []
        for picture in pictures:
            descriptors = self.transform(picture).reshape(-1, _CELLS**2 * _ORIENTATIONS)
            drawn.append(descriptors[rng.permutation(len(descriptors))[:share]])
        return np.concatenate(drawn)

    def _starts(self, length: int) -> NDArray[np.int64]:
        n = (length - self.size) // self.step + 1
        return (length - self.size - (n - 1) * self.step) // 2 + self.step * np.arange(n)
