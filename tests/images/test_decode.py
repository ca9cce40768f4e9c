"""Real files in every format and mode, made by Pillow, against the pixels that they were made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from striate.errors import UnreadableImage
from striate.images import image_size, read_image, to_grey

HEIGHT, WIDTH = 24, 40


@pytest.fixture
def rgb(rng: np.random.Generator) -> np.ndarray:
    """Smooth, so that JPEG keeps it, and different in every direction, so that turning it shows."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([4 * x + 20, 6 * y + 30, 200 - 2 * x - y], axis=-1).astype(np.uint8)


def _floats(stored: np.ndarray) -> np.ndarray:
    """What reading should give for 8 bits."""
    return np.moveaxis(np.atleast_3d(stored), 2, 0).astype(np.float32) / np.float32(255)


def _saved(tmp_path: Path, image: Image.Image, name: str, **options: Any) -> Path:
    path = tmp_path / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "a.ppm", "a.gif"])
def test_lossless_formats_give_exact_pixels(tmp_path: Path, rgb: np.ndarray, name: str) -> None:
    image = Image.fromarray(rgb)
    if name == "a.gif":
        image = image.quantize(256)
        rgb = np.asarray(image.convert("RGB"))
    path = _saved(tmp_path, image, name, **({"lossless": True} if name == "a.webp" else {}))
    decoded = read_image(path)
    assert decoded.dtype == np.float32
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, _floats(rgb))
    assert image_size(path) == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"])
def test_compressed_tiff(tmp_path: Path, rgb: np.ndarray, compression: str | None) -> None:
    path = _saved(tmp_path, Image.fromarray(rgb), "a.tiff", compression=compression)
    np.testing.assert_allclose(read_image(path), _floats(rgb), atol=0.06 if compression == "jpeg" else 0)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg(tmp_path: Path, rgb: np.ndarray, progressive: bool) -> None:
    path = _saved(tmp_path, Image.fromarray(rgb), "a.jpg", quality=97, progressive=progressive)
    np.testing.assert_allclose(read_image(path), _floats(rgb), atol=0.03)
    assert image_size(path) == (HEIGHT, WIDTH, 3)


def test_grey_of_a_jpeg_is_its_luma(tmp_path: Path, rgb: np.ndarray) -> None:
    path = _saved(tmp_path, Image.fromarray(rgb), "a.jpg", quality=90)
    grey = read_image(path, color=False)
    assert grey.shape == (1, HEIGHT, WIDTH)
    np.testing.assert_allclose(grey, to_grey(read_image(path)), atol=1.5 / 255)


def test_color_on_request(tmp_path: Path, rgb: np.ndarray) -> None:
    path = _saved(tmp_path, Image.fromarray(rgb), "a.png")
    np.testing.assert_array_equal(read_image(path, color=False), to_grey(_floats(rgb)))
    grey_path = _saved(tmp_path, Image.fromarray(rgb[..., 0]), "grey.png")
    assert read_image(grey_path).shape == (1, HEIGHT, WIDTH)
    assert image_size(grey_path) == (HEIGHT, WIDTH, 1)
    np.testing.assert_array_equal(read_image(grey_path, color=True), np.repeat(_floats(rgb[..., 0]), 3, axis=0))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_exif_orientation(tmp_path: Path, rgb: np.ndarray, name: str, orientation: int) -> None:
    # The camera stores the upright image turned; by EXIF 2.32 the stored row 0 and column 0 are the upright
    # image's (top, left), (top, right), (bottom, right), (bottom, left), (left, top), (right, top), …
    stored = {
        1: rgb,
        2: rgb[:, ::-1],
        3: rgb[::-1, ::-1],
        4: rgb[::-1],
        5: rgb.transpose(1, 0, 2),
        6: rgb[:, ::-1].transpose(1, 0, 2),
        7: rgb[::-1, ::-1].transpose(1, 0, 2),
        8: rgb[::-1].transpose(1, 0, 2),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if name == "a.webp" else {"quality": 97} if name == "a.jpg" else {}
    path = _saved(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), name, exif=exif, **options)
    decoded = read_image(path)
    np.testing.assert_allclose(decoded, _floats(rgb), atol=0.03 if name == "a.jpg" else 0)
    assert decoded.flags.c_contiguous
    assert image_size(path) == (HEIGHT, WIDTH, 3)


