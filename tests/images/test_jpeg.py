"""JPEG: metadata, a missing end, files of many scans, and images above the limit of pixels."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate.errors import UnreadableImage, UsageError
from striate.images import image_size, read_image


def _encoded(rng: np.random.Generator, size: tuple[int, int] = (64, 64), mode: str = "RGB", **options: object) -> bytes:
    noise = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def _read(tmp_path: Path, data: bytes, at_least: int | None = None) -> np.ndarray:
    (tmp_path / "a.jpg").write_bytes(data)
    return read_image(tmp_path / "a.jpg", at_least=at_least)


def _reason(tmp_path: Path, data: bytes) -> str:
    with pytest.raises(UnreadableImage) as caught:
        _read(tmp_path, data)
    return caught.value.reason


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("quality", [30, 90])
def test_a_missing_end_marker(
    tmp_path: Path, rng: np.random.Generator, mode: str, progressive: bool, quality: int
) -> None:
    encoded = _encoded(rng, (61, 47), mode, progressive=progressive, quality=quality)
    whole = _read(tmp_path, encoded)
    for data in (encoded[:-2], encoded[:-1], encoded[:-2] + bytes(1000)):
        np.testing.assert_array_equal(_read(tmp_path, data), whole)
    np.testing.assert_array_equal(_read(tmp_path, encoded[:-2], at_least=20), _read(tmp_path, encoded, at_least=20))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("missing", [12, 40, 200, 1000, 2000])
def test_missing_pixels_are_refused(tmp_path: Path, rng: np.random.Generator, progressive: bool, missing: int) -> None:
    assert "truncated" in _reason(tmp_path, _encoded(rng, progressive=progressive)[:-missing])


def test_a_progressive_file_cut_between_two_scans(tmp_path: Path, rng: np.random.Generator) -> None:
    encoded = _encoded(rng, progressive=True)
    start = encoded.rindex(b"\xff\xda")
    while encoded[start - 2] != 0xFF or encoded[start - 1] == 0:  # back over the table before the last scan
        start -= 1
        if encoded[start : start + 2] == b"\xff\xc4":
            break
    assert "truncated" in _reason(tmp_path, encoded[:start])


@pytest.mark.parametrize(
    "segment",
    [
        _segment(0xE2, b"ICC_PROFILE\0\x01\x09" + bytes(2000)),
        _segment(0xE2, b"MPF\0MM\0*\xff\xff\xff\xff broken"),
        _segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff broken"),
        _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<broken"),
        _segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\xff\xff\xff\xff"),
        _segment(0xFE, b"\xff\xda" * 200),
        _segment(0xEE, b"Adobe"),
        b"\xff\xff\xff",
    ],
)
def test_metadata_does_not_cost_the_pixels(tmp_path: Path, rng: np.random.Generator, segment: bytes) -> None:
    encoded = _encoded(rng)
    whole = _read(tmp_path, encoded)
    np.testing.assert_array_equal(_read(tmp_path, encoded[:2] + segment + encoded[2:]), whole)
    assert image_size(tmp_path / "a.jpg") == (64, 64, 3)


def test_what_follows_the_end_does_not_matter(tmp_path: Path, rng: np.random.Generator) -> None:
    encoded = _encoded(rng)
    film = rng.integers(0, 256, 100_000, dtype=np.uint8).tobytes() + b"\xff\xda\0\x08" * 1000
    np.testing.assert_array_equal(_read(tmp_path, encoded + film), _read(tmp_path, encoded))


def test_scans_without_end_are_refused_before_decoding(tmp_path: Path, rng: np.random.Generator) -> None:
    encoded = _encoded(rng, progressive=True)
    end = encoded.rindex(b"\xff\xd9")
    start = encoded.rindex(b"\xff\xda")
    assert "scans" in _reason(tmp_path, encoded[:end] + encoded[start:end] * 4000 + encoded[end:])


def test_kinds_that_are_not_decoded_are_called_by_name(tmp_path: Path, rng: np.random.Generator) -> None:
    encoded = _encoded(rng)
    frame = encoded.index(b"\xff\xc0")
    assert "12 bits" in _reason(tmp_path, encoded[: frame + 4] + b"\x0c" + encoded[frame + 5 :])
    assert "lossless" in _reason(tmp_path, encoded[: frame + 1] + b"\xc3" + encoded[frame + 2 :])
    assert _reason(tmp_path, encoded[:frame])
    assert _reason(tmp_path, b"\xff\xd8\xff\xd9")


def test_the_limit_is_of_what_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    Image.new("L", (1600, 800), 100).save(path)
    with pytest.raises(UnreadableImage, match=r"has 1600×800 pixels, more than the limit of 20,000$"):
        read_image(path, max_pixels=20_000)
    assert read_image(path, max_pixels=20_000, at_least=150).shape == (1, 100, 200)
    assert image_size(path, max_pixels=20_000) == (800, 1600, 1)
    Image.new("L", (1600, 800), 100).save(path, progressive=True)  # all of it is decoded first
    with pytest.raises(UnreadableImage, match="1600×800"):
        read_image(path, max_pixels=20_000, at_least=150)
    monkeypatch.setenv("STRIATE_MAX_PIXELS", "20000")
    with pytest.raises(UnreadableImage, match="set STRIATE_MAX_PIXELS to a higher number"):
        read_image(path, at_least=150)
    monkeypatch.setenv("STRIATE_MAX_PIXELS", "2_000_000")
    assert read_image(path).shape == (1, 800, 1600)
    for wrong in ("many", "0", "-3"):
        monkeypatch.setenv("STRIATE_MAX_PIXELS", wrong)
        with pytest.raises(UsageError, match="STRIATE_MAX_PIXELS is"):
            read_image(path)


def test_a_header_that_claims_more_than_the_file_can_hold(tmp_path: Path, rng: np.random.Generator) -> None:
    encoded = _encoded(rng)
    frame = encoded.index(b"\xff\xc0")
    huge = encoded[: frame + 5] + struct.pack(">HH", 65000, 65000) + encoded[frame + 9 :]
    (tmp_path / "a.jpg").write_bytes(huge)
    with pytest.raises(UnreadableImage, match="more pixels than it can hold"):
        read_image(tmp_path / "a.jpg", at_least=100)


@pytest.mark.parametrize(("name", "value"), [("at_least", 0), ("at_least", 1.5), ("color", "grey"), ("max_pixels", 0)])
def test_parameters_are_checked(tmp_path: Path, rng: np.random.Generator, name: str, value: object) -> None:
    (tmp_path / "a.jpg").write_bytes(_encoded(rng))
    with pytest.raises(UsageError, match=name):
        read_image(tmp_path / "a.jpg", **{name: value})  # type: ignore[arg-type]
    sixteen: Any = np.int64(16)
    assert read_image(tmp_path / "a.jpg", at_least=sixteen).shape == (3, 16, 16)
