"""Open files that come from strangers: whatever a file does wrong ends as one sentence.

No exception or warning of Pillow leaves this module other than as an `UnreadableImage`, which names the file
and the reason.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from striate.errors import UnreadableImage
from striate.images.kinds import advice
from striate.images.names import printable

# Pillow knows dozens of formats, some of which start other programs (EPS) or are hardly ever tested. PPM
# covers the .pgm and .ppm of many data sets. The plugins are imported by name: Pillow would otherwise import
# all of them to find TIFF, which takes longer than everything else here.
_FORMATS = (
    JpegImagePlugin.JpegImageFile.format,
    PngImagePlugin.PngImageFile.format,
    TiffImagePlugin.TiffImageFile.format,
    BmpImagePlugin.BmpImageFile.format,
    BmpImagePlugin.DibImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
    GifImagePlugin.GifImageFile.format,
    PpmImagePlugin.PpmImageFile.format,
)

MAX_PIXELS = 100_000_000
"""Pictures with more are refused before decoding: 100 million is four times a 6000×4000 photograph."""

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

_PILLOW_WARNINGS = r"PIL\.|striate\.images\.(opening|decode)$"


@contextmanager
def opened(path: str | os.PathLike[str], max_pixels: int) -> Iterator[Image.Image]:
    """A picture file as a Pillow image, its header read, its pixels not decoded.

    Whatever fails inside the ``with`` block becomes an `UnreadableImage`.

    Parameters
    ----------
    path : str or path
        The file; its content decides the format, not its ending.
    max_pixels : int
        Files that claim more pixels are refused here, before anything is decoded.

    Yields
    ------
    PIL.Image.Image

    Raises
    ------
    UnreadableImage
        Always with one reason that a person can act on.
    """
    try:
        _silence_pillow()
        _require_regular_file(path)
        with open(path, "rb") as file, Image.open(file, formats=_formats(file)) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise Refused(f"has {width}×{height} pixels, more than the limit of {max_pixels:,}")
            yield picture
    except Refused as refusal:
        raise UnreadableImage(printable(path), str(refusal)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        reason = f"claims far more pixels than the limit of {max_pixels:,}"
        raise UnreadableImage(printable(path), reason) from None
    except UnidentifiedImageError:
        raise UnreadableImage(printable(path), _why_unidentified(path)) from None
    except FileNotFoundError:
        raise UnreadableImage(printable(path), "does not exist") from None
    except PermissionError:
        raise UnreadableImage(printable(path), "cannot be opened: permission denied") from None
    except OSError as error:
        # The system's errors have a number; Pillow uses the same class, without one, for damaged files.
        reason = _why_damaged(error) if error.errno is None else f"cannot be read: {error.strerror}"
        raise UnreadableImage(printable(path), reason) from error
    except MemoryError:
        # Pillow also says so of damaged files whose header promises more than there is.
        raise UnreadableImage(printable(path), "does not fit into memory, or is damaged") from None
    except Exception as error:
        # Decoders meet damaged bytes in many ways: SyntaxError, ValueError, struct.error, zlib.error, …
        raise UnreadableImage(printable(path), _why_damaged(error)) from error


def _formats(file: BinaryIO) -> tuple[str, ...]:
    """What a file may be. Pillow's plug-ins for HEIC and AVIF are loaded for such a file alone, if they are there."""
    head = file.read(32)
    file.seek(0)
    if head[4:8] != b"ftyp":
        return _FORMATS
    brands = {head[8:12], head[16:20], head[20:24], head[24:28], head[28:32]}
    if brands & {b"avif", b"avis"}:
        try:
            from PIL import AvifImagePlugin
        except ImportError:
            raise Refused(f"is an AVIF image; {advice('.avif')}") from None
        if AvifImagePlugin.SUPPORTED:
            return (AvifImagePlugin.AvifImageFile.format,)
        raise Refused(f"is an AVIF image; {advice('.avif')}")
    if brands & _HEIF_BRANDS:
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            raise Refused(f"is an HEIC image; {advice('.heic')}") from None
        register_heif_opener()
        return ("HEIF",)
    return _FORMATS


class Refused(Exception):
    """Raised inside `opened` for a file that is sound but not wanted; its text is the reason."""


def _require_regular_file(path: str | os.PathLike[str]) -> None:
    """Opening a pipe would wait for ever; reading a device might never end."""
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise Refused("is a folder, not a picture")
    if not stat.S_ISREG(mode):
        raise Refused("is not a regular file")


def _why_unidentified(path: str | os.PathLike[str]) -> str:
    if Path(path).stat().st_size == 0:
        return "is empty (zero bytes)"
    return "is not a picture (JPEG, PNG, TIFF, BMP, WebP, GIF or PPM), or its beginning is damaged"


def _why_damaged(error: Exception) -> str:
    # Pillow quotes the bytes that it stumbled over.
    text = printable(" ".join(str(error).split()))[:100]
    if isinstance(error, EOFError) or "truncated" in text.lower():
        return "is cut off before its end (truncated)"
    return f"is damaged ({text})" if text else "is damaged"


def _silence_pillow() -> None:
    """Keep Pillow from warning about strange metadata or large pictures: it is judged here.

    The filter stays in place after a call. `warnings.catch_warnings` would be tidier, but is not safe where
    several threads decode: one restores the filters that another has just set, possibly for good. It names
    Pillow's modules alone, and ours, from which some of Pillow's warnings seem to come.
    """
    first = warnings.filters[0] if warnings.filters else None
    # In front, because somebody may have turned warnings into errors since the last call.
    if first is None or first[0] != "ignore" or getattr(first[3], "pattern", None) != _PILLOW_WARNINGS:
        warnings.filterwarnings("ignore", module=_PILLOW_WARNINGS)
