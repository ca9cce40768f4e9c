"""Caltech-101 as in the papers: 30 training images per class, and at most 30 other images for testing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from striate.experiments.engine.unit import Context
from striate.images import ImageCollection, Preprocessing, as_images, load_mnist_digits
from striate.recognition.splits import train_test_split_per_class

__all__ = ["SPLITS", "Split", "Task", "load_task"]

SPLITS = (0, 1, 2)
N_TRAIN, N_TEST = 30, 30  # per class
# The paper's geometry: 151 pixels, of which whole windows of 9×9 leave 143.
PREPROCESSING = {"full": Preprocessing((151, 151), valid=True), "quick": Preprocessing((36, 36), valid=True)}


@dataclass(frozen=True)
class Split:
    """Positions among the images of a `Task`."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """The images that are used by at least one split, each once.

    Attributes
    ----------
    images : ImageCollection
    labels : int64 (n_images,)
    splits : list of Split
    unseen : int64 (n,)
        Positions of images that are in no test set: filters may be learned from them, without labels.
    preprocessing : Preprocessing
    """

    images: ImageCollection
    labels: NDArray[np.int64]
    splits: list[Split]
    unseen: NDArray[np.int64]
    preprocessing: Preprocessing


def load_task(context: Context, splits: Sequence[int] = SPLITS) -> Task:
    """Draw 30 training images and at most 30 test images from each of 102 classes; digits at quick scale."""
    if context.scale == "full":
        collection = as_images(context.data("caltech101"))
        n_train, n_test = N_TRAIN, N_TEST
    else:
        digits, names = load_mnist_digits()
        collection = as_images(digits[::10], names[::10])
        n_train, n_test, splits = 20, 10, splits[:1]
    labels = np.unique(np.asarray(collection.labels), return_inverse=True)[1].astype(np.int64)
    drawn = [
        train_test_split_per_class(
            labels, n_train, n_test_per_class=n_test, random_state=np.random.default_rng([context.seed, split])
        )
        for split in splits
    ]
    used = np.unique(np.concatenate([part for pair in drawn for part in pair]))
    parts = [Split(*(np.searchsorted(used, part) for part in pair)) for pair in drawn]
    unseen = np.setdiff1d(np.arange(len(used)), np.concatenate([part.test for part in parts]))
    return Task(collection.subset(used), labels[used], parts, unseen, PREPROCESSING[context.scale])
