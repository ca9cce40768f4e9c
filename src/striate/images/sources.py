"""Collections of images from a folder, a file, an array or a list."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from striate.errors import UsageError
from striate.images.arrays import ImageArray, ImageList, open_arrays
from striate.images.collection import ImageCollection
from striate.images.folder import ImageFiles, ImageFolder
from striate.images.kinds import EXTENSIONS

__all__ = ["as_images"]


def as_images(source: Any, labels: Sequence[Any] | np.ndarray | None = None) -> ImageCollection:
    """Make a collection of images from a folder, a file, an array or a list.

    Parameters
    ----------
    source : ImageCollection, path, array, or list
        - a collection: itself;
        - the path of a folder or a ``.csv`` file: see `ImageFolder`;
        - the path of an ``.npz`` file (`images` or `x`, and perhaps `labels` or `y`), or of an idx file such
          as MNIST's ``train-images-idx3-ubyte.gz``, whose labels are taken from the file beside it;
        - the path of one image;
        - an array (n, height, width), (n, height, width, 1 or 3) or (n, channels, height, width): see
          `ImageArray`;
        - a list of such images, of any sizes, or of paths of image files.
    labels : (n,) sequence of str or int, optional
        One label per image, instead of those that the source has; None or ``""`` for an image without label.

    Returns
    -------
    ImageCollection
        Image files are read only when an image is needed.

    Raises
    ------
    UsageError
        When the source is none of these, it is empty, or the numbers of labels and images differ.
    UnreadableImage
        When an ``.npz`` or idx file is damaged.
    """
    collection = _without_labels(source)
    return collection if labels is None else collection.with_labels(labels)


def _without_labels(source: Any) -> ImageCollection:
    if isinstance(source, ImageCollection):
        return source
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.is_dir() or path.suffix.lower() == ".csv":
            return ImageFolder(path)
        if path.suffix.lower() in EXTENSIONS:
            return ImageFiles([path])
        return open_arrays(path)
    if isinstance(source, np.ndarray) and source.dtype.kind not in "OU":
        return ImageArray(source)
    if isinstance(source, list | tuple | np.ndarray):
        if len(source) == 0:
            raise UsageError("there are no images in an empty list: give at least one")
        if all(isinstance(item, str | os.PathLike) for item in source):
            return ImageFiles(list(source))
        return ImageList(source)
    raise UsageError(
        f"images cannot be taken from {type(source).__name__}: "
        "give a folder, a .csv, .npz or idx file, an array, or a list of arrays or of paths"
    )
