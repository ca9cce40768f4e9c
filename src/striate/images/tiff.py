"""TIFF files of any depth and kind of number.

Pillow reads what it can read exactly: 8 bits and fewer, and images compressed as JPEG or fax. All else, such as 12
bits, signed integers, floating point of 64 bits, or color of 16 bits, is unpacked here; Pillow only decompresses it.

References
----------
TIFF, Revision 6.0, Adobe 1992; Adobe Photoshop TIFF Technical Note 3 (floating-point predictor), 2005.
"""

from __future__ import annotations

import ctypes
import io
import struct
import zlib
from functools import cache
from typing import Any, BinaryIO, Literal

import numpy as np
from PIL import Image, TiffImagePlugin

from striate.images.exif import ORIENTATION
from striate.images.opening import Refused
from striate.images.raster import DeepRaster, PillowRaster, Raster

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# Tags.
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES, _PLANAR = 273, 277, 278, 279, 284
_PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 317, 322, 323, 324, 325
_EXTRA, _FORMAT = 338, 339

_NONE, _LZW, _DEFLATE, _OLD_DEFLATE, _PACKBITS, _LZMA, _ZSTD = 1, 5, 8, 32946, 32773, 34925, 50000
_UNPACKED_HERE = frozenset({_NONE, _LZW, _DEFLATE, _OLD_DEFLATE, _PACKBITS, _LZMA, _ZSTD})
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK = 0, 1, 2, 3, 5
_KINDS = {
    _PALETTE: "a palette",
    4: "a transparency mask",
    6: "YCbCr colors",
    8: "Lab colors",
    9: "Lab colors",
    10: "Lab colors",
    32803: "a camera's raw mosaic",
    34892: "a camera's raw colors",
}
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class TiffFile:
    """A TIFF file whose first directory has been read.

    Parameters
    ----------
    file : binary file
        At its beginning.

    Raises
    ------
    Refused
        When its kind cannot be decoded, or its directory is damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        silence_libtiff()
        self._file = file
        self._order: Literal["<", ">"]
        self._order, self._tags = _read_directory(file)
        self.width, self.height = self._number(_WIDTH, 0), self._number(_HEIGHT, 0)
        if self.width < 1 or self.height < 1:
            raise Refused("is damaged (its directory states no size)")
        orientation = self._number(ORIENTATION, 1)
        self.orientation = orientation if 1 <= orientation <= 8 else 1
        self._photometric = self._number(_PHOTOMETRIC, _BLACK_IS_ZERO)
        self._n_samples = self._number(_SAMPLES, 1)
        depths = set(self._numbers(_BITS)) or {1}
        formats = set(self._numbers(_FORMAT)) or {_UNSIGNED}
        if len(depths) > 1 or len(formats) > 1:
            raise Refused("has channels of different depths: save it with 8 or 16 bits per channel")
        self._depth, self._format = depths.pop(), formats.pop()
        if self._format not in (_SIGNED, _FLOAT, 5, 6):
            self._format = _UNSIGNED  # some programs write "undefined" here
        self._picture = self._pillows()
        if self._picture is None:
            self._kind = self._checked_kind()
            self.n_channels = 1 if self._kind == "grey" else 3
        else:
            grey = self._photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
            self.n_channels = 1 if grey and self._picture.mode in ("1", "L", "LA", "La") else 3
        self.upright = self._picture is not None  # Pillow rotates the images that it loads

    def n_pixels(self, at_least: int | None) -> int:
        """Number of pixels that have to be decoded."""
        return self.width * self.height

    def n_bytes(self, at_least: int | None) -> float:
        """Approximate memory for decoding."""
        if self._picture is not None:
            return 4 * self.n_pixels(at_least)
        return self.n_pixels(at_least) * (self._n_samples * max(2, self._depth // 8) + 4)

    def raster(self, at_least: int | None, *, grey: bool) -> Raster:
        """Decode the pixels."""
        if self._picture is not None:
            if not isinstance(
                self._picture.info.get("xmp"), bytes
            ):  # damaged; Pillow would search it for an orientation
                self._picture.info.pop("xmp", None)
            self._picture.load()
            return PillowRaster(self._picture)
        samples = self._samples()
        n_colors = {"grey": 1, "rgb": 3, "cmyk": 4}[self._kind]
        extra = [*self._numbers(_EXTRA), *[0] * self._n_samples][: self._n_samples - n_colors]
        alpha: Literal["straight", "premultiplied"] | None = None
        for place, meaning in enumerate(extra, n_colors):
            if meaning in (1, 2):
                alpha = "premultiplied" if meaning == 1 else "straight"
                samples = samples[..., [*range(n_colors), place]]
                break
        else:
            samples = samples[..., :n_colors]
        white = None if self._format == _FLOAT else self._white(samples)
        inverted = self._photometric == _WHITE_IS_ZERO and white is not None
        return DeepRaster(samples, white=white, kind=self._kind, inverted=inverted, alpha=alpha)

    def _numbers(self, tag: int) -> tuple[int, ...]:
        value = self._tags.get(tag, ())
        values = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(one, int) for one in values):
            raise Refused(f"is damaged (tag {tag} of its directory holds no integers)")
        return values

    def _number(self, tag: int, default: int) -> int:
        return next(iter(self._numbers(tag)), default)

    def _pillows(self) -> TiffImagePlugin.TiffImageFile | None:
        """The image for Pillow to decode, where it does so exactly."""
        ours = self._number(_COMPRESSION, _NONE) in _UNPACKED_HERE
        if ours and (self._depth not in (1, 2, 4, 8) or self._format != _UNSIGNED):
            return None
        self._file.seek(0)
        try:
            picture = TiffImagePlugin.TiffImageFile(self._file)
        except SyntaxError:  # Pillow knows no mode for it
            if ours and self._depth == 8:
                return None
            raise Refused(f"holds {self._words()}, which cannot be read: {_SAVE}") from None
        if picture.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "La", "RGBa"):
            raise Refused(f"holds {self._words()}, compressed in a way that cannot be read: {_SAVE}")
        return picture

    def _words(self) -> str:
        kind = {_SIGNED: "signed integers", _FLOAT: "floating-point values"}.get(self._format, "integers")
        if self._format in (5, 6):
            kind = "complex numbers"
        return f"{self._n_samples} channel{'s' if self._n_samples > 1 else ''} of {self._depth}-bit {kind}"

    def _checked_kind(self) -> Literal["grey", "rgb", "cmyk"]:
        if self._photometric in _KINDS:
            raise Refused(f"stores {_KINDS[self._photometric]} of {self._depth} bits: {_SAVE}")
        depths = {_FLOAT: (16, 32, 64), _SIGNED: (8, 16, 32), _UNSIGNED: range(1, 33)}.get(self._format, ())
        if self._depth not in depths:
            raise Refused(f"holds {self._words()}, which cannot be read: {_SAVE}")
        if self._photometric == _RGB and self._n_samples >= 3:
            return "rgb"
        if self._photometric == _CMYK and self._n_samples >= 4 and self._format != _FLOAT:
            return "cmyk"
        named_alpha = any(meaning in (1, 2) for meaning in self._numbers(_EXTRA))
        if self._photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) and (
            self._n_samples == 1 or (self._n_samples == 2 and named_alpha)
        ):
            return "grey"
        raise Refused(f"holds {self._words()}, neither grey nor red, green and blue: {_SAVE}")

    def _white(self, samples: np.ndarray) -> float:
        """The integer that stands for 1: the greatest of the depth; for 32 bits, it is derived from the values."""
        if self._format == _SIGNED and samples.min() < 0:
            raise Refused("holds integers outside 0–65,535: save it with 8 or 16 bits, or as floating point")
        if self._depth < 32:
            return 2.0 ** (self._depth - (self._format == _SIGNED)) - 1
        # As for arrays: 32-bit values are hardly ever used up to their maximum; they come from 8 or 16 bits.
        greatest = int(samples.max())
        if greatest <= 65535:
            return 255.0 if greatest <= 255 else 65535.0
        if self._format == _SIGNED:
            raise Refused("holds integers outside 0–65,535: save it with 8 or 16 bits, or as floating point")
        return 2.0**32 - 1

    def _samples(self) -> np.ndarray:
        """All samples: (height, width, samples per pixel), of the type that is stored."""
        tiled = _TILE_OFFSETS in self._tags
        offsets = self._numbers(_TILE_OFFSETS if tiled else _STRIP_OFFSETS)
        lengths = self._numbers(_TILE_BYTES if tiled else _STRIP_BYTES)
        rows = self._number(_TILE_HEIGHT, 0) if tiled else min(self._number(_ROWS_PER_STRIP, self.height), self.height)
        columns = self._number(_TILE_WIDTH, 0) if tiled else self.width
        separate = self._number(_PLANAR, 1) == 2 and self._n_samples > 1
        per_block = 1 if separate else self._n_samples
        if rows < 1 or columns < 1 or columns > self.width + 65535 or rows > self.height + 65535:
            raise Refused("is damaged (its strips or tiles have no sensible size)")
        down, across = -(-self.height // rows), -(-self.width // columns)
        n_planes = self._n_samples if separate else 1
        if len(offsets) < down * across * n_planes:
            raise Refused("is damaged (it has fewer strips or tiles than it needs)")
        if not tiled and len(lengths) < len(offsets) and self._number(_COMPRESSION, _NONE) == _NONE:
            lengths = (1 << 40,) * len(offsets)  # old files leave them out
        samples = np.empty((self.height, self.width, self._n_samples), self._stored_type().newbyteorder("="))
        for number, (offset, length) in enumerate(zip(offsets, lengths, strict=False)):
            plane, place = divmod(number, down * across)
            if plane >= n_planes:
                break
            top, left = place // across * rows, place % across * columns
            n_rows = rows if tiled else min(rows, self.height - top)
            block = self._block(offset, length, n_rows, columns, per_block)
            height, width = min(n_rows, self.height - top), min(columns, self.width - left)
            where = samples[top : top + height, left : left + width]
            (where[..., plane : plane + 1] if separate else where)[...] = block[:height, :width]
        if len(lengths) < down * across * n_planes:
            raise Refused("is cut off before its end (truncated)")
        return samples

    def _stored_type(self) -> np.dtype[Any]:
        letter = {_FLOAT: "f", _SIGNED: "i"}.get(self._format, "u")
        size = next(size for size in (1, 2, 4, 8) if 8 * size >= self._depth)
        return np.dtype(f"{self._order}{letter}{size}")

    def _block(self, offset: int, length: int, rows: int, columns: int, n_samples: int) -> np.ndarray:
        """One strip or tile: (rows, columns, samples)."""
        row_bytes = (columns * n_samples * self._depth + 7) // 8
        wanted = row_bytes * rows
        self._file.seek(offset)
        packed = self._file.read(min(length, wanted + 1024) if self._number(_COMPRESSION, _NONE) == _NONE else length)
        if self._number(_FILL_ORDER, 1) == 2:
            packed = packed.translate(_REVERSED)
        unpacked = _decompressed(self._number(_COMPRESSION, _NONE), packed, row_bytes, rows)
        if len(unpacked) < wanted:
            raise Refused("is cut off before its end (truncated)")
        table = np.frombuffer(unpacked, np.uint8, wanted).reshape(rows, row_bytes)
        predictor = self._number(_PREDICTOR, 1) if self._number(_COMPRESSION, _NONE) != _NONE else 1
        values = self._unpack(table, columns, n_samples, float_predictor=predictor == 3)
        if predictor == 2:
            if self._depth not in (8, 16, 32, 64):
                raise Refused(f"is compressed with differences of {self._depth} bits, which cannot be read: {_SAVE}")
            bits = np.ascontiguousarray(values).view(f"u{values.itemsize}")
            values = np.cumsum(bits, axis=1, dtype=bits.dtype).view(values.dtype)
        return values

    def _unpack(self, table: np.ndarray, columns: int, n_samples: int, *, float_predictor: bool) -> np.ndarray:
        shape = (len(table), columns, n_samples)
        stored = self._stored_type()
        if float_predictor:
            if self._format != _FLOAT:
                raise Refused("is damaged (it stores integers as floating-point values are)")
            steps = table.reshape(len(table), -1, n_samples)
            planes = np.cumsum(steps, axis=1, dtype=np.uint8).reshape(len(table), stored.itemsize, -1)
            values = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(stored.newbyteorder(">"))
        elif self._depth == 8 * stored.itemsize:
            values = np.ascontiguousarray(table).view(stored)
        else:
            values = _packed_bits(table, self._depth, columns * n_samples, stored, self._order)
        return values.reshape(shape).astype(stored.newbyteorder("="), copy=False)


_SAVE = "save it as grey or RGB, with 8 or 16 bits or as 32-bit floating point"


def _read_directory(file: BinaryIO) -> tuple[Literal["<", ">"], dict[int, Any]]:
    """Byte order and tags of the first page."""
    file.seek(0)
    head = file.read(8)
    if head[2:3] == b"+" or head[3:4] == b"+":  # BigTIFF, with 64-bit offsets
        head += file.read(8)
    directory = TiffImagePlugin.ImageFileDirectory_v2(head)
    file.seek(directory.next)
    directory.load(file)
    wanted = [_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _STRIP_OFFSETS, _SAMPLES]
    wanted += [_ROWS_PER_STRIP, _STRIP_BYTES, _PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS]
    wanted += [_TILE_BYTES, _EXTRA, _FORMAT, ORIENTATION]
    return "<" if head[:2] == b"II" else ">", {tag: directory[tag] for tag in wanted if tag in directory}


def _packed_bits(
    table: np.ndarray, depth: int, n_values: int, stored: np.dtype[Any], order: Literal["<", ">"]
) -> np.ndarray:
    """Values of a depth that is no whole number of usual size; the first bit is the most significant."""
    if depth == 24:  # whole bytes are in the file's byte order
        triples = table[:, : 3 * n_values].reshape(len(table), n_values, 3).astype(np.uint32)
        high, low = (2, 0) if order == "<" else (0, 2)
        return triples[..., high] << 16 | triples[..., 1] << 8 | triples[..., low]
    values = np.zeros((len(table), n_values), stored.newbyteorder("="))
    for row, line in zip(values, table, strict=True):
        bits = np.unpackbits(line, count=n_values * depth).reshape(n_values, depth)
        for place in range(depth):
            row <<= 1
            row |= bits[:, place]
    return values


def _decompressed(compression: int, packed: bytes, row_bytes: int, rows: int) -> bytes:
    if compression == _NONE:
        return packed
    if compression in (_DEFLATE, _OLD_DEFLATE):
        return zlib.decompressobj().decompress(packed, row_bytes * rows)
    # Pillow decompresses as it would an image of bytes, of which the strip's rows are the rows.
    tags = [(_WIDTH, row_bytes), (_HEIGHT, rows), (_BITS, 8), (_COMPRESSION, compression), (_PHOTOMETRIC, 1)]
    tags += [(_STRIP_OFFSETS, 8), (_SAMPLES, 1), (_ROWS_PER_STRIP, rows), (_STRIP_BYTES, len(packed))]
    padded = packed + b"\0" * (len(packed) % 2)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<I", 8 + len(padded))
    data = head + padded + struct.pack("<H", len(tags)) + entries + bytes(4)
    with TiffImagePlugin.TiffImageFile(io.BytesIO(data)) as picture:
        picture.load()
        return picture.tobytes()


@cache
def silence_libtiff() -> None:
    """Keep libtiff from writing to standard error, past Python: Pillow's exceptions report failures.

    The functions for this are looked up in the libtiff that Pillow is linked with. If they are not found, nothing is
    changed.
    """
    try:
        library = ctypes.CDLL(Image.core.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            function = getattr(library, name)
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
            function(None)
    except (AttributeError, OSError):
        pass
