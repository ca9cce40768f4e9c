"""Files that are broken in every way: one sentence each, and neither a warning nor an error of Pillow."""

from __future__ import annotations

import io
import os
import struct
import sys
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from striate.errors import UnreadableImage
from striate.images import image_size, read_image
from striate.images.opening import MAX_PIXELS


def _reason(path: Path, max_pixels: int = MAX_PIXELS) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read_image(path, max_pixels=max_pixels)
    message = str(caught.value)
    assert "\n" not in message
    assert message == f"{caught.value.path}: {caught.value.reason}"
    return caught.value.reason


def _encoded(format: str, size: tuple[int, int] = (64, 48)) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format)
    return buffer.getvalue()


def _png_bomb(width: int, height: int) -> bytes:
    """A sound header that claims a huge image, and a little data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100_000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF"])
def test_files_cut_off_in_the_middle(tmp_path: Path, format: str) -> None:
    encoded = _encoded(format)
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded[: len(encoded) // 2])
    assert _reason(path)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_truncated_is_called_so(tmp_path: Path, format: str) -> None:
    encoded = _encoded(format)
    path = tmp_path / "a"
    path.write_bytes(encoded[: len(encoded) // 2])
    assert "truncated" in _reason(path)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF"]), st.data())
def test_any_damage_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, format: str, data: st.DataObject
) -> None:
    encoded = bytearray(_encoded(format, (16, 12)))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    del encoded[data.draw(st.integers(1, len(encoded))) :]
    path = tmp_path_factory.mktemp("damaged") / "a"
    path.write_bytes(encoded)
    with suppress(UnreadableImage):  # and nothing else
        decoded = read_image(path, max_pixels=1_000_000)
        assert decoded.dtype == np.float32
        assert np.isfinite(decoded).all()


@pytest.mark.parametrize(("width", "height"), [(20_000, 6_000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_before_decoding(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_png_bomb(width, height))
    with mock.patch("PIL.ImageFile.ImageFile.load", side_effect=AssertionError("decoded")):
        assert "100,000,000" in _reason(path)
        with pytest.raises(UnreadableImage, match="100,000,000"):
            image_size(path)


def test_the_limit_of_pixels_is_the_callers(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_encoded("PNG", (64, 48)))
    assert _reason(path, max_pixels=64 * 48 - 1) == "has 64×48 pixels, more than the limit of 3,071"
    assert read_image(path, max_pixels=64 * 48).shape == (3, 48, 64)


def test_what_is_no_image(tmp_path: Path) -> None:
    path = tmp_path / "text.jpg"
    path.write_text("This is not an image.\n")
    assert "not an image" in _reason(path)
    path.write_bytes(b"")
    assert "zero bytes" in _reason(path)
    # Pillow would start Ghostscript for this one.
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    assert "not an image" in _reason(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "folder" in _reason(tmp_path)
    assert _reason(tmp_path / "missing.jpg") == "does not exist"
    assert "null byte" in _reason(Path("a\0b.jpg"))
    assert _reason(tmp_path / ("long" * 100 + ".jpg"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are of POSIX")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "regular file" in _reason(tmp_path / "pipe.jpg")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(_encoded("PNG"))
    (tmp_path / "good.png").symlink_to("real.png")
    assert read_image(tmp_path / "good.png").shape == (3, 48, 64)
    (tmp_path / "nowhere.png").symlink_to("missing.png")
    assert _reason(tmp_path / "nowhere.png") == "does not exist"
    (tmp_path / "itself.png").symlink_to("itself.png")
    assert "cannot be read" in _reason(tmp_path / "itself.png")


def test_permission_denied(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_encoded("PNG"))
    # Simulated, because the superuser may read everything.
    with mock.patch("builtins.open", side_effect=PermissionError(13, "Permission denied")):
        assert "permission denied" in _reason(path)


def test_out_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_encoded("PNG"))
    with mock.patch("PIL.ImageFile.ImageFile.load", side_effect=MemoryError):
        assert "memory" in _reason(path)


@pytest.mark.skipif(sys.platform == "win32", reason="such names are not allowed there")
def test_names_in_messages_are_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "фото\nс новой строки.jpg"
    path.write_text("text")
    with pytest.raises(UnreadableImage) as caught:
        read_image(path)
    assert "фото\\nс новой строки.jpg: is not an image" in str(caught.value)
    path.write_bytes(_encoded("PNG"))
    assert read_image(path).shape == (3, 48, 64)


def _warning_file(folder: Path) -> Path:
    """A palette with bytes of transparency and an invalid animation chunk: Pillow warns of the latter."""
    encoded = _encoded("PNG", (16, 12))
    animation = struct.pack(">II", 0, 0)
    chunk = struct.pack(">I", 8) + b"acTL" + animation + struct.pack(">I", zlib.crc32(b"acTL" + animation))
    path = folder / "warns.png"
    path.write_bytes(encoded[:33] + chunk + encoded[33:])
    return path


def test_pillows_warnings_do_not_escape(tmp_path: Path) -> None:
    path = _warning_file(tmp_path)
    with pytest.warns(UserWarning, match="APNG"), Image.open(path) as image:
        image.load()
    # Whatever the caller's filters are, also when they are set between two calls.
    for action in ("error", "always"):
        with warnings.catch_warnings(record=action == "always") as record:
            warnings.simplefilter(action)
            assert read_image(path).shape == (3, 12, 16)
        assert not record


def test_pillows_warnings_do_not_escape_threads(tmp_path: Path) -> None:
    path = _warning_file(tmp_path)
    barrier = threading.Barrier(4)

    def read(_: int) -> tuple[int, ...]:
        barrier.wait()
        return read_image(path).shape

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(read, range(40))) == {(3, 12, 16)}


def test_other_warnings_are_left_alone(tmp_path: Path) -> None:
    read_image(_warning_file(tmp_path))
    with pytest.warns(UserWarning, match="ours"):
        warnings.warn("ours", stacklevel=1)


def _ftyp(path: Path, brand: bytes) -> Path:
    path.write_bytes(struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1" + brand + bytes(100))
    return path


def test_heic_without_the_plug_in_says_what_to_install(tmp_path: Path) -> None:
    with mock.patch.dict(sys.modules, {"pillow_heif": None}):
        assert "pip install pillow-heif" in _reason(_ftyp(tmp_path / "a.jpg", b"heic"))


def test_avif_is_read_where_pillow_can(tmp_path: Path) -> None:
    avif = pytest.importorskip("PIL.AvifImagePlugin")
    if not avif.SUPPORTED:
        pytest.skip("Pillow was built without AVIF")
    stored = np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8)
    Image.fromarray(np.dstack([stored] * 3)).save(tmp_path / "a.avif", quality=95)
    np.testing.assert_allclose(read_image(tmp_path / "a.avif"), np.stack([stored] * 3) / 255, atol=0.02)
    assert image_size(tmp_path / "a.avif") == (48, 64, 3)
    with mock.patch.object(avif, "SUPPORTED", False):
        assert "AVIF" in _reason(tmp_path / "a.avif")
    assert _reason(_ftyp(tmp_path / "b.avif", b"avif"))
