"""A small convolutional network that is trained from the first weight on, with the habits that suit few labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from striate.experiments.recognition.baselines.changes import Changes
from striate.lazy import needs_torch
from striate.progress import Progress

if TYPE_CHECKING:
    from striate.experiments.recognition.baselines._torch import Network

__all__ = ["SmallCNN"]


class SmallCNN:
    """Four convolutions with batch normalization, 240,000 weights, trained on labeled images only.

    AdamW with a rise and half a cosine of the learning rate. It ends at 0, so that no label is held out to choose a
    step: the last weights are used.

    Parameters
    ----------
    changes : Changes
    n_steps, batch_size : int
        Number of steps, and of images for each.
    random_state : int
        Seed of the weights, of the order of images and of their changes.
    n_threads : int
        Threads of torch.
    """

    def __init__(self, changes: Changes, *, n_steps: int, batch_size: int, random_state: int, n_threads: int) -> None:
        self.changes = changes
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(
        self, images: NDArray[np.float32], labels: NDArray[np.int64], *, progress: Progress | None = None
    ) -> SmallCNN:
        """Train on images (n, channels, side, side), 0–1, and their classes (n,), from 0 without a gap.

        Raises
        ------
        UsageError
            If torch is not installed.
        """
        with needs_torch("a small convolutional network needs torch"):
            from striate.experiments.recognition.baselines._torch import train
        with (progress or Progress()).phase("network", self.n_steps, "batches") as phase:
            self._network: Network = train(
                images,
                labels,
                self.changes,
                n_steps=self.n_steps,
                batch_size=self.batch_size,
                seed=self.random_state,
                n_threads=self.n_threads,
                each_step=phase.advance,
            )
        return self

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the class of each image (n, channels, side, side)."""
        from striate.experiments.recognition.baselines._torch import predict

        return predict(self._network, images, mirrored=self.changes.mirrored, n_threads=self.n_threads)
