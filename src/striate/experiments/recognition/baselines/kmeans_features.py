"""Features of Coates et al.: how much closer than average a whitened patch is to each K-means center."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from striate.errors import UsageError
from striate.images import sample_patches
from striate.randomness import RandomState, generator_from

__all__ = ["KMeansFeatures"]

_FOR_CENTERS = 100_000  # patches
# Added to the variance of a patch (of pixels of 0–1) and to the eigenvalues of normalized patches: 10 of 255² and 0.1.
_NOISE, _WHITENING = 10 / 255**2, 0.1


class KMeansFeatures(BaseEstimator):
    """Triangle activations of K-means centers of whitened patches, averaged over a grid of cells.

    Parameters
    ----------
    n_centers : int, default 1600
    size : int, default 6
        Pixels per side of a patch.
    step : int, default 2
        Pixels from one patch to the next.
    n_cells : int, default 4
        Cells per side of the grid. Coates et al. average over quadrants (2) of images of 32×32 pixels.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    centers_ : float32 (n_centers, size²)
    mean_, whitening_ : float32 (size²,) and (size², size²)

    References
    ----------
    Coates, Lee, Ng, "An analysis of single-layer networks in unsupervised feature learning", AISTATS 2011.
    """

    def __init__(
        self,
        n_centers: int = 1600,
        *,
        size: int = 6,
        step: int = 2,
        n_cells: int = 4,
        random_state: RandomState = None,
    ) -> None:
        self.n_centers = n_centers
        self.size = size
        self.step = step
        self.n_cells = n_cells
        self.random_state = random_state

    def fit(self, images: NDArray[np.float32], y: object = None) -> Self:
        """Learn the whitening and the centers from images (n, 1, height, width), 0–1, without labels."""
        from sklearn.cluster import MiniBatchKMeans

        rng = generator_from(self.random_state)
        patches = sample_patches(images, _FOR_CENTERS, self.size, random_state=rng)
        if len(patches) < self.n_centers:
            raise UsageError(f"{len(patches)} patches are too few for {self.n_centers} centers: give more images")
        patches = _normalized(patches)
        self.mean_ = patches.mean(axis=0)
        variances, axes = np.linalg.eigh(np.cov(patches, rowvar=False).astype(np.float64))
        self.whitening_ = ((axes / np.sqrt(np.maximum(variances, 0) + _WHITENING)) @ axes.T).astype(np.float32)
        means = MiniBatchKMeans(
            self.n_centers, batch_size=4096, n_init=1, max_iter=50, random_state=int(rng.integers(2**31))
        ).fit((patches - self.mean_) @ self.whitening_)
        self.centers_ = means.cluster_centers_.astype(np.float32)
        return self

    def transform_one(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the features of one image (height, width), 0–1: float32 (n_cells² · n_centers,)."""
        check_is_fitted(self)
        if min(image.shape) < self.size + self.step * (self.n_cells - 1):
            raise UsageError(f"an image of {image.shape} has too few patches of {self.size} for {self.n_cells} cells")
        windows = np.lib.stride_tricks.sliding_window_view(image, (self.size, self.size))[:: self.step, :: self.step]
        height, width = windows.shape[:2]
        patches = (_normalized(windows.reshape(height * width, -1)) - self.mean_) @ self.whitening_
        squares = np.square(patches).sum(axis=1, keepdims=True) + np.square(self.centers_).sum(axis=1)
        distances = np.sqrt(np.maximum(squares - 2 * patches @ self.centers_.T, 0))
        active = np.maximum(distances.mean(axis=1, keepdims=True) - distances, 0).reshape(height, width, -1)
        rows, columns = (np.arange(n) * self.n_cells // n for n in (height, width))
        starts = [np.searchsorted(cells, np.arange(self.n_cells)) for cells in (rows, columns)]
        sums = np.add.reduceat(np.add.reduceat(active, starts[0], axis=0), starts[1], axis=1)
        counts = np.bincount(rows)[:, None, None] * np.bincount(columns)[None, :, None]
        return np.asarray(sums / counts, np.float32).ravel()


def _normalized(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    centered = patches - patches.mean(axis=1, keepdims=True)
    return np.asarray(centered / np.sqrt(centered.var(axis=1, keepdims=True) + _NOISE), np.float32)
