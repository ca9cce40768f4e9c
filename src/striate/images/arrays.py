"""Images in memory: one array, or a list of arrays of different sizes.

They keep their type (60,000 digits take 47 MB as uint8); each image becomes float32 when it is read.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from striate.errors import UsageError
from striate.images.collection import ImageCollection, as_labels
from striate.images.color import to_grey, to_rgb
from striate.images.decode import box_reduce
from striate.images.idx import is_idx, labels_beside, read_idx
from striate.images.names import printable
from striate.images.npz import read_npz
from striate.images.raster import LARGEST, PillowRaster, assemble

_N_CHANNELS_FIRST = (1, 2, 3)  # grey, a stereo pair, color
_N_CHANNELS_LAST = (1, 3)
_CHECKED_AT_ONCE = 2**22  # values; bounds the memory of their float32 copies


class ImageArray(ImageCollection):
    """Images of one size in one array.

    Parameters
    ----------
    images : (n, height, width), (n, channels, height, width) or (n, height, width, channels) array
        Integers of 8 bits are divided by 255 when they are read, those of 16 bits by 65,535; floating-point values
        are not changed (see `white`). Other integers are accepted when all lie in 0–255. Booleans become 0 and 1.
        Channels may come first (1, 2 or 3) or last (1 or 3). Where both readings are possible, as for
        (n, 3, 5, 3), channels are taken to come first, which is the layout of this library.
    source : str
        Where the images come from, for messages and names.

    Raises
    ------
    UsageError
        When the shape or type is not one of these, there is no image, or a value is not finite or beyond ±1e15.
    """

    def __init__(self, images: np.ndarray, *, source: str = "images") -> None:
        images = _plain_array(images, source)
        if images.ndim not in (3, 4) or 0 in images.shape:
            raise UsageError(
                f"{source}: has shape {images.shape}; give (n, height, width), (n, channels, height, width) "
                "or (n, height, width, channels), with at least one image"
            )
        self._images = _channels_first(_plain_numbers(images, source), source)
        self.names = [f"{source}[{index}]" for index in range(len(images))]

    def _contents(self) -> str:
        height, width, n_channels = self.size_of(0)
        return f"{super()._contents()}, each {height}×{width}{f'×{n_channels}' if n_channels > 1 else ''}"

    @cached_property
    def white(self) -> float:
        """See `ImageCollection.white`."""
        return _white_of_floats([self._images])

    def read(self, index: int, *, color: bool | None = None, at_least: int | None = None) -> np.ndarray:
        """See `ImageCollection.read`."""
        return _as_read(self._images[index], color, at_least)

    def size_of(self, index: int) -> tuple[int, int, int]:
        """See `ImageCollection.size_of`."""
        _, n_channels, height, width = self._images.shape
        return height, width, n_channels


class ImageList(ImageCollection):
    """Images of different sizes in memory.

    Parameters
    ----------
    images : sequence of (height, width), (channels, height, width) or (height, width, channels) arrays
        Each as in `ImageArray`.
    source : str
        Where the images come from, for messages and names.

    Raises
    ------
    UsageError
        As for `ImageArray`; the message names the first image that is wrong.
    """

    def __init__(self, images: Sequence[Any] | np.ndarray, *, source: str = "images") -> None:
        self.names = [f"{source}[{index}]" for index in range(len(images))]
        self._images = [_one_image(image, name) for image, name in zip(images, self.names, strict=True)]

    @cached_property
    def white(self) -> float:
        """See `ImageCollection.white`."""
        return _white_of_floats(self._images)

    def read(self, index: int, *, color: bool | None = None, at_least: int | None = None) -> np.ndarray:
        """See `ImageCollection.read`."""
        return _as_read(self._images[index], color, at_least)

    def size_of(self, index: int) -> tuple[int, int, int]:
        """See `ImageCollection.size_of`."""
        n_channels, height, width = self._images[index].shape
        return height, width, n_channels


def open_arrays(path: str | os.PathLike[str]) -> ImageArray:
    """The images of an ``.npz`` or idx file, with their labels where there are any.

    Parameters
    ----------
    path : str or path
        See `read_npz` and `read_idx`. The labels of an idx file ``…-images-idx3-ubyte`` are read from
        ``…-labels-idx1-ubyte`` beside it.

    Returns
    -------
    ImageArray

    Raises
    ------
    UsageError
        When there is no such file, it is of another kind, or its arrays are not images and labels.
    UnreadableImage
        When it is damaged.
    """
    path = Path(path)
    if path.suffix.lower() == ".npz":
        images, labels, source = read_npz(path)
        return _labeled_array(images, labels, source, label_source=printable(path))
    if not path.exists():
        raise UsageError(f"{printable(path)}: there is no such file or folder")
    if not path.is_file() or not is_idx(path):
        raise UsageError(
            f"{printable(path)}: is nothing that striate takes images from; "
            "give a folder, an image, or a .csv, .npz or idx file"
        )
    label_path = labels_beside(path)
    labels = None if label_path is None else read_idx(label_path)
    return _labeled_array(read_idx(path), labels, printable(path), label_source=printable(label_path or path))


def _labeled_array(images: np.ndarray, labels: np.ndarray | None, source: str, *, label_source: str) -> ImageArray:
    collection = ImageArray(images, source=source)
    if labels is not None:
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        collection.labels = as_labels(labels, n_images=len(collection), source=label_source)
    return collection


def _one_image(image: Any, name: str) -> np.ndarray:
    array = _plain_array(image, name)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise UsageError(
            f"{name}: has shape {array.shape}; give (height, width), (channels, height, width) or "
            "(height, width, channels)"
        )
    return _channels_first(_plain_numbers(array, name)[None], name)[0]


def _plain_array(image: Any, name: str) -> np.ndarray:
    """Anything that NumPy can convert to an array, including an image of Pillow."""
    if isinstance(image, Image.Image) and image.mode not in ("L", "RGB", "F") and "16" not in image.mode:
        raster = PillowRaster(image)  # palettes, transparency and the like, as in a file
        return assemble(raster, 1, grey=False)
    if np.ma.isMaskedArray(image) and np.ma.is_masked(image):
        raise UsageError(f"{name}: has masked values; fill them in, with .filled(...)")
    try:
        return np.asarray(image)
    except (ValueError, TypeError):
        raise UsageError(f"{name}: is no array; give rows of one length, numbers only") from None


def _channels_first(images: np.ndarray, source: str) -> np.ndarray:
    """A view (n, channels, height, width) of images without channels or with channels last."""
    if images.ndim == 3:
        return images[:, None]
    if images.shape[1] in _N_CHANNELS_FIRST:
        return images
    if images.shape[3] in _N_CHANNELS_LAST:
        return np.moveaxis(images, 3, 1)
    hint = "; lay a fourth channel (transparency) on a background first" if 4 in images.shape[1::2] else ""
    raise UsageError(
        f"{source}: has shape {images.shape}, with channels neither first (1, 2 or 3) nor last (1 or 3){hint}"
    )


def _plain_numbers(images: np.ndarray, source: str) -> np.ndarray:
    """The array itself when `_as_float` knows its type; other arrays are converted or refused."""
    # Compare kind and size, because files may have either byte order.
    if images.dtype.kind == "b" or (images.dtype.kind == "u" and images.dtype.itemsize <= 2):
        return images
    if images.dtype.kind == "f":
        _require_finite(images, source)
        return images
    if images.dtype.kind in "iu":
        # Other programs often convert 8-bit images to wider integers; for a wider range of values, white is unknown.
        if images.min() >= 0 and images.max() <= 255:
            return images.astype(np.uint8)
        raise UsageError(
            f"{source}: holds {images.dtype} values outside 0–255; give uint8 (0–255), uint16 (0–65,535), or "
            "floating-point values"
        )
    raise UsageError(f"{source}: holds values of type {images.dtype}; give numbers")


def _require_finite(images: np.ndarray, source: str) -> None:
    """Check the values in blocks, as the float32 that they will become."""
    n_at_once = max(1, _CHECKED_AT_ONCE * len(images) // images.size)
    for start in range(0, len(images), n_at_once):
        block = images[start : start + n_at_once]
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinity, and is refused as such
            values = np.abs(block.astype(np.float32, copy=False)).reshape(len(block), -1)
        finite = np.asarray(np.isfinite(values).all(axis=1))
        usable = np.asarray((values <= LARGEST).all(axis=1))
        if not usable.all():
            first = int(np.argmin(usable))
            what = "that is not finite (NaN or infinity)" if not finite[first] else f"beyond ±{LARGEST:g}"
            raise UsageError(f"{source}[{start + first}]: holds a value {what}; leave the image out")


def _white_of_floats(arrays: Sequence[np.ndarray]) -> float:
    """255 where floating-point values go from 0 to more than 2 and at most 255, otherwise 1.

    Interpolation may overshoot 1 a little; negative values mean that the array does not hold pixels.
    """
    floats = [array for array in arrays if array.dtype.kind == "f"]
    if not floats or min(float(array.min()) for array in floats) < 0:
        return 1.0
    return 255.0 if 2 < max(float(array.max()) for array in floats) <= 255 else 1.0


def _as_read(stored: np.ndarray, color: bool | None, at_least: int | None) -> np.ndarray:
    image = box_reduce(_as_float(stored), at_least)
    if color is None:
        return image
    return to_rgb(image) if color else to_grey(image)


def _as_float(stored: np.ndarray) -> np.ndarray:
    """A float32 copy, so that changes in place do not change the collection."""
    image = stored.astype(np.float32, order="C")
    if stored.dtype.kind == "u":
        image /= np.float32(np.iinfo(stored.dtype).max)
    return image
