"""Read one picture file: float32, channels first, upright, 0–1.

How a file is opened, and what becomes of everything that can be wrong with it, is in `opening`.
"""

from __future__ import annotations

import os

import numpy as np
from PIL import Image, TiffImagePlugin

from striate.images.color import to_grey, to_rgb
from striate.images.opening import MAX_PIXELS, Refused, opened

_SIXTEEN_BIT_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
_GREY_MODES = frozenset({"1", "L", "LA", "La", "F"}) | _SIXTEEN_BIT_MODES
# Tags of EXIF and TIFF.
_TIFF_WIDTH, _TIFF_HEIGHT, _PHOTOMETRIC_INTERPRETATION, _ORIENTATION = 256, 257, 262, 274


def read_image(
    path: str | os.PathLike[str],
    *,
    color: bool | None = None,
    at_least: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Decode a picture file.

    Reads JPEG, PNG, TIFF, BMP, WebP, GIF and PPM; of several frames or pages, the first. The picture is
    turned upright as its EXIF orientation says.

    Parameters
    ----------
    path : str or path
        The file; its content counts, not its ending.
    color : bool, optional
        True gives red, green and blue; False gives luma (BT.601); None, the default, gives one channel for a
        file that stores grey and three for any other.
    at_least : int, optional
        The picture may come reduced by a whole factor, boxes of pixels averaged, as long as its longer side
        keeps this many pixels. Big photographs decode several times faster so: a JPEG is then decoded at 1/2,
        1/4 or 1/8. Default: full size.
    max_pixels : int
        Files that claim more pixels are refused before anything is decoded.

    Returns
    -------
    (1 or 3, height, width) float32 array
        0–1. Integers of 8 bits are divided by 255, grey ones of 16 bits by 65,535; a floating-point TIFF is
        returned as it is.

    Raises
    ------
    UnreadableImage
        When there is no such file, it cannot be opened, is no picture, is damaged or cut off, is too large,
        or holds values that are not finite.

    Notes
    -----
    *Transparency* is laid on white, the page that transparent pictures are drawn for: on black, dark line
    drawings would vanish and dark objects would get a bright rim.

    *Grey from JPEG* is the luma channel that the file stores, which costs half the decoding; it differs from
    the luma of the decoded colors by rounding.

    Color profiles are not applied. Pillow keeps 8 of 16 bits of color pictures.
    """
    with opened(path, max_pixels) as picture:
        _draft(picture, at_least, grey=color is False)
        picture.load()
        if picture.mode in _SIXTEEN_BIT_MODES or picture.mode == "F":
            pixels = box_reduce(_deep_grey(picture), at_least)
        else:
            pixels = _eight_bits(picture, at_least)
        # A turned picture is a view until here; whatever follows reads it row by row.
        pixels = np.ascontiguousarray(_upright(pixels, _orientation(picture)))
    if color is None:
        return pixels
    return to_rgb(pixels) if color else to_grey(pixels)


def image_size(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> tuple[int, int, int]:
    """Height, width and channels that `read_image` will give, from the file's header alone.

    Parameters
    ----------
    path : str or path
        The file.
    max_pixels : int
        Files that claim more pixels are refused, as by `read_image`.

    Returns
    -------
    tuple of int
        Height and width of the upright picture in pixels; channels, 1 or 3.

    Raises
    ------
    UnreadableImage
        When the header cannot be read. A file whose header is good may still fail in `read_image`.
    """
    with opened(path, max_pixels) as picture:
        if isinstance(picture, TiffImagePlugin.TiffImageFile):
            # From the tags: versions of Pillow differ in whether `size` is that of the upright picture.
            width, height = picture.tag_v2[_TIFF_WIDTH], picture.tag_v2[_TIFF_HEIGHT]
            orientation = picture.tag_v2.get(_ORIENTATION, 1)
        else:
            width, height = picture.size
            orientation = _orientation(picture) if _has_metadata(picture) else 1
        if orientation in (5, 6, 7, 8):
            width, height = height, width
        n_channels = 1 if picture.mode in _GREY_MODES else 3
    return height, width, n_channels


def box_reduce(image: np.ndarray, at_least: int | None) -> np.ndarray:
    """Reduce a decoded picture by the greatest whole factor that leaves its longer side `at_least` pixels.

    Parameters
    ----------
    image : (channels, height, width) float32 array
        A picture.
    at_least : int or None
        Least length of the longer side in pixels; None reduces nothing.

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


def _draft(picture: Image.Image, at_least: int | None, *, grey: bool) -> None:
    """Let a JPEG's decoder reduce and skip the colors; the decoders of other formats ignore this."""
    width, height = picture.size
    # Below 8 pixels the rounding of Pillow's own choice of scale could fall short of at_least.
    factor = 1 if at_least is None else min(8, _whole_factor(max(width, height), max(8, at_least)))
    # Pillow takes the greatest of 8, 4, 2, 1 that exceeds neither width // size[0] nor height // size[1].
    size = (max(1, width // factor), max(1, height // factor))
    picture.draft("L" if grey else None, size)  # None: keep the mode


def _deep_grey(picture: Image.Image) -> np.ndarray:
    """Grey of 16 bits or floating point, as (1, height, width) float32."""
    stored = np.asarray(picture)
    if picture.mode == "F":
        if not np.isfinite(stored).all():
            raise Refused("holds values that are not finite (NaN or infinity)")
        return stored.astype(np.float32)[None]
    # Pillow's mode I has 32 bits, and is also how some versions hand out 16.
    if stored.min() < 0 or stored.max() > 65535:
        raise Refused("holds integers outside 0–65,535: save it with 8 or 16 bits, or as floating point")
    pixels = stored.astype(np.float32) / np.float32(65535)
    if _white_is_zero(picture):
        pixels = 1 - pixels
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        pixels[stored == transparent] = 1.0
    return pixels[None]


def _white_is_zero(picture: Image.Image) -> bool:
    """Whether a TIFF stores its negative; Pillow inverts that for 8 bits, not for 16."""
    return isinstance(picture, TiffImagePlugin.TiffImageFile) and picture.tag_v2.get(_PHOTOMETRIC_INTERPRETATION) == 0


def _eight_bits(picture: Image.Image, at_least: int | None) -> np.ndarray:
    """Every other mode, on white, as (1 or 3, height, width) float32."""
    opaque = _on_white(picture)
    # Averaged before the conversion to float, which takes four times the memory.
    factor = _whole_factor(max(opaque.size), at_least)
    stored = np.asarray(opaque.reduce(factor) if factor > 1 else opaque)
    channels_first = stored[None] if stored.ndim == 2 else stored.transpose(2, 0, 1)
    pixels = np.empty(channels_first.shape, dtype=np.float32)
    return np.divide(channels_first, np.float32(255), out=pixels)


def _on_white(picture: Image.Image) -> Image.Image:
    """The picture in mode L or RGB, laid on white where it is transparent."""
    if picture.mode == "LAB":
        raise Refused("stores Lab colors: save it as RGB")
    grey = picture.mode in _GREY_MODES
    transparent = "transparency" in picture.info or picture.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    mode = "L" if grey else "RGB"
    if not transparent:
        return picture if picture.mode == mode else picture.convert(mode)
    layered = picture.convert("LA" if grey else "RGBA")
    page = Image.new(mode, picture.size, "white")
    page.paste(layered.convert(mode), mask=layered.getchannel("A"))
    return page


def _has_metadata(picture: Image.Image) -> bool:
    """Whether an orientation may be there; asking Pillow for that of a plain PNG decodes all of it."""
    return any(key in picture.info for key in ("exif", "xmp", "XML:com.adobe.xmp"))


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation, 1–8; 1, upright, where there is none or the metadata is damaged."""
    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
    except Exception:
        # A picture whose pixels are sound is not thrown away for its metadata.
        return 1
    return orientation if orientation in range(1, 9) else 1


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the camera's orientation: 1–4 keep rows as rows, 5–8 have them as columns (EXIF 2.32, tag 274)."""
    if orientation >= 5:
        pixels = pixels.transpose(0, 2, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[:, ::-1, :]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, :, ::-1]
    return pixels
