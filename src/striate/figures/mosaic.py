"""Filters as an image: a mosaic of tiles, each filter scaled to its own strongest weight."""

from __future__ import annotations

import io
import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.parameters import Boolean, Choice, Instance, Integer, checked
from striate.samples import as_array

#: The grey of weight zero. Weights use 0–254; 255 is reserved for the gap between filters.
ZERO = 127
#: White between the tiles; `encode_png` can make it, and nothing else, transparent.
GAP = 255
# Default length of a mosaic's longer side in pixels: large enough to look at, and small as a file, since repeated
# pixels take hardly any space in a PNG.
_COMFORTABLE_SIDE = 800

ColorSpace = Literal["rgb", "yuv"]

# BT.601 without its offsets, for differences: from Y, U = 0.492 (B − Y), V = 0.877 (R − Y) to R, G, B.
_YUV_TO_RGB = np.array([[1.0, 0.0, 1.140], [1.0, -0.395, -0.581], [1.0, 2.032, 0.0]])


def filter_mosaic(
    filters: ArrayLike,
    *,
    columns: int | None = None,
    gap: int = 1,
    scale: int | None = None,
    color: ColorSpace = "rgb",
) -> NDArray[np.uint8]:
    """Lay filters out in rows.

    Each filter is divided by its own largest absolute weight: the mosaic shows form, not strength. Weight zero
    is mid grey (127), the strongest positive weight white (254), the strongest negative black (0).

    Parameters
    ----------
    filters : float (n_filters, channels, height, width)
        One channel is drawn in grey, three in color. With any other number (filters of a second stage, stereo pairs),
        each filter is a small group of grey tiles, one per channel, scaled together.
    columns : int, optional
        Filters per row; by default a number that makes the mosaic about square.
    gap : int, default=1
        White between filters, in the filters' own pixels.
    scale : int, optional
        Side of a filter's pixel in the mosaic; by default the largest that keeps the longer side below 800.
    color : "rgb" or "yuv", default="rgb"
        The meaning of three channels.

    Returns
    -------
    mosaic : uint8 (height, width) or (height, width, 3)

    Raises
    ------
    UsageError
        If there is no filter, a weight is not finite, or the shape or an option does not fit.
    """
    weights = _checked(filters, "filters")
    columns = checked("columns", columns, Integer(low=1) | None)
    gap = checked("gap", gap, Integer(low=0))
    scale = checked("scale", scale, Integer(low=1) | None)
    color = checked("color", color, Choice("rgb", "yuv"))
    if weights.shape[1] == 3:
        if color == "yuv":
            weights = yuv_to_rgb(weights)
        tiles = to_grey_levels(weights).transpose(0, 2, 3, 1)
    elif weights.shape[1] == 1:
        tiles = to_grey_levels(weights)[:, 0, :, :, None]
    else:
        tiles = _groups(to_grey_levels(weights))
    if columns is None:
        columns = max(1, round(math.sqrt(len(tiles) * tiles.shape[1] / tiles.shape[2])))
    mosaic = _grid(tiles, min(columns, len(tiles)), gap)
    if scale is None:
        scale = max(1, _COMFORTABLE_SIDE // max(mosaic.shape))
    mosaic = mosaic.repeat(scale, axis=0).repeat(scale, axis=1)
    return mosaic[:, :, 0] if mosaic.shape[2] == 1 else mosaic


def to_grey_levels(filters: NDArray[Any]) -> NDArray[np.uint8]:
    """Weights (n, channels, height, width) as levels 0–254, zero at 127, each filter by its own maximum."""
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    # An all-zero filter is divided by 1 and drawn as plain grey.
    relative = filters / np.where(largest > 0, largest, 1.0)
    return np.rint(ZERO + ZERO * relative).astype(np.uint8)


def yuv_to_rgb(filters: NDArray[Any]) -> NDArray[np.float64]:
    """Differences in YUV, (n, 3, height, width), as differences in RGB."""
    return np.einsum("rc,nchw->nrhw", _YUV_TO_RGB, filters)


def project_to_pixels(
    second: ArrayLike,
    first: ArrayLike,
    *,
    table: ArrayLike | None = None,
    stride: int = 1,
) -> NDArray[np.float32]:
    """The linear response of second-stage units in pixels: sums of first-stage filters, weighted by their kernels.

    Each weight of a second-stage kernel stands for the first-stage filter of its map, placed where the weight sits:
    ``sum over maps m and positions p of second[n, m, p] · first[map m] at stride · p``. This is the linear part of
    the unit. Between the stages, rectification removes the sign of the first response, normalization its size and
    pooling its exact position, so the image shows which edges a unit combines and where, not their polarity.

    Parameters
    ----------
    second : float (n_filters, fan_in, height, width)
    first : float (n_maps, channels, first_height, first_width)
    table : int (n_filters, fan_in), optional
        The maps of the first stage that each filter reads; by default all, in order.
    stride : int, default=1
        Pixels between neighbouring weights of a kernel: the product of the strides of the pooling between.

    Returns
    -------
    projected : float32 (n_filters, channels, stride · (height − 1) + first_height, and likewise the width)

    Raises
    ------
    UsageError
        When shapes, table and stride do not fit together.
    """
    kernels, below = _checked(second, "second-stage filters"), _checked(first, "first-stage filters")
    stride = checked("stride", stride, Integer(low=1))
    n_filters, fan_in, height, width = kernels.shape
    n_maps, channels, first_height, first_width = below.shape
    given = as_array(
        np.broadcast_to(np.arange(fan_in), (n_filters, fan_in)) if table is None else table,
        name="entries of the table", axes=("n_filters", "fan_in"),
    )  # fmt: skip
    maps = given.astype(np.intp)
    if maps.shape != (n_filters, fan_in) or (maps != given).any() or maps.min() < 0 or maps.max() >= n_maps:
        raise UsageError(
            f"{n_filters} filters of {fan_in} maps, a table of shape {maps.shape} and {n_maps} first-stage filters "
            f"do not fit: give a table of (n_filters, fan_in) with numbers below {n_maps}."
        )
    # Kernels spread over all maps need only one matrix product with the first filters per position.
    spread = np.zeros((height, width, n_filters, n_maps), dtype=np.float32)
    rows = np.broadcast_to(np.arange(n_filters)[:, None], maps.shape)
    for y in range(height):
        for x in range(width):
            np.add.at(spread[y, x], (rows, maps), kernels[:, :, y, x])
    flat = below.reshape(n_maps, -1).astype(np.float32)
    size = (stride * (height - 1) + first_height, stride * (width - 1) + first_width)
    projected = np.zeros((n_filters, channels, *size), dtype=np.float32)
    for y in range(height):
        for x in range(width):
            top, left = stride * y, stride * x
            projected[:, :, top : top + first_height, left : left + first_width] += (spread[y, x] @ flat).reshape(
                n_filters, channels, first_height, first_width
            )
    return projected


def encode_png(image: NDArray[np.uint8], *, transparent_gap: bool = False) -> bytes:
    """An image as the bytes of a PNG file.

    Parameters
    ----------
    image : uint8 (height, width), (height, width, 3) or (height, width, 4)
    transparent_gap : bool, default=False
        Make white (255) transparent, for a mosaic on light and dark pages.

    Returns
    -------
    bytes
    """
    from PIL import Image

    checked("image", image, Instance(np.ndarray, words="an array of uint8"))
    if image.dtype != np.uint8 or not image.size or image.ndim < 2 or image.shape[2:] not in ((), (3,), (4,)):
        raise UsageError(
            f"an image of {image.dtype} and shape {image.shape}: give uint8 (height, width), or 3 or 4 channels last."
        )
    transparent_gap = checked("transparent_gap", transparent_gap, Boolean())
    options: dict[str, Any] = {"format": "PNG", "optimize": True}
    if transparent_gap:
        options["transparency"] = GAP if image.ndim == 2 else (GAP, GAP, GAP)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, **options)
    return file.getvalue()


