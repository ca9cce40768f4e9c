"""A random sample of prepared images, to learn filters from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from striate.images.collection import ImageCollection
from striate.images.preprocessing import Preprocessing
from striate.images.stream import Skipped, stream
from striate.progress import Progress

__all__ = ["prepared_sample"]


def prepared_sample(
    sources: Sequence[ImageCollection],
    preprocessing: Preprocessing,
    n_images: int,
    *,
    name: str,
    random_state: int | np.random.Generator | None = None,
    skipped: list[Skipped],
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Images drawn without replacement from several collections together, prepared, in their order.

    Parameters
    ----------
    sources : sequence of ImageCollection
    preprocessing : Preprocessing
    n_images : int
        All images are taken where there are fewer.
    name : str
        The name of the progress phase.
    random_state : int, Generator or None
    skipped : list of Skipped
        Images that cannot be read are appended here; others do not take their place.
    progress : Progress, optional

    Returns
    -------
    float32 (n_read, channels, height, width)
    """
    starts = np.cumsum([0, *map(len, sources)])
    rng = np.random.default_rng(random_state)
    chosen = np.sort(rng.choice(starts[-1], min(int(starts[-1]), n_images), replace=False))
    batches = [np.empty((0, *preprocessing.shape), np.float32)]
    with (progress or Progress()).phase(name, total=len(chosen), unit="images") as phase:
        for source, start in zip(sources, starts, strict=False):
            indices = chosen[(chosen >= start) & (chosen < start + len(source))] - start
            for _, batch in stream(source, preprocessing, indices=indices, skipped=skipped):
                batches.append(batch)
                phase.advance(len(batch))
    return np.concatenate(batches)
