"""Filters for convolutional codes, learned from Berkeley's training images, and the form that images have for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.experiments.data.natural_patches import photographs
from striate.experiments.engine.unit import Context, Settings
from striate.images import local_contrast_normalization, sample_patches, to_grey
from striate.learning import SparseCoding

__all__ = ["learned_filters", "middle", "normalized"]


def learned_filters(
    settings: Settings, context: Context, prepare: Callable[[NDArray[np.floating]], NDArray[np.floating]]
) -> NDArray[np.float32]:
    """Return the units of a dictionary for patches without their mean, (n_filters, side, side).

    Parameters
    ----------
    settings : mapping
        ``side``, ``n_filters``, ``n_patches`` and ``batches``.
    context : Context
    prepare : callable
        What is done to a photograph before patches are drawn.
    """
    side = settings["side"]
    patches = sample_patches(
        photographs(context, "train"), settings["n_patches"], side, random_state=0, min_std=0.02, prepare=prepare
    )
    patches -= patches.mean(axis=1, keepdims=True)
    learner = SparseCoding(settings["n_filters"], max_batches=settings["batches"], random_state=0)
    units = learner.fit(patches / patches.std(), progress=context.progress).components_
    return np.asarray(units, np.float32).reshape(-1, side, side)


def normalized(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return an image behind local contrast normalization, as one channel, (1, height, width)."""
    return local_contrast_normalization(to_grey(image)).astype(np.float32)


def middle(image: NDArray[Any], side: int) -> NDArray[Any]:
    """Return the square in the middle of an image (…, height, width), or less of it where the image is smaller."""
    height, width = image.shape[-2:]
    side = min(side, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[..., top : top + side, left : left + side]
