"""PNG of 16 bits, transparent colors, and metadata that is too long or damaged."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from striate.errors import UnreadableImage
from striate.images import image_size, read_image

HEIGHT, WIDTH = 9, 13
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


def _chunk(kind: bytes, data: bytes, wrong: int = 0) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ wrong)


def _rows(stored: np.ndarray, depth: int) -> bytes:
    """Rows with their filters: those of 16 bits take turns, each computed as the specification has it."""
    if depth < 8:
        text = ["".join(format(int(value), f"0{depth}b") for value in row.ravel()) for row in stored]
        return b"".join(
            b"\0" + int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big") for row in text
        )
    raw = np.ascontiguousarray(stored.astype(f">u{depth // 8}")).view(np.uint8).reshape(len(stored), -1).astype(int)
    step = raw.shape[1] // stored.shape[1]
    left = np.pad(raw, ((0, 0), (step, 0)))[:, :-step]
    above = np.pad(raw, ((1, 0), (0, 0)))[:-1]
    corner = np.pad(above, ((0, 0), (step, 0)))[:, :-step]
    guess = left + above - corner
    distances = np.stack([abs(guess - one) for one in (left, above, corner)])
    paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
    filtered = [raw, raw - left, raw - above, raw - (left + above) // 2, raw - paeth]
    return b"".join(
        bytes([row % 5]) + (filtered[row % 5][row] % 256).astype(np.uint8).tobytes() for row in range(len(raw))
    )


def _png(path: Path, stored: np.ndarray, color: int, depth: int, *, before: bytes = b"", pixels: bytes = b"") -> Path:
    height, width = stored.shape[:2]
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    data = pixels or _chunk(b"IDAT", zlib.compress(_rows(stored, depth)))
    path.write_bytes(_SIGNATURE + header + before + data + _chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("color", [0, 2, 4, 6])
def test_sixteen_bits_of_every_kind(tmp_path: Path, rng: np.random.Generator, color: int) -> None:
    n = _CHANNELS[color]
    stored = rng.integers(0, 65536, (HEIGHT, WIDTH, n), dtype=np.uint16)
    values = np.moveaxis(stored, 2, 0) / 65535
    if n in (2, 4):
        values[:-1] *= 0.7  # no icon that is nearly white
        stored = np.moveaxis(np.rint(values * 65535), 0, 2).astype(np.uint16)
        values = np.moveaxis(stored, 2, 0) / 65535
    expected = values if n in (1, 3) else values[:-1] * values[-1] + (1 - values[-1])
    path = _png(tmp_path / "a.png", stored, color, 16)
    np.testing.assert_allclose(read_image(path), expected, atol=1e-6)
    assert image_size(path) == (HEIGHT, WIDTH, 1 if n < 3 else 3)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_every_depth(tmp_path: Path, rng: np.random.Generator, depth: int) -> None:
    stored = rng.integers(0, 2**depth, (HEIGHT, WIDTH))
    stored[0, 0] = 0
    path = _png(tmp_path / "a.png", stored, 0, depth, before=_chunk(b"tRNS", struct.pack(">H", 0)))
    expected = np.where(stored == 0, 1, stored / (2**depth - 1))
    if depth == 1:  # what is left is white
        expected = stored.astype(float)
    np.testing.assert_allclose(read_image(path), expected[None], atol=1e-6)
    key = 2**depth - 2 if depth > 1 else 1
    path = _png(tmp_path / "b.png", stored, 0, depth, before=_chunk(b"tRNS", struct.pack(">H", key)))
    expected = np.where(stored == key, 1, stored / (2**depth - 1))
    np.testing.assert_allclose(read_image(path), expected[None], atol=1e-6)


def test_the_transparent_color_of_sixteen_bits_is_exact(tmp_path: Path) -> None:
    stored = np.full((HEIGHT, WIDTH, 3), 0x1234, np.uint16)
    stored[2] = 0x1233  # the same high byte, and visible
    path = _png(tmp_path / "a.png", stored, 2, 16, before=_chunk(b"tRNS", struct.pack(">3H", *[0x1234] * 3)))
    expected = np.ones((3, HEIGHT, WIDTH))
    expected[:, 2] = 0x1233 / 65535
    np.testing.assert_allclose(read_image(path), expected, atol=1e-6)


_PLAIN = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)


@pytest.mark.parametrize(
    "before",
    [
        _chunk(b"zTXt", b"history\0\0" + zlib.compress(bytes(2_000_000))),
        _chunk(b"tEXt", b"history\0" + b"x" * 2_000_000),
        _chunk(b"iTXt", b"history\0\1\0\0\0" + zlib.compress(bytes(20_000_000))),
        _chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(2_000_000))),
        _chunk(b"iCCP", b"p\0\0 no zlib"),
        _chunk(b"eXIf", b"no exif"),
        *[_chunk(kind, bytes(9), 1) for kind in (b"pHYs", b"tIME", b"gAMA", b"sBIT", b"eXIf", b"iCCP", b"prIv")],
        _chunk(b"tRNS", b"\0", 1),
        _chunk(b"acTL", bytes(8)),
    ],
)
def test_metadata_does_not_cost_the_pixels(tmp_path: Path, before: bytes) -> None:
    path = _png(tmp_path / "a.png", _PLAIN, 0, 8, before=before)
    np.testing.assert_array_equal(read_image(path), _PLAIN[None].astype(np.float32) / np.float32(255))
    assert image_size(path) == (HEIGHT, WIDTH, 1)


def test_what_follows_the_pixels_does_not_matter(tmp_path: Path) -> None:
    path = _png(tmp_path / "a.png", _PLAIN, 0, 8)
    encoded = path.read_bytes()
    for end in (encoded[:-12], encoded[:-16], encoded + b"anything" * 1000, encoded[:-12] + _chunk(b"tEXt", b"", 1)):
        path.write_bytes(end)
        assert read_image(path).shape == (1, HEIGHT, WIDTH)


def test_damage_of_what_the_pixels_need_is_refused(tmp_path: Path) -> None:
    packed = zlib.compress(_rows(_PLAIN, 8))
    for pixels in (
        _chunk(b"IDAT", packed, 1),
        _chunk(b"IDAT", packed[:-20]),
        _chunk(b"CgBI", b"") + _chunk(b"IDAT", packed),
    ):
        path = _png(tmp_path / "a.png", _PLAIN, 0, 8, pixels=pixels)
        with pytest.raises(UnreadableImage):
            read_image(path)
    encoded = bytearray(_png(tmp_path / "a.png", _PLAIN, 0, 8).read_bytes())
    encoded[29] ^= 1  # the header's checksum
    path.write_bytes(encoded)
    with pytest.raises(UnreadableImage, match="checksum"):
        read_image(path)


def test_orientation_after_the_pixels_is_seen(tmp_path: Path) -> None:
    exif = b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + struct.pack(">HHIHH", 274, 3, 1, 6, 0) + bytes(4)
    pixels = _chunk(b"IDAT", zlib.compress(_rows(_PLAIN, 8))) + _chunk(b"eXIf", exif)
    path = _png(tmp_path / "a.png", _PLAIN, 0, 8, pixels=pixels)
    np.testing.assert_array_equal(read_image(path)[0], np.rot90(_PLAIN, -1).astype(np.float32) / np.float32(255))
    assert image_size(path) == (WIDTH, HEIGHT, 1)


@pytest.mark.parametrize(("color", "depth"), [(0, 1), (0, 2), (0, 8), (0, 16), (2, 8), (2, 16), (4, 8), (6, 16)])
def test_rows_that_are_missing_are_told_from_black_ones(tmp_path: Path, color: int, depth: int) -> None:
    stored = np.zeros((HEIGHT, WIDTH, _CHANNELS[color]), dtype=np.uint16)
    rows = _rows(stored[:, :, 0] if depth < 8 else stored, depth)
    for part, whole in ((rows, True), (rows + b"more", True), (rows[:-1], False), (rows[: len(rows) // 2], False)):
        path = _png(tmp_path / "a.png", stored, color, depth, pixels=_chunk(b"IDAT", zlib.compress(part)))
        if whole:
            assert read_image(path).shape == (1 if color in (0, 4) else 3, HEIGHT, WIDTH)
        else:
            with pytest.raises(UnreadableImage, match="cut off"):
                read_image(path)


def test_missing_rows_of_an_interlaced_image(tmp_path: Path, rng: np.random.Generator) -> None:
    stored = rng.integers(1, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [stored[top::down, left::across] for top, left, down, across in starts]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part)
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 1))
    path = tmp_path / "a.png"
    for data in (rows, rows[: -WIDTH - 1]):
        path.write_bytes(_SIGNATURE + header + _chunk(b"IDAT", zlib.compress(data)) + _chunk(b"IEND", b""))
        if data is rows:
            np.testing.assert_allclose(read_image(path)[0] * 255, stored, atol=1e-3)
        else:
            with pytest.raises(UnreadableImage, match="cut off"):
                read_image(path)


def test_a_palette_that_is_missing_is_damage(tmp_path: Path) -> None:
    path = _png(tmp_path / "a.png", np.zeros((4, 4), np.uint8), 3, 8)
    with pytest.raises(UnreadableImage, match="no palette"):
        read_image(path)
