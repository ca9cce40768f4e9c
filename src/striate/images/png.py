"""PNG files: only the chunks that the pixels depend on are read and checked.

Text, color profiles and times do not affect the pixels, but Pillow refuses files in which they are large or damaged.
Pillow also keeps only 8 of 16 bits; the other 8 are decoded in a second pass.

References
----------
Portable Network Graphics (PNG) Specification (Third Edition), W3C 2025.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from striate.images.exif import orientation_in
from striate.images.opening import Refused
from striate.images.raster import DeepRaster, PillowRaster, Raster, bands

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGBA = 0, 2, 3, 4, 6
_N_CHANNELS = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGBA: 4}
# First positions and steps of the passes of an interlaced image.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_CHUNK_LIMIT = 1 << 20  # bytes of Exif or XMP; a camera writes less


class PngFile:
    """A PNG file whose header has been read.

    Parameters
    ----------
    file : binary file
        At its beginning.

    Raises
    ------
    Refused
        When a chunk that the pixels depend on is damaged.
    """

    upright = False

    def __init__(self, file: BinaryIO) -> None:
        file.seek(len(SIGNATURE))
        self._file = file
        self._pixels: list[tuple[int, int]] = []  # position and length of the data of each IDAT
        self._chunks: dict[bytes, bytes] = {}
        self._walk()
        header = self._chunks.get(b"IHDR", b"")
        if len(header) != 13:
            raise Refused("is damaged (it does not begin with a header)")
        self.width, self.height, self._depth, self._color, _, _, interlaced = struct.unpack(">IIBBBBB", header)
        if not self.width or not self.height or self._color not in _N_CHANNELS:
            raise Refused("is damaged (its header makes no sense)")
        if self._color == _PALETTE and not self._chunks.get(b"PLTE"):
            raise Refused("is damaged (it has no palette)")
        self._interlaced = interlaced != 0
        self.n_channels = 1 if self._color in (_GREY, _GREY_ALPHA) else 3
        self.orientation = orientation_in(self._chunks.get(b"eXIf"), self._chunks.get(b"iTXt"))

    def n_pixels(self, at_least: int | None) -> int:
        """Number of pixels that have to be decoded."""
        return self.width * self.height

    def n_bytes(self, at_least: int | None) -> int:
        """Approximate memory for decoding."""
        per_pixel = _N_CHANNELS[self._color] * 2 + 4 if self._depth == 16 else 4
        return self.n_pixels(at_least) * per_pixel + sum(length for _, length in self._pixels)

    def raster(self, at_least: int | None, *, grey: bool) -> Raster:
        """Decode the pixels."""
        data = self._needed()
        if self._depth < 16:
            return PillowRaster(self._shallow(data))
        n_channels = _N_CHANNELS[self._color]
        samples = np.zeros((self.height, self.width, n_channels), np.uint16)
        if self._color == _GREY:
            self._add(samples, data)
        elif self._color == _GREY_ALPHA:  # four bytes per pixel, as in RGBA
            self._add(samples, data, "RGBA", "RGBA", view=">u2")
        else:
            mode = "RGB" if self._color == _RGB else "RGBA"
            self._add(samples, data, mode, f"{mode};16B", shift=8)  # the high bytes
            self._add(samples, data, mode, f"{mode};16L")  # the low ones
        return DeepRaster(
            samples,
            white=65535,
            kind="grey" if self.n_channels == 1 else "rgb",
            alpha="straight" if n_channels in (2, 4) else None,
            key=self._key() if n_channels in (1, 3) else None,
        )

    def _walk(self) -> None:
        """Find the chunks that the pixels depend on; read and check all of them except the pixels."""
        while len(head := self._file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            start = self._file.tell()
            if kind == b"IEND":
                return
            if kind == b"IDAT":
                self._pixels.append((start, length))
            elif kind in (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"iTXt"):
                self._take(kind, length)
            elif kind[:1].isupper():
                name = kind.decode("latin-1") if kind.isalpha() else "without a name"
                raise Refused(f"is damaged, or needs a reader of its own (chunk {name})")
            self._file.seek(start + length + 4)

    def _take(self, kind: bytes, length: int) -> None:
        critical = kind in (b"IHDR", b"PLTE")
        if not critical and (length > _CHUNK_LIMIT or kind in self._chunks):
            return
        if critical and length > 768:  # a palette of 256 colors
            raise Refused("is damaged (its header is too long)")
        data, stored = self._file.read(length), self._file.read(4)
        if kind == b"iTXt" and not data.startswith(b"XML:com.adobe.xmp\0\0"):
            return
        if len(stored) < 4 or zlib.crc32(kind + data) != int.from_bytes(stored, "big"):
            if critical:
                raise Refused("is damaged (a checksum in its header is wrong)")
            return
        self._chunks[kind] = data

    def _needed(self) -> bytes:
        """A PNG file with only the chunks that the pixels depend on."""
        parts = [SIGNATURE]

        def add(kind: bytes, data: bytes) -> None:
            parts.extend([struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(kind + data))])

        for kind in (b"IHDR", b"PLTE", b"tRNS"):
            if kind in self._chunks and not (kind == b"tRNS" and self._depth == 16):
                add(kind, self._chunks[kind])
        for start, length in self._pixels:
            self._file.seek(start)
            data, stored = self._file.read(length), self._file.read(4)
            # A file that is cut off is left to the decoder: all pixels may be there.
            if len(stored) == 4 and zlib.crc32(b"IDAT" + data) != int.from_bytes(stored, "big"):
                raise Refused("is damaged (a checksum of its pixels is wrong)")
            add(b"IDAT", data)
        add(b"IEND", b"")
        return b"".join(parts)

    def _shallow(self, data: bytes) -> Image.Image:
        image = PngImagePlugin.PngImageFile(io.BytesIO(data))
        key = self._key()
        if self._color == _GREY and key is not None:  # as a value of 8 bits, which Pillow makes of all depths
            image.info["transparency"] = key[0] * 255 // (2**self._depth - 1)
        image.load()
        self._require_all_rows(image)
        return image

    def _add(
        self, samples: np.ndarray, data: bytes, mode: str = "", rawmode: str = "", *, view: str = "", shift: int = 0
    ) -> None:
        """Decode in a mode of 8 bits, and add the result to the samples."""
        image = PngImagePlugin.PngImageFile(io.BytesIO(data))
        if mode:
            image._mode = mode
            image.tile = [(*image.tile[0][:3], rawmode)]  # type: ignore[list-item]
        image.load()
        self._require_all_rows(image)
        for top, bottom in bands(self.width, self.height):
            rows = np.asarray(image.crop((0, top, self.width, bottom)))
            rows = rows.view(view) if view else rows
            samples[top:bottom] |= rows.reshape(samples[top:bottom].shape).astype(np.uint16) << shift

    def _require_all_rows(self, image: Image.Image) -> None:
        """Refuse a file whose pixels end too early, but properly: Pillow leaves the rows that are missing black."""
        # Counting costs as much as decoding; rows may be missing only if the last row is black.
        last = image.crop((0, self.height - 1, self.width, self.height))
        if not self._interlaced and any(low or high for low, high in _extremes(last)):
            return
        missing = self._n_stored()
        inflate = zlib.decompressobj()
        for start, length in self._pixels:
            self._file.seek(start)
            rest = self._file.read(length)
            while rest and missing > 0 and not inflate.eof:
                try:
                    missing -= len(inflate.decompress(rest, 1 << 20))
                except zlib.error:  # the decoder found all that it needed, and more than that is not needed here
                    return
                rest = inflate.unconsumed_tail
        if missing > 0 and missing - len(inflate.flush()) > 0:
            raise Refused("is cut off before its end (truncated)")

    def _n_stored(self) -> int:
        """Bytes of all rows, each with its filter."""
        bits = self._depth * _N_CHANNELS[self._color]
        parts = _ADAM7 if self._interlaced else ((0, 0, 1, 1),)
        sizes = [
            (-(-(self.width - left) // across), -(-(self.height - top) // down)) for left, top, across, down in parts
        ]
        return sum(height * (1 + (width * bits + 7) // 8) for width, height in sizes if width > 0 and height > 0)

    def _key(self) -> tuple[int, ...] | None:
        """The samples of the transparent color, of a file without a palette."""
        stored = self._chunks.get(b"tRNS", b"")
        n_values = {_GREY: 1, _RGB: 3}.get(self._color, 0)
        if not n_values or len(stored) < 2 * n_values:
            return None
        # Only the bits of the depth are used.
        return tuple(value & (2**self._depth - 1) for value in struct.unpack(f">{n_values}H", stored[: 2 * n_values]))


def _extremes(image: Image.Image) -> list[tuple[float, float]]:
    """The least and the greatest value of each channel."""
    return [channel.getextrema() for channel in image.split()]  # type: ignore[misc]
