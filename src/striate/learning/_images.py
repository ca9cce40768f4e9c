"""Images to learn from, read a few at a time: an array, a list, or a lazy sequence such as a folder; perhaps masks.

A batch is a function of the numbers of its images and of a generator, from which the places of crops are drawn: a
learner makes that generator from its seed and the number of the batch, so that an interrupted fit can continue.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.images import as_images
from striate.samples import all_finite, float_type, is_sparse

__all__ = ["HeldOutImages", "ImageBatch", "Images"]


class ImageBatch(NamedTuple):
    """Images (channels, height, width) of any sizes, or crops of them, and masks of the same shapes, or None."""

    images: list[NDArray[Any]]
    masks: list[NDArray[np.float64]] | None

    def __len__(self) -> int:
        return len(self.images)

    def corner(self, side: int) -> ImageBatch:
        """The upper left corner of each image."""
        masks = None if self.masks is None else [mask[:, :side, :side] for mask in self.masks]
        return ImageBatch([image[:, :side, :side] for image in self.images], masks)


class Images:
    """Images that are checked when they are read; those in memory at once.

    Parameters
    ----------
    X : float (n_images, channels, height, width), list of (height, width) or (channels, height, width), or a sequence
        A sequence has a length and gives an image for each number, such as an `ImageFolder`; a path stands for its
        collection of images.
    masks : sequence of (height, width) or (channels, height, width), optional
        The weight of each pixel's error, one mask for each image.
    who : str
        Name of the learner, for messages.
    kernel : (height, width)
        Of the filters: no image may be smaller.
    holds : str
        What images must hold, for messages.
    n_channels, dtype : optional
        Those that the learner was fitted with; by default those of the first image.

    Attributes
    ----------
    n_channels : int
    dtype : float32 or float64
        Of the first image, to which the others are converted.
    is_array : bool
        Whether `X` was an array.

    Raises
    ------
    UsageError
        For anything else, images that are smaller than the filters, and NaN or infinity where a mask is not 0.
    """

    def __init__(
        self,
        X: Any,
        masks: Any = None,
        *,
        who: str,
        kernel: tuple[int, int],
        holds: str = "filters",
        n_channels: int | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> None:
        self._who, self._kernel, self._holds = who, kernel, holds
        self._images = _sequence(X, who)
        self.is_array = isinstance(self._images, np.ndarray)
        if not len(self._images):
            raise UsageError(f"{who}: there are no images: give at least one")
        if masks is not None and (not hasattr(masks, "__len__") or len(masks) != len(self)):
            raise UsageError(f"{who}: masks are a sequence of {len(self)} masks, one for each image")
        self._masks = masks
        self.n_channels = n_channels
        first = self._read(0)
        self.n_channels, self.dtype = first.shape[0], dtype or first.dtype
        if isinstance(self._images, np.ndarray | list) and not isinstance(self._images, np.memmap):
            for index in range(len(self)):
                self[index]

    n_channels: int | None
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
        """An image (channels, height, width), with 0 where the mask is, and its mask of the same shape."""
        image, mask = self._read(index), None
        if self._masks is not None:
            mask = self._mask(self._masks[index], image.shape, index)
            image = np.where(mask > 0, image, image.dtype.type(0))
        if not all_finite(image):
            raise UsageError(
                f"{self._who}: image {index} holds NaN or infinity; mend it, or give a mask that is 0 there"
            )
        return np.ascontiguousarray(image, self.dtype), mask

    def batch(
        self, rows: Iterable[int], *, crop: int | None = None, rng: np.random.Generator | None = None
    ) -> ImageBatch:
        """Some of the images, whole ones or one crop of each.

        Parameters
        ----------
        rows : int (n,)
        crop : int, optional
            Height and width; smaller images are taken as far as they go.
        rng : Generator
            Where crops are drawn from.
        """
        found = [self[int(row)] for row in rows]
        if crop is not None and rng is not None:
            found = [_cropped(image, mask, crop, rng) for image, mask in found]
        images, masks = [image for image, _ in found], [mask for _, mask in found if mask is not None]
        return ImageBatch(images, masks if self._masks is not None else None)

    def __iter__(self) -> Iterator[ImageBatch]:
        """One after another."""
        return (self.batch([row]) for row in range(len(self)))

    def _read(self, index: int) -> NDArray[Any]:
        """An image, (channels, height, width), which may hold NaN."""
        name = f"{self._who}: image {index}"
        image = _numbers(self._images[index], name)
        shape = image.shape
        image = image[np.newaxis] if image.ndim == 2 else image
        if image.ndim != 3 or 0 in shape:
            raise UsageError(f"{name} has shape {shape}, and (height, width) or (channels, height, width) is needed")
        if self.n_channels not in (None, len(image)):
            raise UsageError(f"{name} has {len(image)} channels, and {self.n_channels} are needed, as in the first")
        height, width = self._kernel
        if image.shape[1] < height or image.shape[2] < width:
            raise UsageError(
                f"{name} is {image.shape[1]}×{image.shape[2]}, smaller than {self._holds} of {height}×{width}; leave "
                "it out, or pad it and give a mask that is 0 where it was padded"
            )
        return image.astype(float_type(image.dtype), copy=False)

    def _mask(self, mask: Any, shape: tuple[int, ...], index: int) -> NDArray[np.float64]:
        name = f"{self._who}: the mask of image {index}"
        array = _numbers(mask, name)
        if array.shape not in (shape, shape[1:]):
            raise UsageError(f"{name} has shape {array.shape}, and {shape[1:]} or {shape} is needed")
        if not (np.isfinite(array).all() and (array >= 0).all()):
            raise UsageError(f"{name} holds NaN, infinity or negative weights")
        return np.ascontiguousarray(np.broadcast_to(array, shape), np.float64)


class HeldOutImages:
    """Images that are held out: read again for each evaluation, one by one, and cropped at the same place each time."""

    def __init__(self, images: Images, rows: NDArray[np.int64], *, crop: int | None, seed: int) -> None:
        self.images, self.rows, self.crop, self.seed = images, rows, crop, seed

    def __iter__(self) -> Iterator[ImageBatch]:
        for row in self.rows.tolist():
            yield self.images.batch([row], crop=self.crop, rng=np.random.default_rng([self.seed, 3, row]))


def _sequence(X: Any, who: str) -> Any:
    """An array of four axes, a list, or what has a length and items."""
    if isinstance(X, str | os.PathLike):
        return as_images(X)
    if is_sparse(X):
        raise UsageError(f"{who}: a sparse matrix holds no images; give an array (n_images, channels, height, width)")
    if isinstance(X, list | tuple):
        return list(X)
    if not isinstance(X, np.ndarray) and hasattr(X, "__len__") and hasattr(X, "__getitem__") and not hasattr(X, "keys"):
        return X
    array = X if isinstance(X, np.memmap) else _numbers(X, f"{who}: the images")
    if array.ndim != 4:
        raise UsageError(
            f"{who}: images are an array (n_images, channels, height, width), a list of images, or a folder, not an "
            f"array of shape {array.shape}"
        )
    return array


def _numbers(values: Any, name: str) -> NDArray[Any]:
    """An array of real numbers."""
    if np.ma.isMaskedArray(values) and np.ma.is_masked(values):
        raise UsageError(f"{name}: masked values are not looked at; give .filled(0), and masks that are 0 there")
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):
        raise UsageError(f"{name}: no array of numbers; rows of one length are needed") from None
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{name}: real numbers are needed, not {array.dtype}")
    return array


def _cropped(
    image: NDArray[Any], mask: NDArray[np.float64] | None, side: int, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
    sides = [min(side, length) for length in image.shape[1:]]
    first = [int(rng.integers(length - of + 1)) for length, of in zip(image.shape[1:], sides, strict=True)]
    part = (slice(None), *(slice(start, start + of) for start, of in zip(first, sides, strict=True)))
    return np.ascontiguousarray(image[part]), None if mask is None else np.ascontiguousarray(mask[part])