def _checked(values: ArrayLike, name: str) -> NDArray[np.float64]:
    filters = as_array(values, name=name, axes=("n_filters", "channels", "height", "width"), finite=False)
    if filters.size == 0:
        raise UsageError(f"{name} of shape {filters.shape}: give (n_filters, channels, height, width), none of them 0.")
    if not np.isfinite(filters).all():
        bad = np.flatnonzero(~np.isfinite(filters).all(axis=(1, 2, 3)))
        raise UsageError(
            f"filter {bad[0]} has weights that are not finite ({len(bad)} of {len(filters)} do): learn again."
        )
    return filters.astype(np.float64)


def _groups(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Filters of many channels as one block of tiles each, with lines of mid grey between the tiles."""
    n_filters, channels, height, width = tiles.shape
    columns = math.ceil(math.sqrt(channels))
    rows = math.ceil(channels / columns)
    groups = np.full((n_filters, rows * (height + 1) - 1, columns * (width + 1) - 1, 1), ZERO, dtype=np.uint8)
    for channel in range(channels):
        top, left = channel // columns * (height + 1), channel % columns * (width + 1)
        groups[:, top : top + height, left : left + width, 0] = tiles[:, channel]
    return groups


def _grid(tiles: NDArray[np.uint8], columns: int, gap: int) -> NDArray[np.uint8]:
    n_tiles, height, width, channels = tiles.shape
    rows = math.ceil(n_tiles / columns)
    grid = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), GAP, dtype=np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        grid[top : top + height, left : left + width] = tile
    return grid
