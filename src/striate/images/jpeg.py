"""JPEG files. Their segments are read here, so that damaged metadata does no harm and the number of scans is bounded.

References
----------
ITU-T Recommendation T.81, annex B: compressed data formats.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from PIL import Image, JpegImagePlugin

from striate.images.exif import orientation_in
from striate.images.opening import Refused
from striate.images.raster import PillowRaster, Raster

SIGNATURE = b"\xff\xd8"

MAX_SCANS = 100
"""A progressive file with more is refused: cameras write about ten, and each takes a pass over the image."""

_END = b"\xff\xd9"
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the others are tables
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_HUFFMAN = frozenset(range(0xC0, 0xC8))
# Within a scan a byte of 255 is followed by zero, a restart marker, or the marker of what comes next.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SCAN, _EXIF, _ADOBE, _COMMENT = 0xDA, 0xE1, 0xEE, 0xFE
_KEPT = frozenset({0xE0, _ADOBE})  # of the application segments: what JFIF and Adobe state about the colors
_XMP = b"http://ns.adobe.com/xap/1.0/\0"


@dataclass
class _Header:
    """The part of the file before the first scan."""

    frame: int = 0  # the marker that tells the kind of coding
    precision: int = 0
    width: int = 0
    height: int = 0
    n_components: int = 0
    exif: bytes | None = None
    xmp: bytes | None = None
    needed: list[bytes] = field(default_factory=list)
    start: int = 0  # of the first scan


class JpegFile:
    """A JPEG file whose header has been read.

    Parameters
    ----------
    file : binary file
        At its beginning.

    Raises
    ------
    Refused
        When the kind of coding cannot be decoded, or there is no header.
    """

    upright = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(len(SIGNATURE))
        self._header = header = _read_header(file)
        if header.frame in _LOSSLESS:
            raise Refused("is a lossless JPEG: save it as PNG or TIFF")
        if header.precision != 8:
            raise Refused(f"is a JPEG of {header.precision} bits per value: save it with 8 bits, or as PNG or TIFF")
        if not header.width or not header.height:
            raise Refused("is damaged (its header states no size)")
        self.width, self.height = header.width, header.height
        self.n_channels = 1 if header.n_components == 1 else 3
        self.orientation = orientation_in(header.exif, header.xmp)

    def n_pixels(self, at_least: int | None) -> int:
        """Number of pixels that have to be decoded: all of a progressive file, a part of others."""
        factor = 1 if self._header.frame in _PROGRESSIVE else self._scale(at_least)
        return -(-self.width // factor) * -(-self.height // factor)

    def n_bytes(self, at_least: int | None) -> float:
        """Approximate memory for decoding: the pixels, and the coefficients of a progressive file."""
        coefficients = 2 * self._header.n_components if self._header.frame in _PROGRESSIVE else 0
        return self.width * self.height * (coefficients + 4 / self._scale(at_least) ** 2)

    def raster(self, at_least: int | None, *, grey: bool) -> Raster:
        """Decode the pixels, at 1/2, 1/4 or 1/8 of the size when that suffices."""
        self._file.seek(self._header.start)
        scans = _Scans(self._file.read(), self._header)
        if scans.n > MAX_SCANS:
            raise Refused(f"has more than {MAX_SCANS} scans, and each takes a pass over the image: save it again")
        if self._header.frame in _HUFFMAN and 8 * len(scans.data) < scans.least_bits:
            raise Refused("is cut off before its end (truncated): its header claims more pixels than it can hold")
        data = SIGNATURE + b"".join(self._header.needed) + scans.data
        try:
            return PillowRaster(self._decoded(data, at_least, grey=grey))
        except OSError as error:
            if "truncated" not in str(error) or not scans.complete:
                raise
        return PillowRaster(self._without_end(data, at_least, grey=grey))

    def _without_end(self, data: bytes, at_least: int | None, *, grey: bool) -> Image.Image:
        """The pixels of a file without its end marker, provided that all are there.

        When pixels are missing, the decoder would invent them from the bytes that follow.
        """
        data = data.removesuffix(b"\xff")
        image = self._decoded(data + _END, at_least, grey=grey)
        noise = np.random.default_rng(0).integers(0, 255, 256, dtype=np.uint8).tobytes()
        other = self._decoded(data + noise + _END, at_least, grey=grey)
        if image.tobytes() != other.tobytes():
            raise Refused("is cut off before its end (truncated)")
        return image

    def _decoded(self, data: bytes, at_least: int | None, *, grey: bool) -> Image.Image:
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        factor = self._factor(at_least)
        # Pillow takes the greatest of 8, 4, 2, 1 that exceeds neither width // size[0] nor height // size[1].
        size = (max(1, self.width // factor), max(1, self.height // factor))
        image.draft("L" if grey else None, size)  # None: keep the mode
        image.load()
        return image

    def _factor(self, at_least: int | None) -> int:
        # Below 8 pixels the rounding of Pillow's own choice of scale could fall short of at_least.
        return 1 if at_least is None else min(8, max(1, max(self.width, self.height) // max(8, at_least)))

    def _scale(self, at_least: int | None) -> int:
        return 1 << (self._factor(at_least).bit_length() - 1)


def _read_header(file: BinaryIO) -> _Header:
    header = _Header()
    while True:
        start = file.tell()
        marker = _next_marker(file)
        if marker is None or marker == 0xD9:
            raise Refused(
                "is cut off before its end (truncated)" if marker is None else "is damaged (it has no pixels)"
            )
        if marker == _SCAN:
            if not header.frame:
                raise Refused("is damaged (its pixels come before its header)")
            header.start = start
            return header
        if marker in _WITHOUT_LENGTH:
            continue
        stated = file.read(2)
        length = int.from_bytes(stated, "big")
        content = file.read(max(0, length - 2))
        if len(stated) < 2 or length < 2 or len(content) < length - 2:
            raise Refused("is cut off before its end (truncated)")
        _take(header, marker, stated, content)


def _next_marker(file: BinaryIO) -> int | None:
    """Skip unexpected bytes and fill bytes of 255; return the marker's second byte, or None at the end."""
    byte = file.read(1)
    while byte:
        if byte != b"\xff":
            byte = file.read(1)
            continue
        while byte == b"\xff":
            byte = file.read(1)
        if byte not in (b"", b"\0"):
            return byte[0]
    return None