def test_damaged_metadata_does_not_cost_the_image(tmp_path: Path, rgb: np.ndarray) -> None:
    exif = b"Exif\0\0MM\0\x2a\0\0\xff\xff\xff\xff broken"
    path = _saved(tmp_path, Image.fromarray(rgb), "a.jpg", quality=97, exif=exif)
    np.testing.assert_allclose(read_image(path), _floats(rgb), atol=0.03)
    assert image_size(path) == (HEIGHT, WIDTH, 3)


def test_transparency_lies_on_white(tmp_path: Path, rgb: np.ndarray) -> None:
    alpha = np.linspace(0, 255, WIDTH).astype(np.uint8) * np.ones((HEIGHT, 1), np.uint8)
    weight = alpha[..., None] / 255
    expected = _floats(rgb) * weight.transpose(2, 0, 1) + (1 - weight.transpose(2, 0, 1))
    rgba = Image.fromarray(np.dstack([rgb, alpha]))
    for name, options in {"a.png": {}, "a.tif": {}, "a.webp": {"lossless": True, "exact": True}}.items():
        path = _saved(tmp_path, rgba, name, **options)
        np.testing.assert_allclose(read_image(path), expected, atol=1.1 / 255)
        assert image_size(path) == (HEIGHT, WIDTH, 3)
    grey_alpha = Image.merge("LA", [Image.fromarray(rgb[..., 0]), Image.fromarray(alpha)])
    path = _saved(tmp_path, grey_alpha, "la.png")
    np.testing.assert_allclose(read_image(path), expected[:1], atol=1.1 / 255)
    assert image_size(path) == (HEIGHT, WIDTH, 1)


def test_a_single_transparent_color_lies_on_white(tmp_path: Path) -> None:
    black_and_grey = np.array([[0, 128], [128, 0]], np.uint8)
    white_and_grey = np.array([[[1, 128 / 255], [128 / 255, 1]]], np.float32)
    path = _saved(tmp_path, Image.fromarray(black_and_grey), "grey.png", transparency=0)
    np.testing.assert_array_equal(read_image(path), white_and_grey)
    color = Image.fromarray(np.dstack([black_and_grey] * 3))
    path = _saved(tmp_path, color, "color.png", transparency=(0, 0, 0))
    np.testing.assert_array_equal(read_image(path), np.repeat(white_and_grey, 3, axis=0))


def test_palettes_with_and_without_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    red, green, blue, white = [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]

    def expected(*colors: list[int]) -> np.ndarray:
        return np.array(colors, np.float32).reshape(2, 2, 3).transpose(2, 0, 1)

    for name in ("a.png", "a.gif", "a.bmp", "a.tif"):
        path = _saved(tmp_path, image, name)
        np.testing.assert_array_equal(read_image(path), expected(red, green, blue, green))
        assert image_size(path) == (2, 2, 3)
    # One transparent entry (GIF, PNG), and an alpha for every entry, of which Pillow warns (PNG).
    for name, transparency in (("one.gif", 1), ("one.png", 1), ("each.png", b"\xff\x00\xff")):
        path = _saved(tmp_path, image, name, transparency=transparency)
        np.testing.assert_array_equal(read_image(path), expected(red, white, blue, white))


def test_one_bit(tmp_path: Path) -> None:
    bits = np.array([[True, False, True], [False, False, True]])
    for name in ("a.png", "a.tif", "a.bmp", "a.pbm"):
        path = _saved(tmp_path, Image.fromarray(bits), name)
        decoded = read_image(path)
        np.testing.assert_array_equal(decoded[:1], bits[None].astype(np.float32))
        assert image_size(path) == (2, 3, len(decoded))


