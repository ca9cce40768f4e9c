"""Read one image file: float32, channels first, upright, 0–1.

`opening` opens files and turns their defects into messages; PNG, JPEG and TIFF have their own modules; `raster`
converts stored samples to floats.
"""

from __future__ import annotations

import os
import re
from typing import BinaryIO, Protocol

import numpy as np
from PIL import Image

from striate.images.color import to_rgb
from striate.images.exif import orientation_in
from striate.images.jpeg import SIGNATURE as JPEG_SIGNATURE
from striate.images.jpeg import JpegFile
from striate.images.memory import BUDGET
from striate.images.opening import PixelLimit, Refused, open_with_pillow, opened, pixel_limit
from striate.images.png import SIGNATURE as PNG_SIGNATURE
from striate.images.png import PngFile
from striate.images.raster import DeepRaster, PillowRaster, Raster, assemble
from striate.images.tiff import SIGNATURES as TIFF_SIGNATURES
from striate.images.tiff import TiffFile
from striate.parameters import Boolean, Integer, checked

_GAP = rb"(?:\s|#[^\n]*\n)+"
_PPM = re.compile(rb"P6" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)" + _GAP + rb"(\d{1,5})\s")
_SIXTEEN_BIT_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})


class _File(Protocol):
    """An image file whose header has been read. Its size is as stored, before it is turned upright."""

    width: int
    height: int
    n_channels: int
    orientation: int
    upright: bool  # whether `raster` gives it upright already

    def n_pixels(self, at_least: int | None) -> int: ...
    def n_bytes(self, at_least: int | None) -> float: ...
    def raster(self, at_least: int | None, *, grey: bool) -> Raster: ...


def read_image(
    path: str | os.PathLike[str],
    *,
    color: bool | None = None,
    at_least: int | None = None,
    max_pixels: int | None = None,
) -> np.ndarray:
    """Decode an image file.

    Reads JPEG, PNG, TIFF, BMP, WebP, GIF and PPM, and HEIC and AVIF when Pillow's plug-ins for them are installed. Of
    several frames or pages, the first is read. The image is turned upright according to its EXIF orientation.

    Parameters
    ----------
    path : str or path
        The file; its content decides the format, not its ending.
    color : bool, optional
        True gives red, green and blue; False gives luma (BT.601); None, the default, gives one channel for a
        file that stores grey and three for any other.
    at_least : int, optional
        Allow the image to be reduced by a whole factor, averaging boxes of pixels, as long as its longer side keeps at
        least this number of pixels. Large photographs decode several times faster: a JPEG is then decoded at 1/2,
        1/4 or 1/8. Default: full size.
    max_pixels : int, optional
        Files that need more pixels to be decoded are refused beforehand. Default: the environment variable
        ``STRIATE_MAX_PIXELS``, or else 100 million.

    Returns
    -------
    (1 or 3, height, width) float32 array
        0–1. Integers are divided by the largest value of their depth: 255 for 8 bits, 4,095 for 12 and 65,535 for 16;
        signed integers by their largest value, if none is negative. Integers of 32 bits are divided by 255 when none is
        greater, else by 65,535 when none is greater, else, when they are unsigned, by 4,294,967,295. Floating-point
        values of 16, 32 and 64 bits are returned as they are.

    Raises
    ------
    UnreadableImage
        When there is no such file, it cannot be opened, it is not an image of these kinds, it is damaged, cut off or
        too large, or it holds values that are not finite or beyond ±1e15.
    UsageError
        When a parameter is none of these.

    Notes
    -----
    *Transparent images* are placed on white, for which most are drawn. An image that would be invisible there, such as
    a white icon, is placed on black. This is the case when fewer than 1 % of the pixels that are at least half opaque
    have a luma below 0.85.

    *Grey from JPEG* is the luma channel that the file stores, which costs half the decoding; it differs from
    the luma of the decoded colors by rounding.

    *Metadata* is used for the orientation only. Color profiles are not applied, and damaged text, profiles or checksums
    of metadata do not prevent reading the pixels; neither does a missing end marker of a JPEG.

    *Memory*: all decoding threads share a budget of half a gigabyte; an image that needs more is decoded alone.
    """
    color, at_least = checked("color", color, Boolean() | None), checked("at_least", at_least, Integer(low=1) | None)
    limit = pixel_limit(max_pixels)
    with opened(path) as file:
        source = _recognized(file)
        limit.check(source.width, source.height, source.n_pixels(at_least))
        with BUDGET.taken(source.n_bytes(at_least)):
            raster = source.raster(at_least, grey=color is False)
            factor = _whole_factor(max(raster.height, raster.width), at_least)
            pixels = assemble(raster, factor, grey=color is False)
            orientation = 1 if source.upright else source.orientation
            del raster, source  # release their memory before other threads use the budget
        # A rotated image is a view until here; the following steps read it row by row.
        pixels = np.ascontiguousarray(_upright(pixels, orientation))
    return to_rgb(pixels) if color else pixels


