"""Open untrusted files: every defect of a file becomes an error message of one sentence.

Exceptions and warnings of Pillow become an `UnreadableImage`, which names the file and the reason.
"""

from __future__ import annotations

import os
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    PpmImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from striate.errors import UnreadableImage, UsageError
from striate.images.kinds import AVIF_BRANDS, HEIF_BRANDS, advice, brands_in
from striate.images.names import printable
from striate.parameters import Integer, checked

# Pillow knows dozens of formats, some of which start other programs (EPS) or are hardly tested. PPM includes .pgm and
# .ppm, which many data sets use. JPEG, PNG and TIFF have their own modules.
_PLUGINS: tuple[tuple[tuple[bytes, ...], type[ImageFile.ImageFile]], ...] = (
    ((b"BM",), BmpImagePlugin.BmpImageFile),
    ((b"GIF87a", b"GIF89a"), GifImagePlugin.GifImageFile),
    ((b"RIFF",), WebPImagePlugin.WebPImageFile),
    (tuple(b"P" + letter for letter in (b"1", b"2", b"3", b"4", b"5", b"6", b"f")), PpmImagePlugin.PpmImageFile),
    (tuple(struct.pack("<I", size) for size in (12, 16, 40, 52, 56, 64, 108, 124)), BmpImagePlugin.DibImageFile),
)

_LIMIT_VARIABLE = "STRIATE_MAX_PIXELS"

MAX_PIXELS = 100_000_000
"""Images that would need more pixels to be decoded are refused. 100 million is four times a 6000×4000 photograph.

The environment variable ``STRIATE_MAX_PIXELS`` sets another limit."""

_WARNING_MODULES = r"PIL\.|numpy\.lib\.|striate\.images\.(opening|decode|png|jpeg|tiff|raster|npz)$"


class PixelLimit(NamedTuple):
    """How many pixels may be decoded of one image."""

    n_pixels: int
    stated: bool  # by the caller

    def check(self, width: int, height: int, n_pixels: int) -> None:
        """Refuse an image when `n_pixels`, the pixels that have to be decoded, are too many."""
        if n_pixels > self.n_pixels:
            way = "" if self.stated else f"; to read it, set {_LIMIT_VARIABLE} to a higher number"
            raise Refused(f"has {width}×{height} pixels, more than the limit of {self.n_pixels:,}{way}")


def pixel_limit(max_pixels: int | None) -> PixelLimit:
    """The limit that a caller states, or else the environment, or else `MAX_PIXELS`.

    Raises
    ------
    UsageError
        When it is not an integer of at least 1.
    """
    if max_pixels is not None:
        return PixelLimit(checked("max_pixels", max_pixels, Integer(low=1)), stated=True)
    stated = os.environ.get(_LIMIT_VARIABLE, "").replace("_", "")
    limit = int(stated) if stated.isdecimal() else stated
    return PixelLimit(checked(_LIMIT_VARIABLE, limit, Integer(low=1)) if stated else MAX_PIXELS, stated=False)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """An image file, open for reading.

    Whatever fails inside the ``with`` block becomes an `UnreadableImage`.

    Parameters
    ----------
    path : str or path
        The file.

    Yields
    ------
    binary file

    Raises
    ------
    UnreadableImage
        With a reason that tells a person what to do.
    """
    try:
        silence_warnings()
        _require_regular_file(path)
        with open(path, "rb") as file:
            yield file
    except Refused as refusal:
        raise UnreadableImage(printable(path), str(refusal)) from None
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


def open_with_pillow(file: BinaryIO) -> ImageFile.ImageFile:
    """A Pillow image of one of the formats that have no module here, its header read, its pixels not decoded.

    Pillow's own limit of pixels does not apply, since it cannot be set for a single call.
    """
    head = file.read(32)
    file.seek(0)
    if head[4:8] == b"ftyp":
        return _open_in_boxes(file, head)
    for signatures, plugin in _PLUGINS:
        if head.startswith(signatures):
            return plugin(file)
    raise UnidentifiedImageError


def _open_in_boxes(file: BinaryIO, head: bytes) -> ImageFile.ImageFile:
    """HEIC or AVIF; their plug-ins are loaded only for such a file, if they are installed."""
    brands = brands_in(head)
    if brands & AVIF_BRANDS:
        try:
            from PIL import AvifImagePlugin
        except ImportError:
            raise Refused(f"is an AVIF image; {advice('.avif')}") from None
        if not AvifImagePlugin.SUPPORTED:
            raise Refused(f"is an AVIF image; {advice('.avif')}")
        return AvifImagePlugin.AvifImageFile(file)
    if brands & HEIF_BRANDS:
        try:
            from pillow_heif import HeifImageFile
        except ImportError:
            raise Refused(f"is an HEIC image; {advice('.heic')}") from None
        opened: ImageFile.ImageFile = HeifImageFile(file)
        return opened
    raise UnidentifiedImageError


def require_file(path: str | os.PathLike[str]) -> None:
    """Refuse pipes and devices, which could block forever; a missing file is left to the caller.

    Raises
    ------
    UsageError
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UsageError(f"{printable(path)}: is not a regular file")


class Refused(Exception):
    """Raised inside `opened` for a sound file that is refused; its text is the reason."""


def _require_regular_file(path: str | os.PathLike[str]) -> None:
    """Refuse pipes, which block when they are opened, and devices, which may have no end."""
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise Refused("is a folder, not an image")
    if not stat.S_ISREG(mode):
        raise Refused("is not a regular file")


def _why_unidentified(path: str | os.PathLike[str]) -> str:
    if Path(path).stat().st_size == 0:
        return "is empty (zero bytes)"
    return "is not an image (JPEG, PNG, TIFF, BMP, WebP, GIF or PPM), or its beginning is damaged"


def _why_damaged(error: Exception) -> str:
    # Messages of Pillow may quote bytes of the file.
    text = printable(" ".join(str(error).split()))[:100]
    if isinstance(error, EOFError) or "truncated" in text.lower():
        return "is cut off before its end (truncated)"
    return f"is damaged ({text})" if text else "is damaged"


def silence_warnings() -> None:
    """Silence warnings of Pillow about metadata and of NumPy about old files; this module makes its own checks.

    The filter stays in place after a call. `warnings.catch_warnings` is not safe when several threads decode: one may
    restore the filters that another has just replaced. The filter is limited to modules of Pillow, NumPy's file
    modules, and those of this package to which Python attributes some of their warnings.
    """
    first = warnings.filters[0] if warnings.filters else None
    # First in the list, because the caller may have turned warnings into errors since the last call.
    if first is None or first[0] != "ignore" or getattr(first[3], "pattern", None) != _WARNING_MODULES:
        warnings.filterwarnings("ignore", module=_WARNING_MODULES)