def test_cmyk_jpeg_in_adobes_inverted_form(tmp_path: Path) -> None:
    cyan = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    path = _saved(tmp_path, cyan, "a.jpg", quality=95)
    assert b"Adobe" in path.read_bytes()
    with Image.open(path) as reopened:
        assert reopened.mode == "CMYK"
    expected = np.array([0, 1, 1], np.float32)[:, None, None]
    np.testing.assert_allclose(read_image(path), np.broadcast_to(expected, (3, 32, 32)), atol=0.02)
    assert image_size(path) == (32, 32, 3)
    grey = read_image(path, color=False, at_least=8)
    np.testing.assert_allclose(grey, 0.701, atol=0.02)
    tiff = _saved(tmp_path, cyan, "a.tif")
    np.testing.assert_allclose(read_image(tiff), np.broadcast_to(expected, (3, 32, 32)))


def test_sixteen_bits_of_grey(tmp_path: Path, rng: np.random.Generator) -> None:
    stored = rng.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    expected = (stored.astype(np.float64) / 65535)[None]
    little = Image.fromarray(stored)
    assert little.mode == "I;16"
    big = Image.frombytes("I;16B", (WIDTH, HEIGHT), stored.astype(">u2").tobytes())
    wide = Image.fromarray(stored.astype(np.int32))
    for image, name in (
        (little, "a.png"),
        (little, "a.tif"),
        (big, "big.tif"),
        (wide, "wide.tif"),
        (wide, "a.pgm"),
    ):
        path = _saved(tmp_path, image, name)
        np.testing.assert_allclose(read_image(path), expected, rtol=1e-6)
        assert image_size(path) == (HEIGHT, WIDTH, 1)
    path = _saved(tmp_path, little, "negative.tif", tiffinfo={262: 0})  # photometric: white is zero
    np.testing.assert_allclose(read_image(path), 1 - expected, atol=1e-6)


@pytest.mark.parametrize("white", [100, 255, 1023, 4095, 65535])
@pytest.mark.parametrize("color", [False, True])
def test_a_portable_map_states_its_white(tmp_path: Path, rng: np.random.Generator, white: int, color: bool) -> None:
    stored = rng.integers(0, white, (HEIGHT, WIDTH, 3 if color else 1), endpoint=True)
    stored[0, 0] = white
    header = f"P{6 if color else 5}\n# a comment\n{WIDTH} {HEIGHT}\n{white}\n".encode()
    (tmp_path / "a.ppm").write_bytes(header + stored.astype(">u2" if white > 255 else "u1").tobytes())
    tolerance = 1e-5 if white > 255 else 0.51 / 255  # Pillow rounds to 8 bits
    np.testing.assert_allclose(read_image(tmp_path / "a.ppm"), np.moveaxis(stored, 2, 0) / white, atol=tolerance)


def test_integers_beyond_sixteen_bits_have_no_white(tmp_path: Path) -> None:
    for value in (70000, -5):
        path = _saved(tmp_path, Image.fromarray(np.full((8, 8), value, np.int32)), "a.tif")
        with pytest.raises(UnreadableImage, match="0–65,535"):
            read_image(path)


def test_floating_point_tiff(tmp_path: Path, rng: np.random.Generator) -> None:
    stored = rng.normal(size=(HEIGHT, WIDTH)).astype(np.float32)
    path = _saved(tmp_path, Image.fromarray(stored), "a.tif")
    np.testing.assert_array_equal(read_image(path), stored[None])
    assert image_size(path) == (HEIGHT, WIDTH, 1)
    for value in (np.nan, np.inf):
        stored[3, 4] = value
        path = _saved(tmp_path, Image.fromarray(stored), "bad.tif")
        with pytest.raises(UnreadableImage, match="NaN"):
            read_image(path)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_the_first_of_several_frames(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (16, 12), color) for color in ("red", "lime", "blue")]
    options = {"lossless": True} if name == "a.webp" else {}
    path = _saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], **options)
    expected = np.zeros((3, 12, 16), np.float32)
    expected[0] = 1
    np.testing.assert_array_equal(read_image(path), expected)
    assert image_size(path) == (12, 16, 3)


