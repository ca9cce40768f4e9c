"""Few digits, and a classifier of them that is fitted in a fraction of a second."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from striate.images import load_mnist_digits
from striate.recognition import ImageClassifier

TINY = "6F5x5 - Rabs - N5x5 - PA6x6/6"

_all = cache(load_mnist_digits)


def digits(classes: Sequence[int], n: int, *, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """So many of each class: uint8 (n_images, 28, 28), labels int (n_images,), class after class."""
    rows = np.concatenate([500 * number + first + np.arange(n) for number in classes])
    images, labels = _all()
    return np.round(255 * images[rows, 0]).astype(np.uint8), labels[rows]


def quick(**options: Any) -> ImageClassifier:
    """A small architecture with random filters, unless the options say otherwise."""
    return ImageClassifier(**{"architecture": TINY, "learner": "random", "random_state": 0, **options})


def write_folder(
    folder: Path, images: Sequence[np.ndarray] | np.ndarray, labels: Sequence[object] | np.ndarray
) -> Path:
    """PNG files in one sub-folder a class; images with the label "" lie beside them."""
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / str(label) / f"{index:04}.png")
    return folder


def filters_of(classifier: ImageClassifier) -> np.ndarray:
    """All filters as one vector."""
    return np.concatenate(
        [bank.filters.ravel() for bank in classifier.hierarchy_.filter_banks if bank.filters is not None]
    )