def image_size(path: str | os.PathLike[str], *, max_pixels: int | None = None) -> tuple[int, int, int]:
    """Height, width and channels of the result of `read_image`, from the header of the file.

    Parameters
    ----------
    path : str or path
        The file.
    max_pixels : int, optional
        Files that need more pixels to be decoded, even at the strongest reduction, are refused.

    Returns
    -------
    tuple of int
        Height and width of the upright image in pixels; channels, 1 or 3.

    Raises
    ------
    UnreadableImage
        When the header cannot be read. A file whose header is good may still fail in `read_image`.
    """
    limit = pixel_limit(max_pixels)
    with opened(path) as file:
        source = _recognized(file)
        height, width, n_channels = source.height, source.width, source.n_channels
        limit.check(width, height, source.n_pixels(at_least=1))
        if source.orientation >= 5:
            height, width = width, height
    return height, width, n_channels


def decoded(file: BinaryIO, limit: PixelLimit, *, color: bool | None = None, at_least: int | None = None) -> np.ndarray:
    """The image that an open file holds, inside `opened` of what the file lies in.

    The steps are those of `read_image`, which keeps its text while results stand that were measured with it.
    """
    source = _recognized(file)
    limit.check(source.width, source.height, source.n_pixels(at_least))
    with BUDGET.taken(source.n_bytes(at_least)):
        raster = source.raster(at_least, grey=color is False)
        pixels = assemble(raster, _whole_factor(max(raster.height, raster.width), at_least), grey=color is False)
        orientation = 1 if source.upright else source.orientation
        del raster, source
    pixels = np.ascontiguousarray(_upright(pixels, orientation))
    return to_rgb(pixels) if color else pixels


def size_in_header(file: BinaryIO, limit: PixelLimit) -> tuple[int, int, int]:
    """Size and channels of the image that an open file holds, inside `opened` of what it lies in."""
    source = _recognized(file)
    limit.check(source.width, source.height, source.n_pixels(at_least=1))
    height, width = (source.height, source.width) if source.orientation < 5 else (source.width, source.height)
    return height, width, source.n_channels


def box_reduce(image: np.ndarray, at_least: int | None) -> np.ndarray:
    """Reduce a decoded image by the largest whole factor that leaves its longer side at least `at_least` pixels.

    Parameters
    ----------
    image : (channels, height, width) float32 array
        An image.
    at_least : int or None
        Smallest allowed length of the longer side in pixels; None means no reduction.

    Returns
    -------
    (channels, ceil(height / factor), ceil(width / factor)) float32 array
        Means over boxes; `image` itself when the factor is 1.
    """
    factor = _whole_factor(max(image.shape[1:]), at_least)
    if factor == 1:
        return image
    planes = [Image.fromarray(np.ascontiguousarray(channel)).reduce(factor) for channel in image]
    return np.stack([np.asarray(plane) for plane in planes])


def _whole_factor(longer_side: int, at_least: int | None) -> int:
    return 1 if at_least is None else max(1, longer_side // max(1, at_least))


def _recognized(file: BinaryIO) -> _File:
    head = file.read(8)
    file.seek(0)
    if head == PNG_SIGNATURE:
        return PngFile(file)
    if head.startswith(JPEG_SIGNATURE):
        return JpegFile(file)
    if head.startswith(TIFF_SIGNATURES):
        return TiffFile(file)
    return _PillowFile(file)


class _PillowFile:
    """BMP, WebP, GIF, PPM, AVIF, HEIC: Pillow decodes them without loss of depth."""

    upright = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._picture = picture = open_with_pillow(file)
        self.width, self.height = picture.size
        self._deep = picture.mode in _SIXTEEN_BIT_MODES or picture.mode == "F"
        self.n_channels = 1 if self._deep or picture.mode in ("1", "L", "LA", "La") else 3
        xmp = picture.info.get("xmp")
        self.orientation = orientation_in(picture.info.get("exif"), xmp if isinstance(xmp, bytes) else None)

    def n_pixels(self, at_least: int | None) -> int:
        return self.width * self.height

    def n_bytes(self, at_least: int | None) -> float:
        return 8 * self.n_pixels(at_least)

    def raster(self, at_least: int | None, *, grey: bool) -> Raster:
        deep = self._deep_color()
        if deep is not None:
            return deep
        self._picture.load()
        if not self._deep:
            return PillowRaster(self._picture)
        stored = np.asarray(self._picture)
        if self._picture.mode == "F":
            return DeepRaster(stored[..., None], white=None)
        if stored.min() < 0 or stored.max() > 65535:
            raise Refused("holds integers outside 0–65,535: save it with 8 or 16 bits, or as floating point")
        return DeepRaster(stored[..., None], white=65535)  # Pillow scales a PGM of any depth to this

    def _deep_color(self) -> Raster | None:
        """A binary PPM of more than 8 bits, of which Pillow would keep 8."""
        self._file.seek(0)
        match = _PPM.match(self._file.read(1 << 16))
        if match is None or not 255 < (white := int(match[3])) <= 65535:
            return None
        self._file.seek(match.end())
        n_values = self.height * self.width * 3
        data = self._file.read(2 * n_values)
        if len(data) < 2 * n_values:
            raise Refused("is cut off before its end (truncated)")
        samples = np.frombuffer(data, ">u2").reshape(self.height, self.width, 3)
        return DeepRaster(np.minimum(samples, white), white=white, kind="rgb")


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the orientation of the camera: 1–4 keep rows, 5–8 exchange rows and columns (EXIF 2.32, tag 274)."""
    if orientation >= 5:
        pixels = pixels.transpose(0, 2, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[:, ::-1, :]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, :, ::-1]
    return pixels
