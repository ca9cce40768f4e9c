"""Conversion of stored samples to float32, with a background for transparent images.

A raster yields one band of rows at a time, so that a large image needs little memory beside that of its decoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np
from PIL import Image

from striate.images.color import to_grey
from striate.images.opening import Refused

LARGEST = 1e15
"""Floating-point values beyond ±LARGEST are refused: their squares, summed over an image, leave float32."""

_GREY_MODES = frozenset({"1", "L", "LA", "La"})
_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_BAND = 1 << 22  # pixels per band; an image of usual size is a single band
# A transparent image without darker opaque pixels than this would be invisible on white.
_NEARLY_WHITE = 0.85
_VISIBLE_SHARE = 0.01


class Raster(Protocol):
    """Stored samples of an image, as `assemble` reads them."""

    width: int
    height: int
    n_channels: int

    def band(self, top: int, bottom: int, factor: int) -> np.ndarray:
        """Rows `top` to `bottom`, boxes of `factor`×`factor` pixels averaged: (channels, rows, columns) float32."""
        ...


def assemble(raster: Raster, factor: int, *, grey: bool) -> np.ndarray:
    """A whole image, reduced by `factor`; luma alone with `grey`.

    Parameters
    ----------
    raster : Raster
    factor : int
        At least 1.
    grey : bool

    Returns
    -------
    (1 or 3, ceil(height / factor), ceil(width / factor)) float32 array
    """
    n_channels = 1 if grey else raster.n_channels
    rows, columns = -(-raster.height // factor), -(-raster.width // factor)
    image = np.empty((n_channels, rows, columns), np.float32)
    for top, bottom in bands(raster.width, raster.height, factor):
        band = raster.band(top, bottom, factor)
        image[:, top // factor : -(-bottom // factor)] = to_grey(band) if grey else band
    return image


def bands(width: int, height: int, factor: int = 1) -> Iterator[tuple[int, int]]:
    """First and last row (exclusive) of each band; all but the last have a multiple of `factor` rows."""
    n_rows = max(1, _BAND // max(1, width * factor)) * factor
    for top in range(0, height, n_rows):
        yield top, min(height, top + n_rows)


class PillowRaster:
    """An image that Pillow has decoded to 8 bits or fewer, or to floating point (mode F).

    Parameters
    ----------
    image : PIL.Image.Image
        Decoded.
    """

    def __init__(self, picture: Image.Image) -> None:
        if picture.mode == "LAB":
            raise Refused("stores Lab colors: save it as RGB")
        self._picture = picture
        self.width, self.height = picture.size
        self._mode = "L" if picture.mode in _GREY_MODES else "RGB"
        self.n_channels = len(self._mode)
        self._transparent = "transparency" in picture.info or picture.mode in _ALPHA_MODES
        self._ground = self._choose_ground() if self._transparent else 255

    def band(self, top: int, bottom: int, factor: int) -> np.ndarray:
        """See `Raster`."""
        opaque = self._opaque(self._rows(top, bottom))
        # Averaged before the conversion to float, which takes four times the memory.
        stored = np.asarray(opaque.reduce(factor) if factor > 1 else opaque)
        channels_first = stored[None] if stored.ndim == 2 else stored.transpose(2, 0, 1)
        pixels = np.empty(channels_first.shape, dtype=np.float32)
        return np.divide(channels_first, np.float32(255), out=pixels)

    def _rows(self, top: int, bottom: int) -> Image.Image:
        whole = top == 0 and bottom == self.height
        return self._picture if whole else self._picture.crop((0, top, self.width, bottom))

    def _opaque(self, rows: Image.Image) -> Image.Image:
        if not self._transparent:
            return rows if rows.mode == self._mode else rows.convert(self._mode)
        layered = self._layered(rows)
        page = Image.new(self._mode, rows.size, "white" if self._ground else "black")
        page.paste(layered.convert(self._mode), mask=layered.getchannel("A"))
        return page

    def _layered(self, rows: Image.Image) -> Image.Image:
        return rows.convert("LA" if self._mode == "L" else "RGBA")

    def _choose_ground(self) -> int:
        """White (255), or black for an image that would vanish on it."""
        histogram, faint = np.zeros(256, np.int64), np.zeros(256, np.int64)
        for top, bottom in bands(self.width, self.height):
            layered = self._layered(self._rows(top, bottom))
            alpha, luma = layered.getchannel("A"), layered.convert("L")
            histogram += luma.histogram(alpha.point([0] * 128 + [255] * 128))
            faint += luma.histogram(alpha)  # a mask counts where it is not zero
        return 255 * round(ground(histogram, faint, levels=np.arange(256) / 255))


def ground(opaque: np.ndarray, visible: np.ndarray, *, levels: np.ndarray) -> float:
    """The background of a transparent image: white (1.0), or black (0.0) when it would be invisible on white.

    Parameters
    ----------
    opaque, visible : (n_levels,) integer arrays
        Numbers of pixels of each luma that are at least half opaque, and that are not wholly transparent. The latter
        are used when there are none of the former.
    levels : (n_levels,) array
        Luma of each level, 0–1.
    """
    counts = opaque if opaque.any() else visible
    dark = counts[levels < _NEARLY_WHITE].sum()
    return 0.0 if counts.any() and dark < _VISIBLE_SHARE * counts.sum() else 1.0


class DeepRaster:
    """Samples of more than 8 bits, or of kinds that Pillow does not know.

    Parameters
    ----------
    samples : (height, width, channels) array
        Integers or floating point: grey, red-green-blue or cyan-magenta-yellow-black, then perhaps alpha.
    white : float or None
        The integer that stands for 1; None for floating-point values, which are not changed.
    kind : {"grey", "rgb", "cmyk"}
    inverted : bool
        Whether `white` stands for black, and 0 for white.
    alpha : {"straight", "premultiplied"} or None
        Meaning of the last channel.
    key : tuple of int, optional
        The samples of the one color that is transparent.
    """

    def __init__(
        self,
        samples: np.ndarray,
        *,
        white: float | None,
        kind: Literal["grey", "rgb", "cmyk"] = "grey",
        inverted: bool = False,
        alpha: Literal["straight", "premultiplied"] | None = None,
        key: tuple[int, ...] | None = None,
    ) -> None:
        self._samples = samples
        self.height, self.width = samples.shape[:2]
        self._kind, self._white, self._inverted, self._alpha, self._key = kind, white, inverted, alpha, key
        self.n_channels = 1 if kind == "grey" else 3
        self._ground = 1.0 if alpha is None and key is None else self._choose_ground()

    def band(self, top: int, bottom: int, factor: int) -> np.ndarray:
        """See `Raster`."""
        color, alpha = self._split(top, bottom)
        if alpha is not None:
            if self._alpha != "premultiplied":
                color *= alpha
            color += (1 - alpha) * np.float32(self._ground)
            if self._white is not None:  # premultiplied colors can be beyond their opacity
                np.minimum(color, 1, out=color)
        if factor == 1:
            return color
        planes = [Image.fromarray(np.ascontiguousarray(channel)).reduce(factor) for channel in color]
        return np.stack([np.asarray(plane) for plane in planes])

    def _split(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Color (1 or 3, rows, width) and opacity (rows, width), both float32."""
        stored = self._samples[top:bottom]
        alpha = None
        if self._key is not None:
            alpha = (stored != np.array(self._key, stored.dtype)).any(axis=2).astype(np.float32)
        values = self._as_float(stored)
        if self._alpha is not None:
            alpha, values = np.clip(values[-1], 0, 1), values[:-1]
        if self._inverted:
            values = 1 - values
        if self._kind == "cmyk":
            values = (1 - values[:3]) * (1 - values[3:4])
        return values, alpha

    def _as_float(self, stored: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # checked just below
            values = np.ascontiguousarray(stored.transpose(2, 0, 1)).astype(np.float32)
        if self._white is not None:
            values /= np.float32(self._white)
        else:
            check_usable(values)
        return values

    def _choose_ground(self) -> float:
        opaque, visible = np.zeros(256, np.int64), np.zeros(256, np.int64)
        for top, bottom in bands(self.width, self.height):
            color, alpha = self._split(top, bottom)
            assert alpha is not None
            if self._alpha == "premultiplied":
                color = color / np.maximum(alpha, 1e-6)
            level = np.clip(np.rint(255 * to_grey(color)[0]), 0, 255).astype(np.intp)
            opaque += np.bincount(level[alpha >= 0.5], minlength=256)
            visible += np.bincount(level[alpha > 0], minlength=256)
        return ground(opaque, visible, levels=np.arange(256) / 255)


def check_usable(values: np.ndarray) -> None:
    """Refuse floating-point values that are not usable.

    Raises
    ------
    Refused
    """
    if not np.isfinite(values).all():
        raise Refused("holds values that are not finite (NaN or infinity)")
    if values.size and max(-float(values.min()), float(values.max())) > LARGEST:
        raise Refused(f"holds values beyond ±{LARGEST:g}, too large to compute with")