def test_cameras_multi_image_jpeg(tmp_path: Path, rgb: np.ndarray) -> None:
    image = Image.fromarray(rgb)
    path = tmp_path / "a.jpg"
    image.save(path, format="MPO", save_all=True, append_images=[image.rotate(180)], quality=97)
    np.testing.assert_allclose(read_image(path), _floats(rgb), atol=0.03)


def test_the_content_decides_not_the_ending(tmp_path: Path, rgb: np.ndarray) -> None:
    _saved(tmp_path, Image.fromarray(rgb), "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), _floats(rgb))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_eight_by_eight(tmp_path: Path, name: str) -> None:
    path = _saved(tmp_path, Image.new("L", (8, 8), 100), name)
    np.testing.assert_allclose(read_image(path, at_least=151), 100 / 255, atol=0.01)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 100), st.sampled_from(["L", "RGB", "LA", "F"]))
def test_at_least_is_kept(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, at_least: int, mode: str
) -> None:
    path = tmp_path_factory.mktemp("at_least") / ("a.tif" if mode == "F" else "a.png" if mode == "LA" else "a.jpg")
    Image.new(mode, (width, height)).save(path)
    reduced = read_image(path, at_least=at_least)
    longer = max(reduced.shape[1:])
    assert longer >= min(at_least, max(height, width))
    assert longer < 2 * at_least or longer == max(height, width)
    assert longer == reduced.shape[1 if height >= width else 2]


def test_reduction_averages_boxes(tmp_path: Path, rng: np.random.Generator) -> None:
    stored = rng.integers(0, 256, (64, 96), dtype=np.uint8)
    boxes = stored.reshape(16, 4, 24, 4).mean(axis=(1, 3))[None] / 255
    path = _saved(tmp_path, Image.fromarray(stored), "a.png")
    np.testing.assert_allclose(read_image(path, at_least=24), boxes, atol=0.51 / 255)
    path = _saved(tmp_path, Image.fromarray(stored.astype(np.float32) / 255), "a.tif")
    np.testing.assert_allclose(read_image(path, at_least=24), boxes, atol=1e-6)


def test_a_full_size_photograph(tmp_path: Path) -> None:
    y, x = np.mgrid[0:4000:8, 0:6000:8]
    small = np.stack([x / 6000, y / 4000, (x + y) / 10000], axis=-1)
    image = Image.fromarray((255 * small).astype(np.uint8)).resize((6000, 4000), Image.Resampling.BILINEAR)
    path = _saved(tmp_path, image, "photograph.jpg", quality=90, exif=_orientation_exif(6))
    assert image_size(path) == (6000, 4000, 3)
    decoded = read_image(path, at_least=151)
    # 6000 / 8 in the decoder, then boxes of 750 // 151 = 4.
    assert decoded.shape == (3, 188, 125)
    # Turned clockwise: what was the left column is the top row.
    np.testing.assert_allclose(decoded[0, :, 60], (np.arange(188) + 0.5) / 187.5, atol=0.02)
    np.testing.assert_allclose(decoded[1, 90], 1 - (np.arange(125) + 0.5) / 125, atol=0.02)
    assert read_image(path, color=False, at_least=1500).shape == (1, 1500, 1000)


def _orientation_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_lab_is_refused_in_words(tmp_path: Path) -> None:
    path = _saved(tmp_path, Image.new("LAB", (8, 8)), "a.tif")
    with pytest.raises(UnreadableImage, match="RGB"):
        read_image(path)
