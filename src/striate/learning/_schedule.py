"""Which samples a fit holds out, and in which order it learns from the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["FEWEST", "MOST_HELD_OUT", "Schedule"]

MOST_HELD_OUT = 1000  # more would hardly make the estimate more precise, and evaluations slower
FEWEST = 50  # samples; with fewer, none is held out


class Schedule:
    """Mini-batches of shuffled epochs. Each is a function of the seed and its number, so that a fit can resume.

    Parameters
    ----------
    n_samples, batch_size : int
    held_out_fraction : float
        Share of the samples that is held out.
    seed : int
    shuffle : bool
        If False, each epoch is in the order of the samples; those held out are still drawn at random.
    most_held_out, fewest : int
        The most samples that are held out, and the fewest of which any are.

    Attributes
    ----------
    train, held_out : ndarray (n,), int64
        Row numbers; the two are disjoint, and together hold all rows.
    """

    def __init__(
        self,
        n_samples: int,
        batch_size: int,
        *,
        held_out_fraction: float,
        seed: int,
        shuffle: bool = True,
        most_held_out: int = MOST_HELD_OUT,
        fewest: int = FEWEST,
    ) -> None:
        n_held_out = min(most_held_out, int(held_out_fraction * n_samples)) if n_samples >= fewest else 0
        order = np.random.default_rng(seed).permutation(n_samples)
        self.held_out, self.train = order[:n_held_out], order[n_held_out:]
        self.shuffle = shuffle
        if not shuffle:
            self.train = np.sort(self.train)
        self.batch_size = batch_size
        self.seed = seed

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches per epoch; the last one may be smaller."""
        return -(-len(self.train) // self.batch_size)

    def batches(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Rows of the batches `start` to `stop − 1`, counted from the first of the fit."""
        order, epoch_of_order = self.train, -1
        for batch in range(start, stop):
            epoch, position = divmod(batch, self.batches_per_epoch)
            if self.shuffle and epoch != epoch_of_order:
                order = np.random.default_rng([self.seed, epoch]).permutation(self.train)
                epoch_of_order = epoch
            yield order[position * self.batch_size : (position + 1) * self.batch_size]