def _take(header: _Header, marker: int, stated: bytes, content: bytes) -> None:
    if marker in _FRAMES:
        if len(content) < 6:
            raise Refused("is damaged (its header is too short)")
        header.frame = marker
        header.precision, header.height, header.width, header.n_components = struct.unpack(">BHHB", content[:6])
    elif marker == _EXIF:
        if content.startswith(b"Exif\0\0"):
            header.exif = header.exif or content
        elif content.startswith(_XMP):
            header.xmp = header.xmp or content
        return
    elif marker == _COMMENT or (0xE0 <= marker <= 0xEF and not (marker in _KEPT and len(content) >= 12)):
        return
    header.needed.append(bytes([0xFF, marker]) + stated + content)


class _Scans:
    """The scans of a file, up to its end marker.

    Parameters
    ----------
    data : bytes
        From the first scan to the end of the file.
    header : _Header

    Attributes
    ----------
    data : bytes
        Without the bytes after the end marker, which may hold a second image or a film.
    n : int
        Number of scans; counting stops above `MAX_SCANS`.
    """

    def __init__(self, data: bytes, header: _Header) -> None:
        self._progressive = header.frame in _PROGRESSIVE
        self._n_components = header.n_components
        self._missing: dict[int, set[int]] = {}
        self.least_bits = (header.width * header.height // 64) * (1 if self._progressive else 2)
        self.n = 0
        position, end = 0, len(data)
        while self.n <= MAX_SCANS and (match := _MARKER.search(data, position)):
            marker, position = data[match.start() + 1], match.end()
            if marker == 0xD9:
                end = position
                break
            if marker in _WITHOUT_LENGTH:
                continue
            length = int.from_bytes(data[position : position + 2], "big")
            if marker == _SCAN:
                self.n += 1
                self._note(data[position + 2 : position + length])
            position += length
        self.data = data[:end]

    def _note(self, content: bytes) -> None:
        """Each scan states its components, a range of coefficients and the bits that it leaves to later ones."""
        if not content or len(content) < 2 * content[0] + 4:
            return
        first, last, approximation = content[1 + 2 * content[0] :][:3]
        for component in content[1 : 1 + 2 * content[0] : 2]:
            left = self._missing.setdefault(component, set(range(64)))
            if not self._progressive:
                left.clear()
            elif approximation & 15 == 0:
                left -= set(range(first, last + 1))

    @property
    def complete(self) -> bool:
        """Whether there is a last scan for every coefficient, so that only the end of it may be missing."""
        return len(self._missing) == self._n_components and not any(self._missing.values())
