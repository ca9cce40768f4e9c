"""Berkeley's photographs, whitened, and patches of them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.experiments.engine.unit import Context
from striate.images import ImageCollection, as_images, load_mnist_digits, sample_patches, to_grey, whiten

__all__ = ["GABOR", "SIDE", "Part", "natural_patches", "photographs", "whitened"]

SIDE = {"quick": 8, "full": 12}  # pixels
GABOR = 0.8  # the least R² of its Gabor fit at which a filter learned from these patches counts as a Gabor

Part = Literal["train", "val"]


def natural_patches(context: Context, side: int, n: int, *, part: Part = "train") -> NDArray[np.float32]:
    """Return patches of whitened photographs, with means removed, scaled to an overall standard deviation of 1.

    All units that use the same number of patches get the same ones.
    """
    rng = np.random.default_rng({"train": 0, "val": 1}[part])
    rows = sample_patches(photographs(context, part), n, side, random_state=rng, min_std=0.3, prepare=whitened)
    if len(rows) < 100:
        raise UsageError("there are too few patches to learn from")
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / rows.std()


def photographs(context: Context, part: Part) -> ImageCollection:
    """Return Berkeley's training or validation images; at quick scale the digits of the package."""
    if context.scale == "full":
        return as_images(context.data("berkeley") / part)
    digits, _ = load_mnist_digits()
    return as_images(digits[::10] if part == "train" else digits[5::50])


def whitened(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return an image as one channel with a flat spectrum, (1, height, width)."""
    return whiten(to_grey(image))
