from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from striate.errors import UnreadableImage
from striate.live.frames import MOST_SIDE, decode_frame, encode_frame, read_sample, thumbnail
from tests.live.talking import jpeg


def noise(side: int = 192, mode: str = "RGB", seed: int = 0, **options: Any) -> bytes:
    shape = (side, side, 3) if mode == "RGB" else (side, side)
    picture = Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))
    file = io.BytesIO()
    picture.save(file, "JPEG", **options)
    return file.getvalue()


def png_bomb(side: int = 60_000) -> bytes:
    """A small file that claims, and has, a gigabyte of pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(bytes(side // 8 + 1) * 100, 9)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [1, 8, 143, 192, MOST_SIDE])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"quality": 20}], ids=["plain", "progressive", "coarse"]
)
def test_a_frame_and_its_file_are_the_same_image(tmp_path: Path, side: int, mode: str, options: dict[str, Any]) -> None:
    content = noise(side, mode, **options)
    (tmp_path / "one.jpg").write_bytes(content)
    frame = decode_frame(content)
    assert frame.shape == (3, side, side)
    assert frame.dtype == np.float32
    np.testing.assert_array_equal(frame, read_sample(tmp_path / "one.jpg"))


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xd8", b"\xff\xd8\xff", b"GIF89a", b"<html>", noise()[:200], noise()[: len(noise()) // 2], png_bomb()],
    ids=["empty", "signature", "marker", "gif", "html", "header", "half", "png bomb"],
)
def test_what_is_no_frame_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableImage) as refused:
        decode_frame(content)
    assert str(refused.value).isprintable()


def test_size_is_checked_before_pixels_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("striate.images.jpeg.JpegFile.raster", never)
    with pytest.raises(UnreadableImage, match="321×321 pixels"):
        decode_frame(jpeg(side=321))
    huge = bytearray(jpeg(side=16))
    at = huge.index(b"\xff\xc0") + 5
    huge[at : at + 4] = struct.pack(">HH", 65535, 65535)
    with pytest.raises(UnreadableImage, match="65535×65535"):
        decode_frame(bytes(huge))


def test_a_frame_that_is_not_upright_is_refused() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with pytest.raises(UnreadableImage, match="upright"):
        decode_frame(noise(exif=exif))


GOOD = noise(32)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=20))
def test_damaged_frames_are_decoded_or_refused(damage: list[tuple[int, int]]) -> None:
    content = bytearray(GOOD)
    for place, value in damage:
        content[place] = value
    try:
        frame = decode_frame(bytes(content))
    except UnreadableImage:
        return
    assert frame.shape[0] == 3
    assert max(frame.shape) <= MOST_SIDE


def test_thumbnails_are_the_middle_square(tmp_path: Path) -> None:
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[:, 150:450] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    picture = Image.open(io.BytesIO(thumbnail(tmp_path / "wide.png")))
    assert (picture.size, picture.format) == ((144, 144), "JPEG")
    assert np.asarray(picture).min() > 250
    assert Image.open(io.BytesIO(thumbnail(noise()))).size == (144, 144)
    assert Image.open(io.BytesIO(encode_frame(np.zeros((3, 50, 40), np.float32)))).size == (40, 40)
