"""Patches: small squares cut out of images, one per row, in the order (channels, height, width)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from striate.errors import UnreadableImage, UsageError

__all__ = ["extract_patches", "sample_patches"]

# Random positions that are tried before all positions with structure are searched, which takes milliseconds.
_BLIND_DRAWS = 12


class ImageSequence(Protocol):
    """What `sample_patches` needs of images: a length, and access by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


def extract_patches(image: np.ndarray, patch_size: int) -> np.ndarray:
    """All patches of an image, row by row.

    Parameters
    ----------
    image : ndarray (channels, height, width)
    patch_size : int
        Height and width of a patch, in pixels.

    Returns
    -------
    ndarray ((height − patch_size + 1)·(width − patch_size + 1), channels·patch_size²), dtype of `image`

    Raises
    ------
    UsageError
        If the image is smaller than a patch.
    """
    channels, height, width = image.shape
    if min(height, width) < patch_size:
        raise UsageError(
            f"an image of {width}×{height} has no patch of {patch_size}×{patch_size}: lower the patch size"
        )
    windows = sliding_window_view(image, (patch_size, patch_size), axis=(1, 2))
    return windows.transpose(1, 2, 0, 3, 4).reshape(-1, channels * patch_size**2)


def sample_patches(
    images: ImageSequence,
    n_patches: int,
    patch_size: int,
    *,
    random_state: int | np.random.Generator | None = None,
    min_std: float = 0.0,
    channels: Sequence[int] | None = None,
    prepare: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Draw patches at random: uniform over images, then over the positions that are not flat.

    Every image is read once, in order. Images that are smaller than a patch, unreadable or without structure are left
    out; the other images then give more patches, for which they may be read again.

    Parameters
    ----------
    images : sequence of ndarray (channels, height, width)
        An array of images, a list, or an `ImageCollection`; sizes may differ, numbers of channels may not.
    n_patches : int
    patch_size : int
        Height and width of a patch, in pixels.
    random_state : int, Generator or None
        The same seed gives the same patches in the same order.
    min_std : float, default 0
        A patch counts as flat when the standard deviation of its values is not above this. 0 leaves out
        constant patches only; 0.2 suits images after local contrast normalization (deviation about 1).
    channels : sequence of int, optional
        The channels to take, in this order; all by default. For sparse connection tables.
    prepare : callable, optional
        Applied to every image as it is read, such as a preprocessing; returns (channels, height, width).

    Returns
    -------
    ndarray (n_patches, channels·patch_size²), float32 (float64 if the images are)
        In random order, so that any slice is a mini-batch.

    Raises
    ------
    UsageError
        If no image has a patch of this size with enough structure.
    """
    if n_patches < 1 or patch_size < 1:
        raise UsageError(f"n_patches and patch_size must be at least 1; got {n_patches} and {patch_size}")
    rng = np.random.default_rng(random_state)
    alive = np.arange(len(images))
    drawn: list[np.ndarray] = []
    missing = n_patches
    while missing and alive.size:
        shares = rng.multinomial(missing, np.full(alive.size, 1 / alive.size))
        barren = []
        for index, share in zip(alive, shares, strict=True):
            if not share:
                continue
            patches = _draw(_read(images, int(index), prepare, channels), int(share), patch_size, min_std, rng)
            if patches is None:
                barren.append(index)
            else:
                drawn.append(patches)
                missing -= int(share)
        alive = np.setdiff1d(alive, barren)
    if missing:
        raise UsageError(
            f"none of the {len(images)} images has a patch of {patch_size}×{patch_size} pixels with a "
            f"standard deviation above {min_std:g}; take larger images, or lower patch_size or min_std"
        )
    patches = np.concatenate(drawn)
    return patches[rng.permutation(n_patches)]


def _read(
    images: ImageSequence,
    index: int,
    prepare: Callable[[np.ndarray], np.ndarray] | None,
    channels: Sequence[int] | None,
) -> np.ndarray | None:
    try:
        image = np.asarray(images[index])
    except UnreadableImage:
        return None  # who streams the collection reports it
    if prepare is not None:
        image = prepare(image)
    if image.ndim != 3:
        raise UsageError(f"image {index} must have the shape (channels, height, width); got {image.shape}")
    if channels is not None:
        image = image[list(channels)]
    return image if image.dtype == np.float64 else image.astype(np.float32, copy=False)


def _draw(
    image: np.ndarray | None, n_patches: int, patch_size: int, min_std: float, rng: np.random.Generator
) -> np.ndarray | None:
    """`n_patches` structured patches of one image, or None if it has none."""
    if image is None or min(image.shape[1:]) < patch_size:
        return None
    windows = sliding_window_view(image, (patch_size, patch_size), axis=(1, 2))
    n_rows, n_columns = windows.shape[1:3]
    accepted = np.empty((n_patches, image.shape[0] * patch_size**2), dtype=image.dtype)
    n_accepted = 0
    for _ in range(_BLIND_DRAWS):
        positions = rng.integers(n_rows * n_columns, size=n_patches - n_accepted)
        patches = _cut(windows, positions)
        patches = patches[_has_structure(patches, min_std)]
        accepted[n_accepted : n_accepted + len(patches)] = patches
        n_accepted += len(patches)
        if n_accepted == n_patches:
            return accepted
    structured = _structured_positions(windows, min_std)
    if not structured.size:
        return None
    accepted[n_accepted:] = _cut(windows, rng.choice(structured, size=n_patches - n_accepted))
    return accepted


def _cut(windows: np.ndarray, positions: np.ndarray) -> np.ndarray:
    rows, columns = np.divmod(positions, windows.shape[2])
    return windows[:, rows, columns].swapaxes(0, 1).reshape(len(positions), -1)


def _has_structure(patches: np.ndarray, min_std: float) -> np.ndarray:
    deviation = patches.std(axis=1, dtype=np.float64)
    return deviation > np.maximum(min_std, 1e-6 * np.abs(patches).max(axis=1))  # a constant patch may round to 1e-9


def _structured_positions(windows: np.ndarray, min_std: float) -> np.ndarray:
    """Numbers of all positions whose patch is not flat; a row of positions at a time, to bound the memory."""
    n_rows, n_columns = windows.shape[1:3]
    found = []
    for start in range(0, n_rows * n_columns, n_columns):
        positions = start + np.arange(n_columns)
        found.append(positions[_has_structure(_cut(windows, positions), min_std)])
    return np.concatenate(found)
