"""A collection whose images are read and prepared once where memory permits, for runs that need them several times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np

from striate.images.collection import ImageCollection, View
from striate.images.preprocessing import Preprocessing

__all__ = ["KEPT_BYTES", "KeptImages"]

KEPT_BYTES = 1 << 29
"""Memory for prepared images: 512 MB, which holds 5,900 of 151×151 pixels."""


class KeptImages(View):
    """A view of a collection that keeps the images that a `Preprocessing` has prepared.

    A training run needs an image for the filters, for the features, for the baseline of raw pixels and for every
    ablation. The first images are kept until the memory is used up, and all others are read again each time. If the
    oldest ones were dropped instead, nothing would be kept when all images are read in turn.

    Parameters
    ----------
    images : ImageCollection
    worth : sequence of int, optional
        Indices of the images that will be needed again; by default all.
    limit : int
        Maximum number of bytes.
    """

    def __init__(
        self, images: ImageCollection, *, worth: Sequence[int] | np.ndarray | None = None, limit: int = KEPT_BYTES
    ) -> None:
        super().__init__(images, range(len(images)))
        self._worth = None if worth is None else frozenset(np.asarray(worth).tolist())
        self._kept: dict[tuple[int, Preprocessing], np.ndarray] = {}
        self._free = limit
        self._lock = Lock()

    def prepared(self, index: int, prepare: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """See `ImageCollection.prepared`; an array that is kept cannot be written to."""
        if not isinstance(prepare, Preprocessing) or (self._worth is not None and index not in self._worth):
            return super().prepared(index, prepare)
        found = self._kept.get((index, prepare))
        if found is None:
            found = super().prepared(index, prepare)
            with self._lock:
                if (index, prepare) not in self._kept and found.nbytes <= self._free:
                    found.flags.writeable = False
                    self._kept[index, prepare] = found
                    self._free -= found.nbytes
        return found
