"""Sparse codes of SIFT, the largest of each cell of a spatial pyramid, and linear support vectors (ScSPM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from striate.coding import PreparedDictionary, infer
from striate.errors import UsageError
from striate.learning import SparseCoding
from striate.progress import Progress
from striate.randomness import RandomState, generator_from
from striate.recognition.baselines.dense_sift import DenseSIFT
from striate.recognition.pyramid_match import LEVELS

__all__ = ["SparsePyramid"]

_FOR_DICTIONARY = 100_000  # descriptors


class SparsePyramid(BaseEstimator):
    """Features of Yang et al.: sparse codes of dense SIFT, the maximum of their absolute values over each cell.

    Parameters
    ----------
    n_components : int, default 1024
    sparsity : float, default 0.15
        Weight of the L1 term for descriptors of unit norm, ½‖y − zD‖² + sparsity·Σ|z|.
    sift : DenseSIFT, default 16×16 every 6 pixels
    max_batches : int, default 1500
        Of learning the dictionary.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    dictionary_ : PreparedDictionary

    References
    ----------
    Yang, Yu, Gong, Huang, "Linear spatial pyramid matching using sparse coding for image classification", CVPR 2009.
    """

    def __init__(
        self,
        n_components: int = 1024,
        *,
        sparsity: float = 0.15,
        sift: DenseSIFT | None = None,
        max_batches: int = 1500,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.sparsity = sparsity
        self.sift = sift
        self.max_batches = max_batches
        self.random_state = random_state

    def fit(self, images: Sequence[NDArray[np.float32]], y: object = None, *, progress: Progress | None = None) -> Self:
        """Learn the dictionary from grey pictures (height, width), 0–1, of any sizes; no labels."""
        rng = generator_from(self.random_state)
        if not len(images):
            raise UsageError("a dictionary needs pictures to learn from")
        descriptors = self._sift().sample(images, _FOR_DICTIONARY, rng)
        learner = SparseCoding(
            self.n_components, sparsity=self.sparsity, max_batches=self.max_batches,
            random_state=int(rng.integers(2**31)),
        )  # fmt: skip
        self.dictionary_ = PreparedDictionary(learner.fit(descriptors, progress=progress).components_)
        return self

    def transform_one(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of a grey picture (height, width): float32 (21 · n_components,), of unit norm."""
        descriptors = self._sift().transform(image)
        height, width = descriptors.shape[:2]
        codes = np.abs(infer(descriptors.reshape(height * width, -1), self.dictionary_, self.sparsity))
        codes = codes.reshape(height, width, -1)
        parts = []
        for n_cells in LEVELS:
            rows, columns = np.arange(height) * n_cells // height, np.arange(width) * n_cells // width
            for i in range(n_cells):
                for j in range(n_cells):
                    cell = codes[rows == i][:, columns == j]
                    parts.append(cell.max(axis=(0, 1)) if cell.size else np.zeros(codes.shape[2], codes.dtype))
        features = np.concatenate(parts)
        norm = np.linalg.norm(features)
        return np.asarray(features / norm if norm > 0 else features, np.float32)

    def _sift(self) -> DenseSIFT:
        return self.sift or DenseSIFT(step=6)
