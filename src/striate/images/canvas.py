"""Bring images of any size to one size: the longer side is scaled to the canvas, the rest is padded with zeros.

The aspect ratio is kept and nothing is cropped, as in the preprocessing of Jarrett et al. 2009.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from striate.errors import UsageError


def fit_to_canvas(
    image: np.ndarray,
    size: tuple[int, int],
    *,
    fill: float = 0.0,
    enlarge: bool = True,
) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Scale an image to fit a canvas, aspect ratio kept, and center it there.

    Parameters
    ----------
    image : (channels, height, width) float array
        One image, any number of channels, any real values.
    size : tuple of int
        Height and width of the canvas, in pixels.
    fill : float
        Value around the image; the paper pads with zeros.
    enlarge : bool
        Whether an image smaller than the canvas is enlarged (default: filters then see objects at one
        scale) or only centered.

    Returns
    -------
    canvas : float32 array of shape ``(channels, *size)``
        The image on the canvas.
    box : tuple of int
        Top, left, height and width of the image on the canvas, in pixels.

    Raises
    ------
    UsageError
        When `image` is not (channels, height, width) or `size` has a side below 1.

    Notes
    -----
    Images are reduced with the Lanczos filter over the whole support (antialiased), enlarged with the
    bicubic one. Both overshoot beside strong edges; the result is clipped to the image's own range, so
    that 0–1 stays 0–1. When the padding is an odd number of pixels, the extra one goes below and right.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun: What is the best multi-stage architecture for object
    recognition?, ICCV 2009, section 3 (longer side to 151 pixels, zero padding).
    """
    if image.ndim != 3 or 0 in image.shape:
        raise UsageError(f"an image of shape {image.shape} does not fit a canvas: give (channels, height, width)")
    canvas_height, canvas_width = size
    if canvas_height < 1 or canvas_width < 1:
        raise UsageError(f"a canvas of {canvas_height}×{canvas_width} is empty: give sides of at least 1 pixel")

    n_channels, height, width = image.shape
    scale = min(canvas_height / height, canvas_width / width)
    if not enlarge:
        scale = min(scale, 1.0)
    # A very long, thin image keeps at least one pixel of its short side.
    fitted_height = min(canvas_height, max(1, round(height * scale)))
    fitted_width = min(canvas_width, max(1, round(width * scale)))
    top, left = (canvas_height - fitted_height) // 2, (canvas_width - fitted_width) // 2

    canvas = np.full((n_channels, canvas_height, canvas_width), fill, dtype=np.float32)
    content = canvas[:, top : top + fitted_height, left : left + fitted_width]
    if (fitted_height, fitted_width) == (height, width):
        content[:] = image
    else:
        _resize(image, out=content)
    return canvas, (top, left, fitted_height, fitted_width)


def _resize(image: np.ndarray, *, out: np.ndarray) -> None:
    """Resample every channel to the size of `out`; Pillow works in float and releases the GIL."""
    _, height, width = out.shape
    reducing = height * width < image.shape[1] * image.shape[2]
    method = Image.Resampling.LANCZOS if reducing else Image.Resampling.BICUBIC
    for channel, target in zip(image, out, strict=True):
        # Pillow's mode F is float32 in C order.
        plane = Image.fromarray(np.ascontiguousarray(channel, dtype=np.float32))
        resized = np.asarray(plane.resize((width, height), method))
        np.clip(resized, channel.min(), channel.max(), out=target)
